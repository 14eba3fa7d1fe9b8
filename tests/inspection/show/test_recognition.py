"""Everything that is handed around is recognised, in whatever spelling, and nothing else is."""

from base64 import b64decode, b64encode, urlsafe_b64encode
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
    assert "base64, URL-safe" in str(describe(spelled, bare).meaning)


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


@pytest.mark.parametrize(
    "data", [b"", b"hello", bytes(100), b"<html></html>", b"<", b"\xff\xfe<", b"YWJj", b"\0<\xd8"]
)
def test_unknown_input_is_refused_with_every_reason(data: bytes, bare: Context) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        describe(data, bare)
    for kind in ("XMR licence", "BCert chain", "PSSH box", "WRMHEADER", "PlayReady Object"):
        assert f"{kind}, raw: " in refusal.value.text


def test_the_reasons_name_the_root_that_was_found(bare: Context) -> None:
    with pytest.raises(InvalidMessage, match="its root element is html in namespace ''"):
        describe(b"<html></html>", bare)


def test_a_document_type_is_refused(things: dict[str, bytes], bare: Context) -> None:
    with pytest.raises(InvalidMessage, match="document type declaration"):
        describe(b"<!DOCTYPE x>" + things["wrmheader_1"], bare)


def test_reasons_are_given_for_each_spelling(bare: Context) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        describe(b"YWJjZA==", bare)
    assert "XMR licence, base64: " in refusal.value.text
    assert b64decode("YWJjZA==") == b"abcd"
