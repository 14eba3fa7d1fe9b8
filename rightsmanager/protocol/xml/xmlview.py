"""A read-only view of any message's XML, with each check of its protection on its own.

The readers of the operations accept a whole message or refuse it. This view shows the content of a
message that is refused, and which check fails; it trusts nothing.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Self

from lxml import etree

from rightsmanager.protocol.wire import XMLDSIG
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import canonical, local_name, split_tag
from rightsmanager.protocol.xml.envelope import Envelope
from rightsmanager.protocol.xml.parsing import RECORDS, parse_xml


@dataclass(frozen=True, slots=True, eq=False)
class Xml:
    """One element, read only."""

    _element: etree._Element = field(repr=False)

    @classmethod
    def parse(cls, text: bytes, name: str) -> Self:
        """Return the root of a UTF-8 document; raises InvalidMessage that names `name`."""
        return cls(parse_xml(text, name, RECORDS))

    @classmethod
    def operation(cls, envelope: Envelope) -> Self:
        """Return the element in an envelope's Body."""
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
        if not len(self._element):
            return self._element.text or ""
        return "".join((self._element.text or "", *(part.tail or "" for part in self._element)))

    @property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """Local names and values, in the order of the document."""
        if not self._element.attrib:
            return ()
        return tuple(
            (split_tag(str(name))[1], str(value)) for name, value in self._element.attrib.items()
        )

    @property
    def children(self) -> tuple["Xml", ...]:
        """The elements directly in it."""
        if not len(self._element):
            return ()
        return tuple(map(Xml, self._element.iterchildren(tag=etree.Element)))

    def has_any(self, names: Collection[str]) -> bool:
        """Return whether this element or one in it has one of some local names."""
        return any(local_name(each) in names for each in self._element.iter(etree.Element))

    def canonical(self) -> str:
        """Return exclusive C14N of the element as it stands alone.

        Raises InvalidMessage if it has none: a relative namespace is well-formed and forbids it.
        """
        return canonical(self._element).decode()

    def find_all(self, name: str) -> Iterator["Xml"]:
        """Yield each element of that local name, also this element itself."""
        return map(Xml, self._element.iter(f"{{*}}{name}"))

    def find(self, name: str) -> "Xml | None":
        """Return the first element of that local name."""
        return next(self.find_all(name), None)

    def signed(self) -> tuple["Xml", ...]:
        """Return each element with the Id of the signed one."""
        return tuple(
            Xml(element)
            for element in self._element.iter(etree.Element)
            if element.get("Id") == xmlsec.SIGNED_ID
        )

    def signature(self) -> "Xml | None":
        """Return the next Signature among the following siblings."""
        found = next(self._element.itersiblings(f"{{{XMLDSIG}}}Signature"), None)
        return None if found is None else Xml(found)


def parse_signature(view: Xml) -> xmlsec.Signature:
    """Return the values of a Signature element; raises InvalidMessage."""
    return xmlsec.parse_signature(view._element)  # noqa: SLF001 -- the view's own module


def parse_encrypted(view: Xml) -> xmlsec.Encrypted:
    """Return the values of an EncryptedData element; raises InvalidMessage."""
    return xmlsec.parse_encrypted(view._element)  # noqa: SLF001 -- the view's own module


def verify_digest(view: Xml, signature: xmlsec.Signature, document: bytes) -> None:
    """Verify that the element has the promised digest; raises InvalidMessage.

    `document` is the UTF-8 text that the element was parsed from.
    """
    xmlsec.verify_digest(view._element, signature, document)  # noqa: SLF001 -- as above
