"""Everything that is handed around is recognised, in whatever spelling, and nothing else is."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Context, Description, describe

KINDS = {
    "xmr_published": "XMR licence",
    "chain": "BCert chain",
    "challenge_1": "AcquireLicense challenge",
    "pssh_1": "PSSH box",
    "object_1": "PlayReady Object",
    "wrmheader_1": "WRMHEADER",
}
# A box of Widevine without data.
OTHER_BOX = bytes.fromhex("000000207073736800000000edef8ba979d64acea3c827dcd51d21ed00000000")
SPELLINGS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "base64": (b64encode, "base64"),
    "base64 in lines": (lambda data: b"\r\n ".join((b" ", *pieces(b64encode(data)))), "base64"),
    "base64 without padding": (lambda data: b64encode(data).rstrip(b"="), "base64"),
    "base64 in UTF-16": (lambda data: b64encode(data).decode().encode("utf-16"), "base64"),
    "base64 after a byte order mark": (lambda d: b"\xef\xbb\xbf" + b64encode(d), "base64"),
    "hexadecimal": (lambda data: data.hex().encode(), "hexadecimal"),
    "hexadecimal in upper case": (lambda d: b"0x" + d.hex().upper().encode(), "hexadecimal"),
}


def pieces(data: bytes) -> list[bytes]:
    return [data[at : at + 64] for at in range(0, len(data), 64)]


def without_spelling(description: Description) -> Description:
    return replace(description, meaning=None)


@pytest.mark.parametrize(("thing", "kind"), KINDS.items())
def test_each_format_is_recognised(
    thing: str, kind: str, things: dict[str, bytes], bare: Context
) -> None:
    assert describe(things[thing], bare).name == kind


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("thing", KINDS)
def test_a_spelling_changes_nothing_but_its_name(
    thing: str, spelling: str, things: dict[str, bytes], bare: Context
) -> None:
    spell, name = SPELLINGS[spelling]
    raw, spelled = describe(things[thing], bare), describe(spell(things[thing]), bare)
    assert without_spelling(raw) == without_spelling(spelled)
    assert f"{name}, {len(things[thing])} bytes" in str(spelled.meaning)


def test_base64_of_the_other_alphabet_is_read(things: dict[str, bytes], bare: Context) -> None:
    spelled = urlsafe_b64encode(things["chain"])
    assert set(b"-_") & set(spelled)
    assert "URL-safe base64" in str(describe(spelled, bare).meaning)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("thing", ["challenge_1", "wrmheader_1"])
def test_xml_is_read_in_every_encoding(
    thing: str, encoding: str, things: dict[str, bytes], bare: Context
) -> None:
    text = things[thing].decode()
    found = describe(text.encode(encoding), bare)
    assert without_spelling(describe(things[thing], bare)) == without_spelling(found)


def test_a_certificate_alone_is_recognised(things: dict[str, bytes], bare: Context) -> None:
    chain = things["chain"]
    length = int.from_bytes(chain[28:32])
    assert describe(chain[20 : 20 + length], bare).name == "certificate"


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100), b"YWJj", b"\xff\xfe<", b"\0<\xd8"])
def test_unknown_input_is_refused_with_all_that_is_expected(data: bytes, bare: Context) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        describe(data, bare)
    for kind in ("XMR licence", "BCert chain", "PSSH box", "WRMHEADER", "PlayReady Object"):
        assert kind in refusal.value.text


@pytest.mark.parametrize("data", [b"<", b"<a><b></a>"])
def test_malformed_xml_is_explained(data: bytes, bare: Context) -> None:
    with pytest.raises(InvalidMessage, match="not recognised: the XML is not well-formed XML"):
        describe(data, bare)


def test_the_reasons_name_the_root_that_was_found(bare: Context) -> None:
    with pytest.raises(InvalidMessage, match="its root element is html in namespace ''"):
        describe(b"<html></html>", bare)


def test_a_document_type_is_refused(things: dict[str, bytes], bare: Context) -> None:
    with pytest.raises(InvalidMessage, match="document type declaration"):
        describe(b"<!DOCTYPE x>" + things["wrmheader_1"], bare)


# --- several things, and things in others ---------------------------------------------------------


def children(description: Description) -> list[tuple[str, str]]:
    return [(child.name, str(child.meaning)) for child in description.children]


def test_each_box_is_described_with_its_place(things: dict[str, bytes], bare: Context) -> None:
    box = things["pssh_1"]
    other = OTHER_BOX
    found = describe(b64encode(other + box), bare)
    assert (found.name, found.value) == ("found", 2)
    assert children(found) == [
        ("PSSH box", f"base64, PSSH box 1, {len(other)} bytes"),
        ("PSSH box", f"base64, PSSH box 2, {len(box)} bytes"),
    ]


def test_the_same_thing_is_described_once(things: dict[str, bytes], bare: Context) -> None:
    encoded = b64encode(things["pssh_1"]).decode()
    manifest = f"<MPD><A><pssh>{encoded}</pssh></A><A><pssh>{encoded}</pssh></A></MPD>"
    found = describe(manifest.encode(), bare)
    assert found.name == "PSSH box"
    assert str(found.meaning) == (
        f"MPD, pssh, base64, {len(things['pssh_1'])} bytes; found 2 times"
    )


def test_a_key_message_is_described_as_its_challenge(
    things: dict[str, bytes], bare: Context
) -> None:
    challenge = b64encode(things["challenge_1"]).decode()
    message = (
        f"<PlayReadyKeyMessage><A><Challenge>{challenge}</Challenge></A></PlayReadyKeyMessage>"
    )
    found = describe(message.encode("utf-16-le"), bare)
    assert found.name == "AcquireLicense challenge"
    assert "PlayReadyKeyMessage, Challenge, base64" in str(found.meaning)


def test_a_damaged_box_is_still_described(things: dict[str, bytes], bare: Context) -> None:
    found = describe(b64encode(things["pssh_1"][:-1]), bare)
    assert (found.name, found.failed) == ("PSSH box", True)


def test_boxes_of_other_systems_are_named(
    bare: Context, find: Callable[[Description, str], Description]
) -> None:
    assert find(describe(OTHER_BOX, bare), "system id").meaning == "Widevine"
    unknown = OTHER_BOX[:12] + bytes(16) + OTHER_BOX[28:]
    found = describe(unknown, bare)
    assert find(found, "system id").meaning == "unknown"
    assert not found.failed


def test_a_line_end_after_a_header_is_not_part_of_it(
    things: dict[str, bytes], bare: Context
) -> None:
    header = things["wrmheader_1"]
    assert without_spelling(describe(header + b"\n", bare)) == without_spelling(
        describe(header, bare)
    )


def test_a_damaged_box_next_to_a_good_one_is_named(things: dict[str, bytes], bare: Context) -> None:
    box = things["pssh_1"]
    found = describe(OTHER_BOX + box[:-1], bare)
    assert [child.failed for child in found.children] == [False, True]


def test_a_damaged_box_in_a_manifest_is_the_reason(things: dict[str, bytes], bare: Context) -> None:
    manifest = f"<MPD><pssh>{b64encode(things['pssh_1'][:-1]).decode()}</pssh></MPD>"
    with pytest.raises(InvalidMessage, match="root element is MPD") as refusal:
        describe(manifest.encode(), bare)
    assert "; PSSH box at offset 0 says" in refusal.value.text
