"""Bounds of documents, checked before canonicalisation, and refusals in plain words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.challenge import MAX_CHAINS
from rightsmanager.protocol.xml import elements
from rightsmanager.protocol.xml.parsing import FILE, MAX_NAMESPACE, MESSAGE, RECORDS, parse_xml
from tests.bench import hostile
from tests.operations.subject import opener
from tests.second import challenge as second
from tests.second import world

ATTRIBUTES = " ".join(f'a{number}=""' for number in range(MESSAGE.attributes + 1))
NAMESPACES = " ".join(f'xmlns:a{number}="urn:a"' for number in range(MESSAGE.declarations + 1))


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (f"<a {ATTRIBUTES}/>", "the document has an element with 65 attributes, expected at most"),
        ("<a>" + '<b c="" d="" e=""/>' * 8000 + "</a>", "has 24000 attributes"),
        (f"<a {NAMESPACES}/>", "the document has 129 namespace declarations, expected at most"),
        (f"<a>{'<b/>' * MESSAGE.tags}</a>", "the document has 8194 tags, expected at most 8192"),
        (f"<a>{'<!---->' * MESSAGE.tags}</a>", "the document has 8194 tags"),
        (f"<a>{'<?b?>' * MESSAGE.tags}</a>", "the document has 8194 tags"),
        (f'<a xmlns = "{"n" * (MAX_NAMESPACE + 1)}"/>', "a namespace of more than 1024 bytes"),
        (f"<b:a xmlns:b='{'n' * (MAX_NAMESPACE + 1)}'/>", "a namespace of more than 1024 bytes"),
        (f"<a>{'<b>' * 300}{'</b>' * 300}</a>", "elements are nested more than 256 deep"),
        (f"<{'a' * 60_000}/>", "a name is longer than 50000 bytes"),
    ],
    ids=range(10),
)
def test_a_document_beyond_a_bound_is_refused(xml: str, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        parse_xml(xml.encode(), "the document")


def test_a_document_within_the_bounds_is_parsed() -> None:
    attributes = ATTRIBUTES.rpartition(" ")[0]
    namespaces = NAMESPACES.rpartition(" ")[0]
    children = "<b/>" * (MESSAGE.tags - 2)
    root = parse_xml(f"<a {namespaces} {attributes}>{children}</a>".encode(), "the document")
    assert len(root.attrib) == MESSAGE.attributes
    assert len(root.nsmap) == MESSAGE.declarations
    assert len(root) == MESSAGE.tags - 2


@pytest.mark.parametrize("text", ["xmlns", "xmlns:", "xmlns:a ", "xmlns:xmlns"])
def test_the_word_of_declarations_may_be_in_a_text_any_number_of_times(text: str) -> None:
    # Each began a search to the end of the text once: this took minutes.
    text *= 100_000
    assert parse_xml(f"<a>{text}</a>".encode(), "the document", RECORDS).text == text


def test_plaintexts_and_files_may_have_more_tags() -> None:
    text = f"<a>{'<b/>' * 20_000}</a>".encode()
    for bounds in (RECORDS, FILE):
        assert len(parse_xml(text, "the document", bounds)) == 20_000


@pytest.mark.parametrize(
    "name", [name for name in hostile.SHAPES if "KIDs" not in name and "lists" not in name]
)
def test_hostile_challenges_are_refused_or_opened_without_canonical_form_beyond_the_bounds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = elements.canonical
    lengths: list[int] = []

    def canonical(element: etree._Element) -> bytes:
        lengths.append(max(len(each.attrib) for each in element.iter(etree.Element)))
        return written(element)

    monkeypatch.setattr("rightsmanager.protocol.xml.xmlsec.canonical", canonical)
    hostile.measure(opener().open, hostile.SHAPES[name](32 * 1024))
    assert max(lengths, default=0) <= MESSAGE.attributes


@pytest.mark.parametrize("count", [0, MAX_CHAINS + 1])
def test_the_number_of_chains_is_bounded(count: int) -> None:
    plaintext = second.data(*[b"x"] * count).encode()
    body = second.with_plaintext(world.CLIENT, hostile.WISH, plaintext)
    with pytest.raises(InvalidMessage, match=f"CertificateChains has {count} CertificateChain"):
        opener().open(body)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is empty"),
        (b"challenge=", r"it begins with 'challenge=', expected an element"),
        (b"\x1f\x8b\x08\x00", "it is compressed with gzip, expected plain text"),
        (b"<a>\n<b>", "it ends inside an element, at line 2, column 4"),
        (b"<a></b>", "an end tag has another name than its start tag"),
        (b"<a>\x00</a>", "a character is not allowed in XML"),
        (b"<a>\xff</a>", "bytes are not UTF-8"),
        (b"<x:a/>", "a prefix is not declared"),
        (b"<a/><a/>", "something follows the root element"),
        (b"<?xml version='2.0'?><a>", "the markup is wrong, at line 1"),
    ],
)
def test_the_reason_names_what_is_wrong_with_the_document(text: bytes, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=f"the document is not well-formed XML: {reason}"):
        parse_xml(text, "the document")


@given(st.binary(max_size=60))
def test_no_reason_has_the_words_of_the_parser(data: bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_xml(b"<a></b>" + data, "the document")
    for word in ("<string>", "StartTag", "PCDATA", "Char 0x", "xmlParse"):
        assert word not in caught.value.text
