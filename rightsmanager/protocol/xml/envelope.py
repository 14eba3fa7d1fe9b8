"""The SOAP envelope of a request, read from its bytes alone.

    Envelope [ http://schemas.xmlsoap.org/soap/envelope/  = SOAP 1.1
             | http://www.w3.org/2003/05/soap-envelope    = SOAP 1.2 ]
      Header ?
      Body
        the operation's element, exactly one

The text is UTF-8 or UTF-16, each with or without a byte order mark; the encoding in the XML
declaration is ignored. A document type declaration is refused, and with it every entity.
"""

import codecs
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.xml.elements import split_tag
from rightsmanager.protocol.xml.parsing import parse_xml

if TYPE_CHECKING:
    from rightsmanager.protocol.xml.fastpath import CanonicalChallenge


class SoapVersion(Enum):
    """The SOAP versions by the namespace of their envelope."""

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
"""Roles of this server; header blocks for other roles are ignored."""
_UTF16: Final = {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    # Browsers write UTF-16 without a mark, and XML begins with "<".
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
"""Encodings by the first two bytes."""


# No slots: `cached_property` stores its value in the instance's dictionary.
@dataclass(frozen=True, eq=False)
class Envelope:
    """A parsed request: the SOAP version, the operation and the text."""

    version: SoapVersion
    operation: str
    namespace: str
    must_understand: tuple[str, ...]
    """Tags of the header blocks that must be understood, `{namespace}name`."""
    text: bytes = field(repr=False)
    """The whole document in UTF-8 without byte order mark."""
    canonical_challenge: "CanonicalChallenge | None" = field(default=None, repr=False)
    """The values of a usual AcquireLicense challenge; None for any other text."""

    @cached_property
    def element(self) -> etree._Element:
        """The operation's element; only `rightsmanager.protocol` reads it."""
        return _operation(parse_xml(self.text, "the request"), _BODY[self.version])


def parse_envelope(body: bytes, name: str = "the request") -> Envelope:
    """Return the envelope of a body; `name` is the body's in the texts of exceptions.

    Raises InvalidMessage unless the body is one SOAP 1.1 or 1.2 envelope with exactly one element
    in its Body.
    """
    return _parse(_as_utf8(body, name), name)


def _parse(text: bytes, name_of_text: str) -> Envelope:
    if not text or text.isspace():
        raise InvalidMessage(f"{name_of_text} has an empty body, expected a SOAP envelope")
    root = parse_xml(text, name_of_text)
    namespace, name = split_tag(str(root.tag))
    version = _VERSIONS.get(namespace)
    if name != "Envelope" or version is None:
        raise InvalidMessage(
            f"the root element is {root.tag!s}, expected the Envelope of SOAP 1.1 or 1.2"
        )
    operation = _operation(root, _BODY[version])
    namespace, name = split_tag(str(operation.tag))
    header = root.find(_HEADER[version])
    envelope = Envelope(
        version=version,
        operation=name,
        namespace=namespace,
        must_understand=() if header is None else _must_understand(header, version),
        text=text,
    )
    # Spares `Envelope.element` a second parse.
    envelope.__dict__["element"] = operation
    return envelope


def _as_utf8(body: bytes, name: str) -> bytes:
    encoding = _UTF16.get(body[:2])
    if encoding is None:
        return body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode(encoding).encode()
    except UnicodeError:
        raise InvalidMessage(f"{name} is not the UTF-16 its first bytes say") from None


def _operation(root: etree._Element, body_tag: str) -> etree._Element:
    bodies = list(root.iterchildren(body_tag))
    if len(bodies) != 1:
        raise InvalidMessage(f"the Envelope has {len(bodies)} Body elements, expected one")
    # Without the tag, comments and processing instructions would count.
    operations = list(bodies[0].iterchildren(etree.Element))
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
