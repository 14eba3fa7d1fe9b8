"""Lists of content keys, CPIX and CSV: read as written, refused if ambiguous."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.keylists import (
    KeyEntry,
    build_document,
    build_table,
    cpix_import,
    parse_document,
    parse_key_list,
    parse_table,
)
from rightsmanager.protocol.formats.keylists.entry import KEY_TYPES, LAST_PERIOD, SCHEMES
from rightsmanager.protocol.wire import Kid

KID = Kid(bytes(range(16)))
OTHER = Kid(bytes(16))
KEY = bytes(range(100, 116))

texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=40,
)
kids = st.binary(min_size=16, max_size=16).map(Kid)
keys = st.binary(min_size=16, max_size=16)
tracks = st.sampled_from([None, "uhd", "multichannel_audio_3_6"])
slots = st.tuples(st.none(), st.none()) | st.tuples(texts, st.integers(0, LAST_PERIOD))


@st.composite
def table_entries(draw: st.DrawFn) -> KeyEntry:
    key_type, (program, period) = draw(st.sampled_from(KEY_TYPES)), draw(slots)
    return KeyEntry(draw(kids), draw(keys), key_type, program, period, track=draw(tracks))


@st.composite
def document_entries(draw: st.DrawFn) -> list[KeyEntry]:
    program = draw(st.none() | texts)
    numbers = draw(st.lists(st.integers(0, LAST_PERIOD), unique=True, min_size=1, max_size=4))
    found = draw(st.lists(kids, unique=True, min_size=len(numbers), max_size=len(numbers)))
    entries = []
    for kid, number in zip(found, numbers, strict=True):
        scheme = draw(st.sampled_from(list(SCHEMES)))
        iv = draw(st.none() | st.binary(min_size=16, max_size=16))
        period = None if program is None else number
        listed = (SCHEMES[scheme], program, period, scheme, iv, draw(tracks))
        entries.append(KeyEntry(kid, draw(keys), *listed))
    return entries


@given(st.lists(table_entries(), max_size=5))
def test_a_table_is_read_as_it_was_written(entries: list[KeyEntry]) -> None:
    assert parse_table(build_table(entries)) == tuple(entries)
    assert parse_key_list(build_table(entries)) == tuple(entries)


@given(document_entries())
def test_a_document_is_read_as_it_was_written(entries: list[KeyEntry]) -> None:
    written = build_document(entries)
    assert parse_document(written) == tuple(entries)
    assert parse_key_list(b"\xef\xbb\xbf\n" + written.partition(b"?>")[2]) == tuple(entries)
    # The schema that comes with cpix takes no commonEncryptionScheme and no period's id twice.
    tags = Counter(str(each.tag) for each in etree.fromstring(written).iter())
    assert tags["{urn:dashif:org:cpix}ContentKey"] == len(entries)
    assert tags["{urn:ietf:params:xml:ns:keyprov:pskc}PlainValue"] == len(entries)


@pytest.mark.parametrize(
    "text",
    [
        "kid,key\n{kid},{hex}\n",
        "\ufeffKID , Key ,type,program,period\r\n{kid},{hex},AESCTR,,\r\n\r\n",
        'period,program,key,kid\n,"",{base64},"{{{kid}}}"',
        "type,key,kid\n,{base64},{kid64}",
    ],
)
def test_a_table_is_read_in_several_spellings(text: str) -> None:
    spelt = text.format(
        kid=KID.text.upper(), hex=KEY.hex(), base64="ZGVmZ2hpamtsbW5vcHFycw==", kid64=KID.base64
    )
    assert parse_table(spelt.encode()) == (KeyEntry(KID, KEY),)


def test_a_program_without_period_is_for_its_first() -> None:
    (entry,) = parse_table(f"kid,key,program\n{KID.text},{KEY.hex()},a\n".encode())
    assert (entry.program, entry.period) == ("a", 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 0: the columns are '', expected kid, key, type, program, period"),
        ("kid\n", "the columns are 'kid'"),
        ("kid,key,color\n", "the columns are 'kid, key, color'"),
        ("kid,key,key\n", "the columns are 'kid, key, key'"),
        ("kid,key\nA\n", "line 2: 1 fields found, expected 2"),
        (f"kid,key\nA,{KEY.hex()}\n", "line 2: KID is 'A', expected a GUID"),
        (f"kid,key\n{KID.text},{KEY.hex()[:-1]}\n", "line 2: the content key"),
        (
            f"kid,key\n{KID.text},{'g' * 32}\n",
            "line 2: the content key has 32 characters",
        ),
        (f"kid,key,type\n{KID.text},{KEY.hex()},rc4\n", "the type is 'rc4', expected aesctr or"),
        (f"kid,key,period\n{KID.text},{KEY.hex()},1\n", "a program or a period, expected both"),
        (f"kid,key,program,period\n{KID.text},{KEY.hex()},a,-1\n", "the period is '-1'"),
        (
            f"kid,key,program,period\n{KID.text},{KEY.hex()},a,9999999999\n",
            "expected 0 to 4294967295",
        ),
        (f"kid,key,program\n{KID.text},{KEY.hex()},{'a' * 1025}\n", "has 1025 characters"),
        (f"kid,key,track\n{KID.text},{KEY.hex()},a b\n", "line 2: the track is 'a b', expected"),
        ('kid,key\n"A"B,C\n', "line 2: "),
        ('kid,key\n"A', "line 2: "),
        ("kid,key\n" + "a" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_an_invalid_table_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told) as refused:
        parse_table(text.encode())
    assert KEY.hex()[:-1] not in refused.value.text


def test_a_table_in_another_encoding_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="not UTF-8"):
        parse_table("kid,key".encode("utf-16"))


def document(*content_keys: str, attributes: str = "", more: str = "") -> bytes:
    return (
        '<CPIX xmlns="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" '
        f"{attributes}><!-- of an encoder -->"
        f"<ContentKeyList>{''.join(content_keys)}<!-- end --></ContentKeyList>{more}</CPIX>"
    ).encode()


def content_key(kid: Kid = KID, attributes: str = "", secret: str | None = None) -> str:
    plain = "<pskc:PlainValue> ZGVmZ2hpamtsbW5vcHFycw== </pskc:PlainValue>"
    return (
        f'<ContentKey kid="{kid.text.upper()}" {attributes}><Data><pskc:Secret>'
        f"{plain if secret is None else secret}</pskc:Secret></Data></ContentKey>"
    )


@pytest.mark.parametrize(
    ("attributes", "key_type", "scheme", "iv"),
    [
        ("", "aesctr", None, None),
        ('commonEncryptionScheme="cenc"', "aesctr", "cenc", None),
        ('commonEncryptionScheme="cens"', "aesctr", "cens", None),
        ('commonEncryptionScheme="cbc1"', "aescbc", "cbc1", None),
        (
            'commonEncryptionScheme="cbcs" explicitIV="AAAAAAAAAAAAAAAAAAAAAQ=="',
            "aescbc",
            "cbcs",
            bytes(15) + b"\x01",
        ),
    ],
)
def test_the_scheme_is_the_type_and_scheme_and_iv_are_kept(
    attributes: str, key_type: str, scheme: str | None, iv: bytes | None
) -> None:
    entries = parse_document(document(content_key(attributes=attributes)))
    assert entries == (KeyEntry(KID, KEY, key_type, scheme=scheme, iv=iv),)


def rule(kid: Kid, track: str = "", period: str = "") -> str:
    attribute = f' intendedTrackType="{track}"' if track else ""
    inner = f'<KeyPeriodFilter periodId="{period}"/>' if period else ""
    return f'<ContentKeyUsageRule kid="{kid.text}"{attribute}>{inner}</ContentKeyUsageRule>'


def rules(*inner: str) -> str:
    return f"<ContentKeyUsageRuleList>{''.join(inner)}</ContentKeyUsageRuleList>"


PERIODS = (
    '<ContentKeyPeriodList><ContentKeyPeriod id="unnumbered"/>'
    '<ContentKeyPeriod id="p4" index="4"/><ContentKeyPeriod id="p5" '
    'index="5"/><ContentKeyPeriod id="t" start="2026-01-01T00:00:00Z" '
    'end="2026-01-02T00:00:00Z"/></ContentKeyPeriodList>'
)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", [None, None]),
        (rules(rule(KID, "SD"), rule(OTHER, "HD")), [("m#SD", 0), ("m#HD", 0)]),
        (rules(rule(KID, "SD"), rule(OTHER)), [("m#SD", 0), None]),
        (rules(rule(KID, "SD"), rule(OTHER, "SD")), [None, None]),
        (
            PERIODS + rules(rule(KID, period="p4"), rule(OTHER, period="p5")),
            [("m", 4), ("m", 5)],
        ),
        (PERIODS + rules(rule(KID, period="p4"), rule(OTHER)), [("m", 4), ("m", 0)]),
        (PERIODS + rules(rule(KID, period="t"), rule(OTHER)), [("m", 1767225600), ("m", 0)]),
        (
            PERIODS + rules(rule(KID, period="p4"), rule(KID, period="p5"), rule(OTHER)),
            [None, ("m", 0)],
        ),
    ],
)
def test_a_key_has_the_program_and_period_of_no_other_key(
    more: str, expected: list[tuple[str, int] | None]
) -> None:
    keys = (content_key(), content_key(OTHER))
    entries = parse_document(document(*keys, attributes='contentId="m"', more=more))
    found = [None if each.program is None else (each.program, each.period) for each in entries]
    assert found == expected
    without = parse_document(document(*keys, more=more))
    assert [each.program for each in without] == [None, None]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<CPIX", "not well-formed"),
        (b"<CPIX/>", "the root element is CPIX, expected {urn:dashif:org:cpix}CPIX"),
        (b'<!DOCTYPE a><CPIX xmlns="urn:dashif:org:cpix"/>', "document type declaration"),
        (document("<ContentKey/>"), "ContentKey @kid is missing, expected a KID"),
        (document('<ContentKey kid="x"/>'), "ContentKey @kid: KID is 'x', expected a GUID"),
        (document(f'<ContentKey kid="{KID.text}"/>'), "is not there, expected a PlainValue"),
        (document(content_key(secret="")), "is not there, expected a PlainValue"),
        (
            document(content_key(secret="<pskc:EncryptedValue/>")),
            "has encrypted keys, expected a PlainValue",
        ),
        (
            document(content_key(secret="<pskc:PlainValue>AAAA</pskc:PlainValue>")),
            "PlainValue of .* 3 bytes",
        ),
        (
            document(content_key(secret="<pskc:PlainValue>?</pskc:PlainValue>")),
            "PlainValue of KID .* is not base64",
        ),
        (
            document(content_key(attributes='commonEncryptionScheme="rot1"')),
            "Scheme of KID .* is 'rot1'",
        ),
        (document(content_key(attributes='explicitIV="AAAA"')), "IV of KID .* has 3 bytes"),
        (document(content_key(), attributes=f'contentId="{"x" * 1025}"'), "1025 characters"),
        (document(content_key(), attributes='contentId=""'), "has 0 characters"),
    ],
)
def test_an_invalid_document_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        parse_document(data)


def leaf(kid: Kid, root: str, attributes: str = "") -> str:
    return content_key(kid, f'dependsOnKey="{root}" {attributes}')


def test_a_leaf_key_has_the_scheme_of_its_root() -> None:
    third = Kid(bytes([3] * 16))
    entries = parse_document(
        document(
            leaf(third, OTHER.text),
            leaf(OTHER, KID.text.upper()),
            content_key(KID, 'commonEncryptionScheme="cbcs"'),
        )
    )
    assert [(each.key_type, each.scheme) for each in entries] == [("aescbc", "cbcs")] * 3
    (alone,) = parse_document(document(content_key(attributes='commonEncryptionScheme=""')))
    assert (alone.key_type, alone.scheme) == ("aesctr", None)


@pytest.mark.parametrize(
    ("method", "key_type", "scheme"),
    [
        ("SAMPLE-AES", "aescbc", "cbcs"),
        ("SAMPLE-AES-CTR", "aesctr", "cenc"),
        ("SAMPLE-AES-CENC", "aesctr", "cenc"),
        ("AES-128", "aescbc", None),
        ("CENC", "aesctr", "cenc"),
        (" cbcs ", "aescbc", "cbcs"),
    ],
)
def test_methods_of_hls_are_schemes(method: str, key_type: str, scheme: str | None) -> None:
    (entry,) = parse_document(
        document(content_key(attributes=f'commonEncryptionScheme="{method}"'))
    )
    assert (entry.key_type, entry.scheme) == (key_type, scheme)


def test_a_key_has_its_own_content_id() -> None:
    keys = (content_key(KID, 'contentId="a"'), content_key(OTHER, 'contentId="b"'))
    for attributes in ("", 'contentId="m"'):
        entries = parse_document(document(*keys, attributes=attributes))
        assert [(each.program, each.period, each.notes) for each in entries] == [
            ("a", 0, ()),
            ("b", 0, ()),
        ]


@pytest.mark.parametrize(
    ("times", "number"),
    [
        ('start="2026-01-01T00:00:00Z"', 1767225600),
        ('start="2026-01-01T01:00:00.75+01:00" end="2026-01-01T00:00:10Z"', 1767225600),
        ('start="2026-01-01T00:00:00"', 1767225600),
        ('index="7" start="2026-01-01T00:00:00Z" end="2026-01-01T00:00:10Z"', 7),
        ('startOffset="PT1M0.5S" endOffset="PT2M"', 60),
        ('end="2026-01-01T00:00:10Z" endOffset="PT2M"', 0),
        ('start="2106-02-07T06:28:15Z"', 2**32 - 1),
    ],
)
def test_a_period_is_known_by_its_index_or_start(times: str, number: int) -> None:
    more = f'<ContentKeyPeriodList><ContentKeyPeriod id="p" {times}/></ContentKeyPeriodList>'
    more += rules(rule(KID, period="p"))
    (entry,) = parse_document(document(content_key(), attributes='contentId="m"', more=more))
    assert (entry.program, entry.period) == ("m", number)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ('start="yesterday"', "@start is 'yesterday', expected a time from 1970 to 2106"),
        ('start="1969-12-31T23:59:59Z"', "expected a time from 1970 to 2106"),
        ('start="2106-02-07T06:28:16Z"', "expected a time from 1970 to 2106"),
        ('end="0001-01-01T00:00:00+23:59"', "@end is '0001-01-01"),
        ('start="2026-01-01T00:00:10Z" end="2026-01-01T00:00:10Z"', "ends before it starts"),
        ('startOffset="PT2S" endOffset="PT1S"', "ends before it starts"),
        ('startOffset="2"', "ContentKeyPeriod @startOffset is '2', expected a duration"),
        ('endOffset="P1Y"', "years and months have no fixed length"),
    ],
)
def test_a_period_with_impossible_times_is_refused(times: str, told: str) -> None:
    more = f'<ContentKeyPeriodList><ContentKeyPeriod id="p" {times}/></ContentKeyPeriodList>'
    with pytest.raises(InvalidMessage, match=told):
        parse_document(document(content_key(), more=more))


@pytest.mark.parametrize("named", ['label="ad-break-{0}"', ""])
def test_periods_without_an_index_have_their_place(named: str) -> None:
    periods = "".join(f'<ContentKeyPeriod id="p{n}" {named.format(n)}/>' for n in range(1, 3))
    more = f"<ContentKeyPeriodList>{periods}</ContentKeyPeriodList>" + rules(
        rule(KID, period="p1"), rule(OTHER, period="p2")
    )
    keys = (content_key(), content_key(OTHER))
    entries = parse_document(document(*keys, attributes='contentId="m"', more=more))
    assert [(each.program, each.period) for each in entries] == [("m", 0), ("m", 1)]


@pytest.mark.parametrize("index", [7, 2**32 - 1])
def test_a_period_needs_no_id(index: int) -> None:
    more = (
        f'<ContentKeyPeriodList><ContentKeyPeriod index="{index}"/></ContentKeyPeriodList>'
        + rules(rule(KID, "VIDEO"))
    )
    (entry,) = parse_document(document(content_key(), attributes='contentId="m"', more=more))
    assert (entry.program, entry.period) == ("m", 0)


@pytest.mark.parametrize(
    ("more", "note"),
    [
        (PERIODS + rules(rule(KID, period="unnumbered"), rule(OTHER)), "its period has no number"),
        (
            PERIODS + rules(rule(KID, period="p4"), rule(KID, period="p5"), rule(OTHER)),
            "the key has 2 periods",
        ),
        (rules(rule(OTHER, "HD")), "the key has no single intendedTrackType"),
        (rules(rule(KID, "SD"), rule(OTHER, "SD")), "other keys have it too"),
    ],
)
def test_a_program_that_is_left_out_is_noted(more: str, note: str) -> None:
    keys = (content_key(), content_key(OTHER))
    entry, *_ = parse_document(document(*keys, attributes='contentId="m"', more=more))
    assert entry.program is None
    (text,) = entry.notes
    assert text.startswith("program m")
    assert text.endswith(f"left out: {note}")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_a_document_is_read_in_its_encoding(encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = document(content_key(), attributes='contentId="Stra\u00dfe"').decode()
    data = f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(encoding)
    (entry,) = parse_key_list(data)
    assert entry.program == "Stra\u00dfe"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'<?xml version="1.0" encoding="EBCDIC-X"?><CPIX/>', "the encoding EBCDIC-X, expected"),
        (b'<?xml version="1.0" encoding="rot13"?><CPIX/>', "the encoding rot13, expected UTF-8"),
        (b'<?xml version="1.0" encoding="us-ascii"?><CPIX a="\xff"/>', "is not ascii"),
        (b"\xff<CPIX/>", "is not utf-8"),
        (document(leaf(KID, OTHER.text)), "dependsOnKey of KID .* which is not in the document"),
        (document(leaf(KID, KID.text)), "leads to no root key"),
        (document(leaf(KID, "x")), "ContentKey @dependsOnKey: KID is 'x', expected a GUID"),
        (
            document(
                content_key(),
                attributes='contentId="m"',
                more=PERIODS + rules(rule(KID, period="p9")),
            ),
            "KeyPeriodFilter of KID .* has periodId 'p9', which is not in ContentKeyPeriodList",
        ),
        (
            document(
                content_key(),
                attributes='contentId="m"',
                more='<ContentKeyPeriodList><ContentKeyPeriod index="4294967296"/>'
                "</ContentKeyPeriodList>",
            ),
            "ContentKeyPeriod @index is '4294967296', expected 0 to 4294967295",
        ),
        (
            document(content_key(), more=rules("<ContentKeyUsageRule/>")),
            "UsageRule @kid is",
        ),
    ],
    ids=range(10),
)
def test_a_refusal_names_the_element(data: bytes, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        parse_document(data)


def test_an_empty_document_has_no_keys() -> None:
    assert parse_document(b'<CPIX xmlns="urn:dashif:org:cpix"/>') == ()


def test_cpix_is_imported_without_setuptools() -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-c"),
            (
                "import sys; sys.modules['setuptools'] = None\n"
                "from rightsmanager.protocol.formats.keylists.cpix_import import cpix\n"
                "print(cpix.PLAYREADY_SYSTEM_ID, 'pkg_resources' in sys.modules)"
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [str(uuid.UUID("9a04f079-9840-4286-ab92-e65be0885f95")), "False"]


def test_a_loaded_pkg_resources_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pkg_resources")
    monkeypatch.setitem(sys.modules, "pkg_resources", module)
    with cpix_import._replaced_module():
        assert sys.modules["pkg_resources"] is not module
    assert sys.modules["pkg_resources"] is module
