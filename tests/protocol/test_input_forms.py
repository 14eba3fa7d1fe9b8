"""Every form of a header or message is found, also nested in others."""

import base64
import json
import struct
from collections.abc import Callable
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.input_forms import (
    MAX_FOUND,
    MAX_TRIED,
    Form,
    Found,
    find_all,
    find_header,
    find_headers,
    find_message,
)
from rightsmanager.protocol.formats.pssh import SYSTEM_ID
from rightsmanager.protocol.wire import HEADER
from tests.second import challenge as second
from tests.second import world

KID, OTHER = bytes(range(16)), bytes(range(16, 32))
TEXT = second.header_40(KID)
OBJECT_BODY = TEXT.encode("utf-16-le")
OBJECT = struct.pack("<IHHH", len(OBJECT_BODY) + 10, 1, 1, len(OBJECT_BODY)) + OBJECT_BODY
CHALLENGE = second.challenge(world.CLIENT, second.Wish(TEXT))


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def pssh(system: UUID, data: bytes) -> bytes:
    return box(b"pssh", bytes(4) + system.bytes + struct.pack(">I", len(data)) + data)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


WIDEVINE = pssh(UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"), b"widevine")
PSSH = pssh(SYSTEM_ID, OBJECT)
MP4 = (
    box(b"ftyp", b"iso6")
    + box(b"moov", box(b"mvhd", bytes(20)) + WIDEVINE + PSSH)
    + struct.pack(">I4sQ", 1, b"mdat", 24)
    + bytes(8)
    + struct.pack(">I4s", 0, b"free")
)
DATA_URI = f"data:text/plain;charset=UTF-16;base64,{b64(OBJECT)}"
MPD = f"""<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:cenc="urn:mpeg:cenc:2013"
  xmlns:mspr="urn:microsoft:playready"><Period><AdaptationSet>
  <ContentProtection><cenc:pssh> {b64(PSSH)} </cenc:pssh><mspr:pro>{b64(OBJECT)}</mspr:pro>
  </ContentProtection></AdaptationSet></Period></MPD>"""
XXD = "\n".join(
    f"{at:08x}: {OBJECT[at : at + 2].hex()} {OBJECT[at + 2 : at + 16].hex()}  ..<W.R."
    for at in range(0, len(OBJECT), 16)
)
KEY_MESSAGE = (
    '<PlayReadyKeyMessage type="LicenseAcquisition"><LicenseAcquisition Version="1">'
    f'<Challenge encoding="base64encoded">{b64(CHALLENGE)}</Challenge><HttpHeaders><HttpHeader>'
    "<name>Content-Type</name><value>text/xml</value></HttpHeader></HttpHeaders>"
    "</LicenseAcquisition></PlayReadyKeyMessage>"
)
FORMS: dict[str, tuple[bytes, list[tuple[Form, str]]]] = {
    "header": (TEXT.encode(), [(Form.HEADER, "")]),
    "header in UTF-16": (TEXT.encode("utf-16"), [(Form.HEADER, "")]),
    "header in UTF-16-LE": (TEXT.encode("utf-16-le"), [(Form.HEADER, "")]),
    "header in UTF-16-BE": (TEXT.encode("utf-16-be"), [(Form.HEADER, "")]),
    "header with a mark": (TEXT.encode("utf-8-sig"), [(Form.HEADER, "")]),
    "object": (OBJECT, [(Form.OBJECT, "")]),
    "box": (PSSH, [(Form.PSSH, "")]),
    "boxes": (WIDEVINE + PSSH, [(Form.OTHER_PSSH, "PSSH box 1"), (Form.PSSH, "PSSH box 2")]),
    "boxes in another order": (
        PSSH + WIDEVINE,
        [(Form.PSSH, "PSSH box 1"), (Form.OTHER_PSSH, "PSSH box 2")],
    ),
    "box without head": (PSSH[8:], [(Form.PSSH, "PSSH box without its length and name")]),
    "MP4": (MP4, [(Form.OTHER_PSSH, "PSSH box 1"), (Form.PSSH, "PSSH box 2")]),
    "base64": (b64(PSSH).encode(), [(Form.PSSH, "base64")]),
    "base64 in lines": (base64.encodebytes(PSSH), [(Form.PSSH, "base64")]),
    "base64 without padding": (b64(PSSH).rstrip("=").encode(), [(Form.PSSH, "base64")]),
    "base64 in quotes": (json.dumps(b64(PSSH)).encode(), [(Form.PSSH, "base64")]),
    "URL-safe base64": (
        base64.urlsafe_b64encode(PSSH).rstrip(b"="),
        [(Form.PSSH, "URL-safe base64")],
    ),
    "base64 of a header": (b64(TEXT.encode("utf-16-le")).encode(), [(Form.HEADER, "base64")]),
    "hexadecimal": (PSSH.hex().encode(), [(Form.PSSH, "hexadecimal")]),
    "hexadecimal with 0x": (b"0x" + PSSH.hex().encode(), [(Form.PSSH, "hexadecimal")]),
    "xxd": (XXD.encode(), [(Form.OBJECT, "output of xxd")]),
    "data URI": (DATA_URI.encode(), [(Form.OBJECT, "data: URI, base64")]),
    "escaped data URI": (
        f"data:application/xml,{quote(TEXT)}".encode(),
        [(Form.HEADER, "data: URI")],
    ),
    "playlist": (
        f'#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{DATA_URI}"\n'.encode(),
        [(Form.OBJECT, "line 3, #EXT-X-KEY, data: URI, base64")],
    ),
    "manifest": (
        MPD.encode(),
        [(Form.PSSH, "MPD, pssh, base64"), (Form.OBJECT, "MPD, pro, base64")],
    ),
    "element of a manifest": (
        f"<ProtectionHeader>{b64(OBJECT)}</ProtectionHeader>".encode(),
        [(Form.OBJECT, "ProtectionHeader, base64")],
    ),
    "initiator": (
        f'<PlayReadyInitiator xmlns="urn:x"><LicenseAcquisition><Header>{TEXT}</Header>'
        "</LicenseAcquisition></PlayReadyInitiator>".encode(),
        [(Form.INITIATOR, ""), (Form.HEADER, "PlayReadyInitiator")],
    ),
    "message": (CHALLENGE, [(Form.MESSAGE, ""), (Form.HEADER, "SOAP message")]),
    "key message": (
        KEY_MESSAGE.encode("utf-16-le"),
        [
            (Form.MESSAGE, "PlayReadyKeyMessage, Challenge, base64"),
            (Form.HEADER, "PlayReadyKeyMessage, Challenge, base64, SOAP message"),
        ],
    ),
}


def has_url_safe_difference() -> bool:
    return base64.b64encode(PSSH) != base64.urlsafe_b64encode(PSSH)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_found_with_its_place(name: str) -> None:
    data, expected = FORMS[name]
    if name == "URL-safe base64" and not has_url_safe_difference():
        expected = [(Form.PSSH, "base64")]
    found = find_all(data)
    assert expected == [(each.form, each.place) for each in found]
    assert find_header(data).kids[0].kid.raw == KID


def test_each_of_several_headers_is_found() -> None:
    other = second.header_40(OTHER)
    data = f"<a>{TEXT}{other}</a>".encode()
    assert [header.kids[0].kid.raw for header in find_headers(data)] == [KID, OTHER]


def test_a_box_names_its_system() -> None:
    first, second_box = find_all(WIDEVINE + PSSH)
    assert str(first.system_id) == "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
    assert second_box.system_id == SYSTEM_ID
    assert find_all(OBJECT)[0].system_id is None


def test_the_message_in_a_key_message_is_found() -> None:
    found = find_message(KEY_MESSAGE.encode("utf-16-le"))
    assert found is not None
    assert found.data == CHALLENGE
    assert find_message(OBJECT) is None
    assert find_message(CHALLENGE) is None
    assert find_message(b"nothing") is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "nothing known is in it, expected a WRMHEADER"),
        (b"hello", "nothing known is in it"),
        (b"AAAAA", "nothing known is in it"),
        (b"\xff\xff\xff", "nothing known is in it"),
        (b"<a/>", "nothing known is in it"),
        (b"<a>", "the XML is not well-formed XML: it ends inside an element"),
        (PSSH[:-1], f"PSSH box at offset 0 says {len(PSSH)} bytes, {len(PSSH) - 1} are there"),
        (struct.pack(">I4s", 9, b"pssh") + b"a", "PSSH box at offset 0 says 9 bytes"),
        (struct.pack(">I4s", 3, b"moov") + bytes(9), "nothing known is in it"),
        (struct.pack(">I4s", 1, b"moov") + bytes(3), "nothing known is in it"),
        (b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="https://a/key"', "nothing known is in it"),
        (b"00000000: 123  ..", "nothing known is in it"),
    ],
    ids=range(12),
)
def test_anything_else_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        find_all(data)


def test_a_box_that_is_cut_off_keeps_the_good_ones() -> None:
    other, cut = find_all(WIDEVINE + PSSH[:40])
    assert (other.form, cut.form) == (Form.OTHER_PSSH, Form.CUT_PSSH)
    assert cut.error == f"PSSH box at offset {len(WIDEVINE)} says {len(PSSH)} bytes, 40 are there"
    assert cut.data == PSSH[:40]
    manifest = f"<MPD><pssh>{b64(PSSH[:-1])}</pssh><pssh>{b64(PSSH)}</pssh></MPD>".encode()
    bad, good = find_all(manifest)
    assert (bool(bad.error), good.error, good.data) == (True, "", PSSH)
    assert find_header(manifest) == good.header


def test_things_without_a_header_are_named() -> None:
    with pytest.raises(InvalidMessage, match="no WRMHEADER is in it, only: PSSH box of another"):
        find_header(WIDEVINE)
    with pytest.raises(InvalidMessage, match="a SOAP message has no WRMHEADER of its own"):
        _ = Found(Form.MESSAGE, CHALLENGE).header


def test_nesting_and_number_are_bounded() -> None:
    data = PSSH
    for _ in range(16):
        data = base64.b64encode(data)
    with pytest.raises(InvalidMessage, match="nothing known is in it"):
        find_all(data)
    boxes = box(b"moov", WIDEVINE)
    for _ in range(20):
        boxes = box(b"moov", boxes)
    with pytest.raises(InvalidMessage, match="nothing known is in it"):
        find_all(boxes)
    assert len(find_all(WIDEVINE * 1200)) == MAX_FOUND


# Copies of a header repeat the namespaces around it, and a header that holds others repeats them.
@pytest.mark.parametrize(
    ("around", "inside", "reason"),
    [
        ("".join(f' xmlns:a{n}="urn:{n}"' for n in range(64)), TEXT, "65 namespaces are declared"),
        (
            f' xmlns:h="{HEADER}"',
            "<h:WRMHEADER>" * 100 + "x" * 10_000 + "</h:WRMHEADER>" * 100,
            "headers within headers",
        ),
    ],
)
def test_copies_of_headers_are_bounded(around: str, inside: str, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        find_all(f"<a{around}>{inside}</a>".encode())


def test_many_headers_with_some_namespaces_are_found() -> None:
    around = "".join(f' xmlns:a{n}="urn:{n}"' for n in range(10))
    assert len(find_all(f"<a{around}>{TEXT * 900}</a>".encode())) == 900


@pytest.mark.parametrize(
    ("form", "nothing", "something"),
    [
        ("<a>{}</a>", "<pro>AAAA</pro>", f"<pro>{b64(OBJECT)}</pro>"),
        ("#EXTM3U\n{}", '#EXT-X-KEY:URI="data:,AAAA"\n', f'#EXT-X-KEY:URI="{DATA_URI}"\n'),
    ],
    ids=["elements", "lines"],
)
def test_what_has_nothing_in_it_is_not_looked_into_for_ever(
    form: str, nothing: str, something: str
) -> None:
    few = form.format(nothing * (MAX_TRIED - 1) + something)
    assert [each.form for each in find_all(few.encode())] == [Form.OBJECT]
    many = form.format(nothing * MAX_TRIED + something)
    with pytest.raises(InvalidMessage, match="nothing known is in it"):
        find_all(many.encode())


Wrap = Callable[[bytes], bytes]
WRAPPINGS: list[Wrap] = [
    base64.b64encode,
    base64.urlsafe_b64encode,
    lambda data: data.hex().encode(),
    lambda data: b"data:;base64," + base64.b64encode(data),
    lambda data: b"<m:pro xmlns:m='urn:m'>" + base64.b64encode(data) + b"</m:pro>",
    lambda data: b'#EXT-X-KEY:URI="data:;base64,' + base64.b64encode(data) + b'"',
]


@given(
    st.sampled_from([TEXT.encode(), TEXT.encode("utf-16-le"), OBJECT, PSSH, MP4, MPD.encode()]),
    st.lists(st.sampled_from(WRAPPINGS), max_size=2),
)
def test_forms_may_be_nested(data: bytes, wrappings: list[Wrap]) -> None:
    for wrap in wrappings:
        data = wrap(data)
    assert find_header(data).kids[0].kid.raw == KID


@given(st.binary(max_size=80) | st.builds(bytes.__add__, st.binary(max_size=9), st.just(PSSH)))
def test_any_bytes_are_found_or_refused(data: bytes) -> None:
    try:
        find_all(data)
    except InvalidMessage:
        return
