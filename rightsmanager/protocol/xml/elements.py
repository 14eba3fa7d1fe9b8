"""An element of a message: its children and texts, and how it stands in the document's text.

Reading is strict about what is asked for: one child of a name, text and nothing else in it, numbers
in decimal. What nobody asks for is left alone.

A text that holds nothing but tags and text (`Envelope.plain_text`) can be searched for an element:
what looks like a tag in it is one.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from lxml import etree

from rightsmanager.errors import InvalidMessage

_DIGITS: Final = len(str(2**64))
WHITE_SPACE: Final = " \t\r\n"
"""XML's own; Python's would strip more."""
_AFTER_NAME: Final = b" \t\r\n/>"
"""What may follow the name in a start tag."""


def child(parent: etree._Element, namespace: str, name: str) -> etree._Element:
    """Return the one child of that name; raises InvalidMessage if there is none or several."""
    found = optional_child(parent, namespace, name)
    if found is None:
        raise InvalidMessage(
            f"{local_name(parent)} has no element {name} of namespace {namespace!r}"
        )
    return found


def optional_child(parent: etree._Element, namespace: str, name: str) -> etree._Element | None:
    """Return the child of that name or None; raises InvalidMessage if there are several."""
    found = parent.iterchildren(f"{{{namespace}}}{name}" if namespace else name)
    first = next(found, None)
    if first is not None and next(found, None) is not None:
        raise InvalidMessage(f"{local_name(parent)} has several elements {name}, expected one")
    return first


class Fields:
    """The children of an element by local name, found in one pass; each may stand there once.

    Children of another namespace are not seen. Raises InvalidMessage for a name that is there
    twice, unless it may be `repeated`, or, when it is asked for, not at all.
    """

    __slots__ = ("_found", "_parent")

    def __init__(
        self, parent: etree._Element, namespace: str, repeated: Collection[str] = ()
    ) -> None:
        prefix = f"{{{namespace}}}" if namespace else ""
        length = len(prefix)
        self._parent = parent
        self._found: dict[str, etree._Element] = {}
        for element in parent:
            tag = element.tag
            # The tag of a comment or a processing instruction is no string.
            if not (isinstance(tag, str) and tag.startswith(prefix)):
                continue
            first = self._found.setdefault(tag[length:], element)
            if first is not element and tag[length:] not in repeated:
                raise InvalidMessage(
                    f"{local_name(parent)} has several elements {tag[length:]}, expected one"
                )

    def element(self, name: str) -> etree._Element:
        """Return the child of that name."""
        found = self._found.get(name)
        if found is None:
            raise InvalidMessage(f"{local_name(self._parent)} has no element {name}")
        return found

    def optional(self, name: str) -> etree._Element | None:
        """Return the child of that name or None."""
        return self._found.get(name)

    def text(self, name: str) -> str:
        """Return the text of the child of that name, without the white space around it."""
        return plain_text(self.element(name))

    def optional_text(self, name: str) -> str | None:
        """Return the text of the child of that name, unchanged, or None."""
        found = self._found.get(name)
        return None if found is None else _text(found)

    def number(self, name: str) -> int:
        """Return the unsigned decimal number in the child of that name, below 2^64."""
        return number_in(self.text(name), name)


def text_of(parent: etree._Element, namespace: str, name: str) -> str:
    """Return the text of the one child of that name, without the white space around it."""
    return plain_text(child(parent, namespace, name))


def optional_text(parent: etree._Element, namespace: str, name: str) -> str | None:
    """Return the text of the child of that name, unchanged, or None."""
    found = optional_child(parent, namespace, name)
    return None if found is None else _text(found)


def number_of(parent: etree._Element, namespace: str, name: str) -> int:
    """Return the unsigned decimal number in the one child of that name, below 2^64."""
    return number_in(text_of(parent, namespace, name), name)


def number_in(text: str, name: str) -> int:
    """Return the unsigned decimal number that a text is, below 2^64; `name` is whose text."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) < 2**64):
        raise InvalidMessage(f"{name} is {text[:32]!r}, expected a decimal number below 2^64")
    return int(text)


def plain_text(element: etree._Element) -> str:
    """Return the text of an element that may hold nothing else, without white space around it."""
    return _text(element).strip(WHITE_SPACE)


def canonical(element: etree._Element) -> bytes:
    """Return exclusive C14N of the element: what a signature over it covers.

    Raises InvalidMessage for what has none, such as a relative namespace.
    """
    try:
        return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError as error:
        raise InvalidMessage(f"{local_name(element)} has no canonical form: {error}") from None


def _text(element: etree._Element) -> str:
    if next(element.iterchildren(), None) is not None:
        raise InvalidMessage(f"{local_name(element)} has child nodes, expected text only")
    return element.text or ""


def local_name(element: etree._Element) -> str:
    """Return the element's name without its namespace."""
    return clark(str(element.tag))[1]


def clark(tag: str) -> tuple[str, str]:
    """Return namespace and local name of `{namespace}name`; lxml's own fails at some namespaces."""
    namespace, _, name = tag.rpartition("}")
    return namespace[1:], name


# --- in the text ----------------------------------------------------------------------------------


def written(element: etree._Element, plain: bytes) -> bytes:
    """Return the element as it stands in a plain text if it says the same alone, else nothing.

    It does if it is the only one of its name, declares its own default namespace, and uses no
    prefix that the elements around it declare.
    """
    name = local_name(element).encode()
    start, end = only_tag(element, name, plain), b"</" + name + b">"
    text = plain[start : plain.rfind(end) + len(end)] if start >= 0 else b""
    if not text.startswith(b"<" + name + b' xmlns="'):
        return b""
    parent = element.getparent()
    prefixes = () if parent is None else filter(None, parent.nsmap)
    return b"" if any(prefix.encode() + b":" in text for prefix in prefixes) else text


def only_tag(element: etree._Element, name: bytes, plain: bytes) -> int:
    """Return where in a plain text the element begins if no other has its name, else -1."""
    tag = b"<" + name
    found = [at for at in _places(tag, plain) if plain[at + len(tag)] in _AFTER_NAME]
    return found[0] if len(found) == 1 and element.prefix is None else -1


def _places(piece: bytes, text: bytes) -> Iterator[int]:
    at = text.find(piece)
    while at >= 0:
        yield at
        at = text.find(piece, at + 1)


def raw_slice(element: etree._Element, document: bytes) -> bytes:
    """Return what may be the element as it was written; to be parsed before it is believed."""
    name = _qualified_name(element).encode()
    start = re.search(rb"<" + re.escape(name) + rb"[\s>]", document)
    end = b"</" + name + b">"
    stop = document.rfind(end)
    if start is None or stop < start.start():
        return b""
    return document[start.start() : stop + len(end)]


def _qualified_name(element: etree._Element) -> str:
    return f"{element.prefix}:{local_name(element)}" if element.prefix else local_name(element)
