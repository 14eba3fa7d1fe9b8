"""Envelopes: the SOAP version, the operation, encodings and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.xml.envelope import SoapVersion, parse_envelope
from rightsmanager.protocol.xml.parsing import parse_xml

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


def written(namespace: str = SOAP11, header: str = "", body: str = '<A xmlns="urn:a"/>') -> str:
    return f'<s:Envelope xmlns:s="{namespace}">{header}<s:Body>{body}</s:Body></s:Envelope>'


@pytest.mark.parametrize("version", SoapVersion)
def test_the_namespace_determines_the_version(version: SoapVersion) -> None:
    envelope = parse_envelope(written(version.namespace).encode())
    assert envelope.version is version
    assert (envelope.operation, envelope.namespace) == ("A", "urn:a")


def test_the_soap_namespace_may_be_the_default_as_well_as_under_a_prefix() -> None:
    text = (
        f'<Envelope xmlns="{SOAP11}" xmlns:s="{SOAP11}"><s:Body><A xmlns=""/></s:Body></Envelope>'
    )
    envelope = parse_envelope(text.encode())
    assert (envelope.operation, envelope.namespace) == ("A", "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declared", ["", '<?xml version="1.0" encoding="utf-16"?>\n'])
def test_the_text_is_utf_8_in_any_encoding(encoding: str, declared: str) -> None:
    text = declared + written(body='<A xmlns="urn:a">\u00e4\U0001f511</A>')
    envelope = parse_envelope(text.encode(encoding))
    assert envelope.text == text.encode()
    assert envelope.element.text == "\u00e4\U0001f511"


def test_big_endian_utf_16_is_understood() -> None:
    assert parse_envelope(("\ufeff" + written()).encode("utf-16-be")).operation == "A"


def test_comments_and_instructions_are_kept_and_are_not_operations() -> None:
    envelope = parse_envelope(written(body="<!-- c --><?p i?> <A><!-- d --><?q?></A> ").encode())
    assert envelope.operation == "A"
    assert len(envelope.element) == 2


@pytest.mark.parametrize(
    ("namespace", "attributes", "expected"),
    [
        (SOAP11, "", ()),
        (SOAP11, 's:mustUnderstand="0"', ()),
        (SOAP11, 'mustUnderstand="1"', ()),
        (SOAP11, 's:mustUnderstand="1"', ("{urn:h}H",)),
        (SOAP11, 's:mustUnderstand="1" s:actor="urn:other"', ()),
        (SOAP11, 's:mustUnderstand=" 1 " s:actor=""', ("{urn:h}H",)),
        (SOAP12, 's:mustUnderstand="true"', ("{urn:h}H",)),
        (SOAP12, f's:mustUnderstand="1" s:role="{SOAP12}/role/ultimateReceiver"', ("{urn:h}H",)),
        (SOAP12, f's:mustUnderstand="1" s:role="{SOAP12}/role/none"', ()),
    ],
)
def test_headers_to_be_understood_are_named(
    namespace: str, attributes: str, expected: tuple[str, ...]
) -> None:
    header = f'<s:Header><!-- --><h:H xmlns:h="urn:h" {attributes}/><i/></s:Header>'
    assert parse_envelope(written(namespace, header).encode()).must_understand == expected


@pytest.mark.parametrize(
    "prolog",
    [
        "<!DOCTYPE a>",
        '<?xml version="1.0"?><!DOCTYPE a>',
        " <!-- <x> --> <?p >?> <!DOCTYPE a [<!ENTITY e 'x'>]>",
        "\n\n<!-- -->\t<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x'>",
    ],
)
def test_a_document_type_declaration_is_refused(prolog: str) -> None:
    with pytest.raises(InvalidMessage, match="document type declaration"):
        parse_envelope((prolog + written()).encode())


def test_the_words_of_a_declaration_inside_a_text_are_text() -> None:
    envelope = parse_envelope(written(body="<A><![CDATA[<!DOCTYPE a>]]></A>").encode())
    assert envelope.element.text == "<!DOCTYPE a>"


def test_the_text_of_a_refusal_names_what_was_read() -> None:
    with pytest.raises(InvalidMessage, match="the header is not well-formed XML"):
        parse_xml(b"<a>", "the header")


def test_an_envelope_shows_no_content_when_printed() -> None:
    assert "secret" not in repr(parse_envelope(written(body="<A>secret</A>").encode()))


@given(st.binary(max_size=300))
def test_any_other_bytes_are_an_invalid_message(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        parse_envelope(data)


@given(st.data())
def test_a_damaged_envelope_is_parsed_or_an_invalid_message(data: st.DataObject) -> None:
    body = bytearray(written(header="<s:Header><h/></s:Header>").encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        envelope = parse_envelope(bytes(body))
    except InvalidMessage:
        return
    assert envelope.text == body


@pytest.mark.parametrize(
    "body", [b"\xff\xfe<", b"\xfe\xff\xd8\x00\x00<", b"<\x00a", b"\x00<\xd8\x00"]
)
def test_invalid_utf_16_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidMessage, match="is not the UTF-16 its first bytes say"):
        parse_envelope(body)


@pytest.mark.parametrize("count", [0, 2])
def test_exactly_one_body_is_required(count: int) -> None:
    bodies = "<s:Body><A/></s:Body>" * count
    text = f'<s:Envelope xmlns:s="{SOAP11}">{bodies}</s:Envelope>'
    with pytest.raises(InvalidMessage, match=f"the Envelope has {count} Body elements"):
        parse_envelope(text.encode())


@pytest.mark.parametrize("body", [b"", b" \n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidMessage, match="the request has an empty body"):
        parse_envelope(body)
