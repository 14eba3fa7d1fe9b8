"""Parses XML of unknown origin: within bounds, without entities, and with refusals in plain words.

The bounds are checked before anything is canonicalised. Canonicalisation sorts the attributes of an
element by insertion, and looks up a prefix by walking the declarations of all ancestors, so without
bounds its time grows with the square of the message: 1 MiB of attributes took 46 s of CPU.
tests/bench/hostile.py prints the growth for hostile shapes.
"""

import re
from typing import Final, NamedTuple

from lxml import etree

from rightsmanager.errors import InvalidMessage


class Bounds(NamedTuple):
    """The largest accepted document; the parser itself bounds depth to 256 and names to 50,000."""

    tags: int
    """Start tags, end tags, comments and instructions together."""
    declarations: int
    """Occurrences of `xmlns`."""
    all_attributes: int
    """Occurrences of `="`, which are attributes in all but a few texts."""
    attributes: int = 64
    """Attributes of one element."""


MESSAGE: Final = Bounds(tags=8192, declarations=128, all_attributes=2**14)
"""For all that may be canonicalised: messages and headers."""
RECORDS: Final = Bounds(tags=2**19, declarations=2**19, all_attributes=2**16)
"""For plaintexts, which may hold 10,000 metering records and are never canonicalised."""
FILE: Final = Bounds(tags=2**22, declarations=2**22, all_attributes=2**22)
"""For files of the operator, such as lists of keys."""
MAX_NAMESPACE: Final = 1024
"""Bytes of a namespace's name."""

_PARSER: Final = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    remove_pis=False,
    remove_comments=False,
    huge_tree=False,
    collect_ids=False,
)
_PROLOG_WITH_DTD: Final = re.compile(rb"(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
"""A document type declaration is well-formed in the prolog only."""
# A prefix ends at a colon and nowhere else begins one: otherwise each `xmlns` of a text begins a
# search to its end, and 200 kB took 16 s.
_LONG_NAMESPACE: Final = re.compile(
    rb"xmlns(?::[^=<>\"'\s:]*+)?\s*+=\s*+[\"'][^\"'<]{%d}" % (MAX_NAMESPACE + 1)
)
_GZIP: Final = b"\x1f\x8b"
_REASONS: Final = {
    "ERR_DOCUMENT_END": "something follows the root element",
    "ERR_TAG_NOT_FINISHED": "it ends inside an element",
    "ERR_TAG_NAME_MISMATCH": "an end tag has another name than its start tag",
    "ERR_NAME_REQUIRED": "a '<' or '&' is not followed by a name",
    "ERR_GT_REQUIRED": "a tag has no end",
    "ERR_LTSLASH_REQUIRED": "an element has no end tag",
    "ERR_LT_IN_ATTRIBUTE": "an attribute's value has a '<'",
    "ERR_ATTRIBUTE_NOT_STARTED": "an attribute's value has no quotes",
    "ERR_ATTRIBUTE_NOT_FINISHED": "an attribute's value has no end",
    "ERR_ATTRIBUTE_WITHOUT_VALUE": "an attribute has no value",
    "ERR_ATTRIBUTE_REDEFINED": "an element has an attribute twice",
    "ERR_INVALID_CHAR": "a character is not allowed in XML",
    "ERR_INVALID_ENCODING": "bytes are not UTF-8",
    "ERR_UNDECLARED_ENTITY": "an entity is not declared",
    "ERR_MISPLACED_CDATA_END": "a text has ']]>'",
    "ERR_HYPHEN_IN_COMMENT": "a comment has '--'",
    "ERR_RESOURCE_LIMIT": "elements are nested more than 256 deep",
    "ERR_NAME_TOO_LONG": "a name is longer than 50000 bytes",
    "NS_ERR_UNDEFINED_NAMESPACE": "a prefix is not declared",
    "NS_ERR_XML_NAMESPACE": "a namespace declaration is not allowed",
}
_REASONS_BY_CODE: Final = {getattr(etree.ErrorTypes, name): text for name, text in _REASONS.items()}
_OTHER_REASON: Final = "the markup is wrong"


def parse_xml(text: bytes, name: str, bounds: Bounds = MESSAGE) -> etree._Element:
    """Return the root element of a UTF-8 document; raises InvalidMessage that names `name`."""
    _refuse_size(text, name, bounds)
    if b"!" in text and _PROLOG_WITH_DTD.match(text):
        raise InvalidMessage(f"{name} has a document type declaration, expected none")
    try:
        root = etree.fromstring(text, _PARSER)
    except etree.XMLSyntaxError as error:
        raise InvalidMessage(f"{name} is not well-formed XML: {_explain(error, text)}") from None
    # Two quotes an attribute: most messages have too few for any element to exceed the bound.
    if text.count(b'"') + text.count(b"'") > 2 * bounds.attributes:
        _refuse_attributes(root, name, bounds)
    return root


def _refuse_size(text: bytes, name: str, bounds: Bounds) -> None:
    # Counting bytes bounds what the parser would find, at a fraction of its time.
    tags, declarations = text.count(b"<"), text.count(b"xmlns")
    if tags > bounds.tags:
        raise InvalidMessage(f"{name} has {tags} tags, expected at most {bounds.tags}")
    if declarations > bounds.declarations:
        raise InvalidMessage(
            f"{name} has {declarations} namespace declarations, "
            f"expected at most {bounds.declarations}"
        )
    attributes = text.count(b'="') + text.count(b"='")
    if attributes > bounds.all_attributes:
        raise InvalidMessage(
            f"{name} has {attributes} attributes, expected at most {bounds.all_attributes}"
        )
    if len(text) > MAX_NAMESPACE and _LONG_NAMESPACE.search(text):
        raise InvalidMessage(
            f"{name} has a namespace of more than {MAX_NAMESPACE} bytes, expected a shorter one"
        )


def _refuse_attributes(root: etree._Element, name: str, bounds: Bounds) -> None:
    for element in root.iter(etree.Element):
        count = len(element.attrib)
        if count > bounds.attributes:
            raise InvalidMessage(
                f"{name} has an element with {count} attributes, "
                f"expected at most {bounds.attributes}"
            )


def _explain(error: etree.XMLSyntaxError, text: bytes) -> str:
    """Return the reason in words about the document, not about the parser."""
    if text.startswith(_GZIP):
        return "it is compressed with gzip, expected plain text"
    if error.code == etree.ErrorTypes.ERR_DOCUMENT_EMPTY:
        start = text[:16].decode("ascii", "backslashreplace")
        return f"it begins with {start!r}, expected an element" if text else "it is empty"
    line, column = error.position
    reason = _REASONS_BY_CODE.get(error.code, _OTHER_REASON)
    return f"{reason}, at line {line}, column {column}"
