"""Plain XML trees, for elements without a reader."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rightsmanager.inspection.checks import unless_refused
from rightsmanager.inspection.description import REST, Description
from rightsmanager.protocol.xml.xmlview import Xml

DEEPEST: Final = 32
"""The maximum depth of shown elements; messages need eight levels."""
MAX_SIBLINGS: Final = 5000
"""The elements in one other that are shown; of the rest only those with a reader in them are."""


@dataclass(frozen=True, slots=True)
class Readers:
    """The elements that have their own descriptions."""

    names: frozenset[str]
    """Local names; an element of another name has no reader."""
    read: Callable[[Xml], Description | None]
    """Returns the description of an element, None for one that it does not read."""


_NO_NAMESPACE: Final = "no namespace"
PLAIN: Final = Readers(frozenset(), lambda _: None)


def describe_plain(element: Xml) -> Description:
    """Return the description of an element with its attributes and children."""
    return describe_element(element, PLAIN)


def attributes_of(element: Xml) -> tuple[Description, ...]:
    """Return an element's attributes."""
    return tuple(Description(f"@{name}", value) for name, value in element.attributes)


def describe_element(
    element: Xml, readers: Readers, depth: int = 1, inherited: str = ""
) -> Description:
    """Return the description of an element, with its namespace if it differs from the parent's.

    inherited: the namespace of the parent.
    """
    found = readers.read(element)
    if found is not None:
        return found
    name, namespace, children = element.name, element.namespace, element.children
    if depth == DEEPEST and children:
        return Description(name, unless_refused(element.canonical), "too deep to be taken apart")
    shown = children if len(children) <= MAX_SIBLINGS else tuple(_shown(children, readers))
    parts = [describe_element(child, readers, depth + 1, namespace) for child in shown]
    if len(shown) < len(children):
        parts.append(Description(REST, len(children) - len(shown), "more elements"))
    return Description(
        name,
        element.text.strip() or None,
        (namespace or _NO_NAMESPACE) if namespace != inherited else None,
        children=(*attributes_of(element), *parts),
    )


def _shown(children: tuple[Xml, ...], readers: Readers) -> Iterator[Xml]:
    """Yield the first elements, and the others that have something to check in them."""
    yield from children[:MAX_SIBLINGS]
    yield from (each for each in children[MAX_SIBLINGS:] if each.has_any(readers.names))
