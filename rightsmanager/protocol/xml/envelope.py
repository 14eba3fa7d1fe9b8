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
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import permutations
from typing import Final

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.xml.elements import clark
from rightsmanager.protocol.xml.fastpath import CanonicalChallenge, find_license_form


class SoapVersion(Enum):
    """The two versions, by their envelope's namespace."""

    SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
    SOAP12 = "http://www.w3.org/2003/05/soap-envelope"

    @property
    def namespace(self) -> str:
        """The envelope's namespace."""
        return self.value


def _namespaces(version: SoapVersion) -> Iterator[tuple[str, ...]]:
    """Yield the declarations that clients write in the envelope's start tag, in each order."""
    soap = f' xmlns:soap="{version.namespace}"'
    xsi = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    xsd = ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    yield (soap,)
    yield from permutations((soap, xsi, xsd))


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
_BODY_TAG: Final = b"<soap:Body>"
_DECLARATIONS: Final = (
    "",
    '<?xml version="1.0" encoding="utf-8"?>',
    '<?xml version="1.0" encoding="UTF-8"?>',
)
_HEADS: Final = {
    (declaration + f"<soap:Envelope{''.join(names)}>").encode() + _BODY_TAG: version
    for version in SoapVersion
    for declaration in _DECLARATIONS
    for names in _namespaces(version)
}
"""How nearly all clients begin an envelope."""
_MAX_HEAD: Final = max(map(len, _HEADS))
_PROLOG_WITH_DTD: Final = re.compile(rb"(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
"""A declaration is well-formed in the prolog only, so nowhere else need be searched."""


# No slots: `cached_property` keeps what it made in the instance's dictionary.
@dataclass(frozen=True, eq=False)
class Envelope:
    """One parsed request: the version, the operation's name, and the bytes both were read from."""

    version: SoapVersion
    operation: str
    namespace: str
    must_understand: tuple[str, ...]
    """Header blocks that the sender demands to be understood, in Clark notation."""
    text: bytes = field(repr=False)
    """The whole document in UTF-8 without byte order mark."""
    plain_text: bytes = field(repr=False)
    """The text if it holds nothing but tags and text, else nothing.

    Without comments, CDATA sections and processing instructions, what looks like a tag is one,
    and an element can be told in the text.
    """
    license_form: CanonicalChallenge | None = field(default=None, repr=False)
    """What an AcquireLicense challenge says whose whole text has the usual form."""

    @cached_property
    def element(self) -> etree._Element:
        """The operation's element; only `rightsmanager.protocol` looks into it."""
        return _operation(parse_xml(self.text, "the request"), _BODY[self.version])


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
    return _recognise(text) or _parse(text)


def _recognise(text: bytes) -> Envelope | None:
    """Return the envelope of a challenge in the usual form, None for any other text."""
    start = text.find(_BODY_TAG, 0, _MAX_HEAD) + len(_BODY_TAG)
    version = _HEADS.get(text[:start])
    form = None if version is None else find_license_form(text, start)
    if version is None or form is None:
        return None
    return Envelope(version, "AcquireLicense", PROTOCOLS, (), text, text, form)


def _parse(text: bytes) -> Envelope:
    root = parse_xml(text, "the request")
    namespace, name = clark(str(root.tag))
    version = _VERSIONS.get(namespace)
    if name != "Envelope" or version is None:
        raise InvalidMessage(
            f"the root element is {root.tag!s}, expected the Envelope of SOAP 1.1 or 1.2"
        )
    operation = _operation(root, _BODY[version])
    namespace, name = clark(str(operation.tag))
    header = root.find(_HEADER[version])
    envelope = Envelope(
        version=version,
        operation=name,
        namespace=namespace,
        must_understand=() if header is None else _must_understand(header, version),
        text=text,
        plain_text=text if _is_plain(text) else b"",
    )
    # Parsed once is enough.
    envelope.__dict__["element"] = operation
    return envelope


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
