"""Identifiers, base64 and fields, in their spellings and byte orders."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import (
    AccountId,
    Guid,
    Kid,
    Mid,
    Reader,
    ServiceId,
    TransactionId,
    decode_base64,
    encode_base64,
    parse_content_key,
    parse_octets,
)

TEXT = "00112233-4455-6677-8899-aabbccddeeff"
MIXED = bytes.fromhex("33221100554477668899aabbccddeeff")
KINDS = (Guid, Kid, Mid, AccountId, ServiceId, TransactionId)


@pytest.mark.parametrize("kind", KINDS)
def test_a_guid_has_the_mixed_order_in_binary_and_in_base64(kind: type[Guid]) -> None:
    assert kind.from_text(TEXT).raw == MIXED
    assert TEXT == str(kind(MIXED)) == kind(MIXED).text
    assert kind(MIXED) == kind.from_base64("MyIRAFVEd2aImaq7zN3u/w==")
    assert kind(MIXED).base64 == "MyIRAFVEd2aImaq7zN3u/w=="


@pytest.mark.parametrize(
    "text", [TEXT, TEXT.upper(), f"{{{TEXT}}}", f"\n {TEXT} ", "MyIRAFVEd2aImaq7zN3u/w=="]
)
def test_either_spelling_of_a_guid_is_parsed(text: str) -> None:
    assert Kid(MIXED) == Kid.parse(text)


@pytest.mark.parametrize("length", [0, 15, 17, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_a_guid_of_another_length_is_refused_with_its_name(kind: type[Guid], length: int) -> None:
    with pytest.raises(InvalidMessage, match=f"{kind.name} has {length} bytes"):
        kind(bytes(length))
    with pytest.raises(InvalidMessage, match=f"{kind.name} has {length} bytes"):
        kind.from_base64(encode_base64(bytes(length)))


@pytest.mark.parametrize(
    "text", ["", TEXT[:-1], TEXT + "0", TEXT.replace("-", ""), TEXT.replace("a", "g"), f"{TEXT}x"]
)
def test_another_spelling_of_a_guid_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match="8-4-4-4-12"):
        Kid.from_text(text)


def test_identifiers_of_different_kinds_are_not_the_same() -> None:
    assert len({kind(MIXED) for kind in KINDS}) == len(KINDS)


@given(st.binary(min_size=16, max_size=16))
def test_a_guid_has_the_order_of_the_standard_library(raw: bytes) -> None:
    expected = uuid.UUID(bytes_le=raw)
    assert str(expected) == Guid(raw).text
    assert Guid(raw) == Guid.from_text(str(expected)) == Guid.parse(Guid(raw).base64)


@given(st.binary(max_size=200))
def test_base64_agrees_with_the_standard_library(data: bytes) -> None:
    text = encode_base64(data)
    assert text == base64.b64encode(data).decode()
    assert data == decode_base64(text, "field") == decode_base64(text.encode(), "field")


@pytest.mark.parametrize("text", [" AAEC\r\nAwQF\t", "A A E C A w Q F"])
def test_white_space_in_and_around_base64_is_ignored(text: str) -> None:
    assert bytes(range(6)) == decode_base64(text, "field") == decode_base64(text.encode(), "field")


@pytest.mark.parametrize(
    "text",
    [
        *("A", "AA", "AAA", "AA=", "A===", "=AAA", "AAAA=", "AAAA====", "AA==AA==", "AB==", "AAB="),
        *("AA-_", "AA\u00a0AA", "\u2003AAAA", "AAA\u00c4", "AAAA&#13;"),
    ],
)
def test_base64_that_is_not_canonical_is_refused(text: str) -> None:
    for spelling in (text, text.encode()):
        with pytest.raises(InvalidMessage, match="field is not"):
            decode_base64(spelling, "field")


@pytest.mark.parametrize("length", [0, 2, 4])
def test_base64_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidMessage, match=f"field has 3 bytes, expected {length}"):
        decode_base64("AAAA", "field", length)


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_other_text_as_base64_is_an_invalid_message(text: str | bytes) -> None:
    try:
        data = decode_base64(text, "field")
    except InvalidMessage:
        return
    spelt = "".join(text.split()) if isinstance(text, str) else b"".join(text.split()).decode()
    assert encode_base64(data) == spelt


def test_a_reader_takes_fields_in_their_order() -> None:
    reader = Reader(b"\0\1\0\0\0\2\0\0\0\3\0\0\0\4abc", "thing")
    assert (reader.u16("a"), reader.u32("b"), reader.u32s(2, "c")) == (1, 2, (3, 4))
    assert (reader.position, reader.left, reader.rest()) == (14, 3, b"abc")
    reader.done()


def test_a_reader_takes_nothing_beyond_the_end() -> None:
    reader = Reader(b"ab", "thing")
    with pytest.raises(InvalidMessage, match=r"thing: field at offset 0 needs 4 bytes, 2 are left"):
        reader.u32("field")
    with pytest.raises(InvalidMessage, match="2 bytes follow"):
        reader.done()


def test_an_unexpected_value_is_refused() -> None:
    reader = Reader(b"", "thing")
    reader.expect(1, 1, "flags")
    with pytest.raises(InvalidMessage, match="thing: flags is 2, expected 1"):
        reader.expect(1, 2, "flags")


def test_a_swapped_guid_has_its_first_three_fields_reversed() -> None:
    kid = Kid(bytes(range(16)))
    assert kid.swapped.text == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert kid.swapped.swapped == kid


GUID_TEXT = "0c3a1b52-6a0d-4f3e-9c77-1d2f8f5b4a12"
GUID_RAW = uuid.UUID(GUID_TEXT).bytes_le


@pytest.mark.parametrize(
    "text",
    [
        GUID_TEXT,
        GUID_TEXT.upper(),
        f"{{{GUID_TEXT}}}",
        f" {GUID_TEXT}\n",
        f"urn:uuid:{GUID_TEXT}",
        f"URN:UUID:{GUID_TEXT.upper()}",
        GUID_TEXT.replace("-", ""),
        f"0x{GUID_TEXT.replace('-', '').upper()}",
        base64.b64encode(GUID_RAW).decode(),
        base64.b64encode(GUID_RAW).decode().rstrip("="),
        base64.urlsafe_b64encode(GUID_RAW).decode(),
    ],
)
def test_every_spelling_of_a_guid_is_parsed(text: str) -> None:
    assert Kid.parse(text).raw == GUID_RAW


def test_url_safe_base64_is_parsed() -> None:
    raw = b"\xfb\xff\xfe" * 5 + b"\xff"
    assert "-" in base64.urlsafe_b64encode(raw).decode()
    assert Kid.parse(base64.urlsafe_b64encode(raw).decode().rstrip("=")).raw == raw
    assert parse_content_key(base64.urlsafe_b64encode(raw).decode().rstrip("="), "key") == raw


@pytest.mark.parametrize("text", ["", "foo", GUID_TEXT[:-1], "0" * 31, "AAAA", "?" * 22, "\ud800"])
def test_the_refusal_of_a_guid_names_its_spellings(text: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Kid.parse(text)
    expected = "expected a GUID (8-4-4-4-12 or 32 hexadecimal digits) or base64 of its 16 bytes"
    assert caught.value.text == f"KID is {text!r}, {expected}"


@pytest.mark.parametrize("length", [32, 34])
def test_the_hexadecimal_digits_of_a_key_are_its_bytes(length: int) -> None:
    text = GUID_TEXT.replace("-", "").rjust(length, "x").replace("xx", "0x")
    assert parse_content_key(text, "key").hex() == GUID_TEXT.replace("-", "")


def test_octets_are_in_hexadecimal_digits_or_base64() -> None:
    raw = b"\xfb\xff\xfe" * 10 + b"\xff\0"
    url_safe = base64.urlsafe_b64encode(raw).decode()
    for text in (raw.hex(), raw.hex().upper(), f" {encode_base64(raw)}\n", url_safe.rstrip("=")):
        assert parse_octets(text, "it", 32) == raw
    # As many characters as hexadecimal digits of 32 bytes.
    blanks = raw[:31].hex(" ", 11)
    assert len(blanks) == 64
    for text in ("", raw.hex()[:-2], blanks, "g" * 64, encode_base64(raw[:31]), "\ud800"):
        with pytest.raises(InvalidMessage, match=r"^it is '.*', expected 32 bytes in hexadecimal"):
            parse_octets(text, "it", 32)


@pytest.mark.parametrize("text", ["00", "g" * 32, "", "AAAA", GUID_TEXT])
def test_the_refusal_of_a_key_names_its_spellings_alone(text: str) -> None:
    with pytest.raises(
        InvalidMessage, match=r"the key has \d+ characters, expected 32 hexa"
    ) as caught:
        parse_content_key(text, "the key")
    assert not text or text not in caught.value.text.replace("00 ", "")
