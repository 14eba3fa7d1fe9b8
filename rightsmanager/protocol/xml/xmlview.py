"""A message's XML seen from outside: what stands there, and each check of its protection alone.

The operations' own readers take a message whole or refuse it. This view is for who wants to know
which check fails, and to see the rest nevertheless; it trusts nothing and alters nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import XMLDSIG
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import canonical, local_name, split_tag
from rightsmanager.protocol.xml.envelope import Envelope, parse_xml


@dataclass(frozen=True, slots=True, eq=False)
class Xml:
    """One element, read only."""

    _element: etree._Element = field(repr=False)

    @classmethod
    def parse(cls, text: bytes, name: str) -> Self:
        """Return the root of a UTF-8 document; raises InvalidMessage, which says `name`."""
        return cls(parse_xml(text, name))

    @classmethod
    def operation(cls, envelope: Envelope) -> Self:
        """Return the one element of an envelope's Body."""
        return cls(envelope.element)

    @property
    def namespace(self) -> str:
        """The namespace, "" for none."""
        return split_tag(str(self._element.tag))[0]

    @property
    def name(self) -> str:
        """The local name."""
        return local_name(self._element)

    @property
    def text(self) -> str:
        """All text directly in the element."""
        return "".join((self._element.text or "", *(part.tail or "" for part in self._element)))

    @property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """Local names and values, in the order of the document."""
        return tuple(
            (split_tag(str(name))[1], str(value)) for name, value in self._element.attrib.items()
        )

    @property
    def children(self) -> tuple["Xml", ...]:
        """The elements directly in it."""
        return tuple(map(Xml, self._element.iterchildren(tag=etree.Element)))

    def canonical(self) -> str:
        """Return exclusive C14N of the element as it stands alone.

        Raises InvalidMessage if it has none: a relative namespace is well-formed and forbids it.
        """
        try:
            return canonical(self._element).decode()
        except etree.C14NError as error:
            raise InvalidMessage(f"{self.name} has no canonical form: {error}") from None

    def find_all(self, name: str) -> Iterator["Xml"]:
        """Give each element of that local name, the element itself among them."""
        return map(Xml, self._element.iter(f"{{*}}{name}"))

    def find(self, name: str) -> "Xml | None":
        """Return the first element of that local name."""
        return next(self.find_all(name), None)

    def signed(self) -> tuple["Xml", ...]:
        """Return every element that says it is the signed one."""
        return tuple(
            Xml(element)
            for element in self._element.iter(etree.Element)
            if element.get("Id") == xmlsec.SIGNED_ID
        )

    def signature(self) -> "Xml | None":
        """Return the Signature that stands beside it, right after."""
        found = next(self._element.itersiblings(f"{{{XMLDSIG}}}Signature"), None)
        return None if found is None else Xml(found)


def parse_signature(view: Xml) -> xmlsec.Signature:
    """Return what a Signature element says; raises InvalidMessage."""
    view.canonical()  # SignedInfo has a canonical form if all of Signature has one.
    return xmlsec.parse_signature(view._element)  # noqa: SLF001 -- the view's own module


def parse_encrypted(view: Xml) -> xmlsec.Encrypted:
    """Return what an EncryptedData element says; raises InvalidMessage."""
    return xmlsec.parse_encrypted(view._element)  # noqa: SLF001 -- the view's own module


def verify_digest(view: Xml, signature: xmlsec.Signature, document: bytes) -> None:
    """Return if the element has the promised digest; raises InvalidMessage.

    `document` is the UTF-8 text that the element was parsed from.
    """
    view.canonical()
    xmlsec.verify_digest(view._element, signature, document)  # noqa: SLF001 -- as above
