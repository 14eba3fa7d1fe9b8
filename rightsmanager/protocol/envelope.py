"""The SOAP envelope as it arrives, told apart by its own bytes.

    Envelope [ http://schemas.xmlsoap.org/soap/envelope/  = SOAP 1.1
             | http://www.w3.org/2003/05/soap-envelope    = SOAP 1.2 ]
      Header ?
      Body
        the operation's element, exactly one

The text is UTF-8 with or without a byte order mark, or UTF-16 with one, whatever the declaration
says. A document type declaration is refused, and with it every entity.
"""

import codecs
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from lxml import etree

from rightsmanager.errors import InvalidMessage


class SoapVersion(Enum):
    """The two versions, by their envelope's namespace."""

    SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
    SOAP12 = "http://www.w3.org/2003/05/soap-envelope"

    @property
    def namespace(self) -> str:
        """The envelope's namespace."""
        return self.value


_VERSIONS: Final = {version.value: version for version in SoapVersion}
_HEADER: Final = {version: f"{{{version.value}}}Header" for version in SoapVersion}
_BODY: Final = {version: f"{{{version.value}}}Body" for version in SoapVersion}
_MUST_UNDERSTAND: Final = {v: f"{{{v.value}}}mustUnderstand" for v in SoapVersion}
_ROLE: Final = {
    SoapVersion.SOAP11: f"{{{SoapVersion.SOAP11.value}}}actor",
    SoapVersion.SOAP12: f"{{{SoapVersion.SOAP12.value}}}role",
}
_OWN_ROLES: Final = {
    "",
    "http://schemas.xmlsoap.org/soap/actor/next",
    SoapVersion.SOAP12.value + "/role/next",
    SoapVersion.SOAP12.value + "/role/ultimateReceiver",
}
"""Header blocks for any other role are not this server's to understand."""
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
_BOMS: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PROLOG_WITH_DTD: Final = re.compile(rb"(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
"""A declaration is well-formed in the prolog only, so nowhere else need be searched."""


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """One parsed request: the version, the operation's name, and the bytes both were read from."""

    version: SoapVersion
    operation: str
    namespace: str
    must_understand: tuple[str, ...]
    """Header blocks that the sender demands to be understood, in Clark notation."""
    text: bytes = field(repr=False)
    """The whole document in UTF-8 without byte order mark."""
    element: etree._Element = field(repr=False)
    """The operation's element; only `rightsmanager.protocol` looks into it."""
    plain_text: bytes = field(repr=False)
    """The text if it holds nothing but tags and text, else nothing.

    Without comments, CDATA sections and processing instructions, what looks like a tag is one,
    and an element can be told in the text.
    """


def parse_xml(text: bytes, name: str) -> etree._Element:
    """Return the root element of a UTF-8 document; raises InvalidMessage, which says `name`."""
    if b"!" in text and _PROLOG_WITH_DTD.match(text):
        raise InvalidMessage(f"{name} has a document type declaration, expected none")
    try:
        return etree.fromstring(text, _PARSER)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidMessage(f"{name} is not well-formed XML: {error}") from None


def parse_envelope(body: bytes) -> Envelope:
    """Return the envelope of a request's body.

    Raises InvalidMessage for anything that is not one SOAP 1.1 or 1.2 envelope with one element
    in its Body.
    """
    text = _as_utf8(body)
    if not text or text.isspace():
        raise InvalidMessage("the request has an empty body, expected a SOAP envelope")
    root = parse_xml(text, "the request")
    namespace, name = _split(str(root.tag))
    version = _VERSIONS.get(namespace)
    if name != "Envelope" or version is None:
        raise InvalidMessage(
            f"the root element is {root.tag!s}, expected the Envelope of SOAP 1.1 or 1.2"
        )
    operation = _operation(root, _BODY[version])
    namespace, name = _split(str(operation.tag))
    header = root.find(_HEADER[version])
    return Envelope(
        version=version,
        operation=name,
        namespace=namespace,
        must_understand=() if header is None else _must_understand(header, version),
        text=text,
        element=operation,
        plain_text=text if _is_plain(text) else b"",
    )


def _is_plain(text: bytes) -> bool:
    # A single byte is found many times faster than two, and most texts have none.
    if b"!" in text and b"<!" in text:
        return False
    after_declaration = text.find(b"?>") + 2 if text.startswith(b"<?") else 0
    return text.find(b"?", after_declaration) < 0 or text.find(b"<?", 1) < 0


def _as_utf8(body: bytes) -> bytes:
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            try:
                return body.decode(encoding).encode()
            except UnicodeError:
                raise InvalidMessage("the request is not the UTF-16 its first bytes say") from None
    return body.removeprefix(codecs.BOM_UTF8)


def _split(tag: str) -> tuple[str, str]:
    """Return namespace and local name of a tag in Clark notation."""
    namespace, _, name = tag.rpartition("}")
    return namespace[1:], name


def _operation(root: etree._Element, body_tag: str) -> etree._Element:
    bodies = [child for child in root if child.tag == body_tag]
    if len(bodies) != 1:
        raise InvalidMessage(f"the Envelope has {len(bodies)} Body elements, expected one")
    # The tag of a comment or a processing instruction is no string.
    operations = [child for child in bodies[0] if isinstance(child.tag, str)]
    if len(operations) != 1:
        raise InvalidMessage(f"the Body has {len(operations)} elements, expected one operation")
    return operations[0]


def _must_understand(header: etree._Element, version: SoapVersion) -> tuple[str, ...]:
    return tuple(
        str(block.tag)
        for block in header.iterchildren(tag=etree.Element)
        if block.get(_MUST_UNDERSTAND[version], "").strip() in {"1", "true"}
        and block.get(_ROLE[version], "").strip() in _OWN_ROLES
    )
