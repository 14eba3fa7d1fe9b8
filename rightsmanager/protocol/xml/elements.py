"""Reading one element of a message: its children, texts and numbers.

Reading is strict about what is read: exactly one child of a name, text without child nodes,
numbers in decimal. Other children are ignored.
"""

import re
from collections.abc import Collection
from copy import deepcopy
from typing import Final

from lxml import etree

from rightsmanager.errors import InvalidMessage

_MAX_DIGITS: Final = len(str(2**64))
WHITE_SPACE: Final = " \t\r\n"
"""XML's own; `str.strip` without an argument would remove more."""


def child(parent: etree._Element, namespace: str, name: str) -> etree._Element:
    """Return the only child of that name; raises InvalidMessage if it is missing or repeated."""
    tag = f"{{{namespace}}}{name}" if namespace else name
    found = list(parent.iterchildren(tag))
    if len(found) != 1:
        raise _not_one(parent, tag, len(found))
    return found[0]


def descend(parent: etree._Element, *tags: str) -> etree._Element:
    """Return the only child of the only child of … the parent, by tags `{namespace}name`.

    Raises InvalidMessage if one of them is missing or repeated.
    """
    for tag in tags:
        found = list(parent.iterchildren(tag))
        if len(found) != 1:
            raise _not_one(parent, tag, len(found))
        parent = found[0]
    return parent


def optional_child(parent: etree._Element, namespace: str, name: str) -> etree._Element | None:
    """Return the only child of that name or None; raises InvalidMessage if it is repeated."""
    tag = f"{{{namespace}}}{name}" if namespace else name
    found = list(parent.iterchildren(tag))
    if len(found) > 1:
        raise _not_one(parent, tag, len(found))
    return found[0] if found else None


class Fields:
    """The children of an element in one namespace by local name, collected in one pass.

    Raises InvalidMessage for a repeated name that is not in `repeated`; a missing name is refused
    when it is read.
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
            # The tag of a comment or a processing instruction is not a string.
            if not (isinstance(tag, str) and tag.startswith(prefix)):
                continue
            first = self._found.setdefault(tag[length:], element)
            if first is not element and tag[length:] not in repeated:
                raise _not_one(parent, tag, 2)

    def element(self, name: str) -> etree._Element:
        """Return the child of that name."""
        found = self._found.get(name)
        if found is None:
            raise self._missing(name)
        return found

    def optional(self, name: str) -> etree._Element | None:
        """Return the child of that name or None."""
        return self._found.get(name)

    def text(self, name: str) -> str:
        """Return the text of the child of that name without surrounding white space."""
        found = self._found.get(name)
        if found is None:
            raise self._missing(name)
        if len(found):
            raise _has_children(found)
        return (found.text or "").strip(WHITE_SPACE)

    def optional_text(self, name: str) -> str | None:
        """Return the text of the child of that name, unchanged, or None."""
        found = self._found.get(name)
        return None if found is None else text_in(found)

    def number(self, name: str) -> int:
        """Return the unsigned decimal number in the child of that name, below 2^64."""
        return parse_number(self.text(name), name)

    def _missing(self, name: str) -> InvalidMessage:
        return InvalidMessage(f"{local_name(self._parent)} has no element {name}")


def text_of(parent: etree._Element, namespace: str, name: str) -> str:
    """Return the text of the only child of that name without surrounding white space."""
    return text_in(descend(parent, f"{{{namespace}}}{name}" if namespace else name)).strip(
        WHITE_SPACE
    )


def text_at(parent: etree._Element, *tags: str) -> str:
    """Return the text of the element that `descend` finds, without surrounding white space."""
    element = descend(parent, *tags)
    if len(element):
        raise _has_children(element)
    return (element.text or "").strip(WHITE_SPACE)


def optional_text(parent: etree._Element, namespace: str, name: str) -> str | None:
    """Return the text of the only child of that name, unchanged, or None."""
    found = optional_child(parent, namespace, name)
    return None if found is None else text_in(found)


def number_of(parent: etree._Element, namespace: str, name: str) -> int:
    """Return the unsigned decimal number in the only child of that name, below 2^64."""
    return parse_number(text_of(parent, namespace, name), name)


def parse_number(text: str, name: str) -> int:
    """Return an unsigned decimal number below 2^64; raises InvalidMessage that names `name`."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) < 2**64):
        raise InvalidMessage(f"{name} is {text[:32]!r}, expected a decimal number below 2^64")
    return int(text)


def plain_text(element: etree._Element) -> str:
    """Return the text of an element without child nodes, without surrounding white space."""
    return text_in(element).strip(WHITE_SPACE)


def text_in(element: etree._Element) -> str:
    """Return the text of an element; raises InvalidMessage if it has child nodes."""
    if len(element):
        raise _has_children(element)
    return element.text or ""


def _has_children(element: etree._Element) -> InvalidMessage:
    return InvalidMessage(f"{local_name(element)} has child nodes, expected text only")


def canonical(element: etree._Element) -> bytes:
    """Return the exclusive C14N of the element: the bytes that a signature over it covers.

    Raises InvalidMessage where there is none, such as for a relative namespace.
    """
    try:
        return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError:
        return _canonical_copy(element)


def _canonical_copy(element: etree._Element) -> bytes:
    # A relative namespace that an ancestor declares is not part of this element. A copy has only
    # the declarations that it uses.
    alone = deepcopy(element)
    try:
        return etree.tostring(alone, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError as error:
        raise InvalidMessage(f"{local_name(element)} has no canonical form: {error}") from None


def raw_slice(element: etree._Element, document: bytes) -> bytes:
    """Return the document from the element's first start tag to its last end tag, or nothing.

    Comments and other elements of the same name may make this something else than the element:
    parse it and compare before use.
    """
    name = local_name(element)
    qualified = (f"{element.prefix}:{name}" if element.prefix else name).encode()
    start = re.search(rb"<" + re.escape(qualified) + rb"[\s>]", document)
    end = b"</" + qualified + b">"
    stop = document.rfind(end)
    if start is None or stop < start.start():
        return b""
    return document[start.start() : stop + len(end)]


def local_name(element: etree._Element) -> str:
    """Return the element's name without its namespace."""
    return split_tag(str(element.tag))[1]


def split_tag(tag: str) -> tuple[str, str]:
    """Return namespace and local name of `{namespace}name`."""
    # etree.QName refuses some namespaces that the parser accepts.
    namespace, _, name = tag.rpartition("}")
    return namespace[1:], name


def _not_one(parent: etree._Element, tag: str, count: int) -> InvalidMessage:
    namespace, name = split_tag(tag)
    if count:
        return InvalidMessage(f"{local_name(parent)} has several elements {name}, expected one")
    return InvalidMessage(f"{local_name(parent)} has no element {name} of namespace {namespace!r}")
