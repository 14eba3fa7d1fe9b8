"""Plain XML trees, for elements without a reader."""

from collections.abc import Callable
from typing import Final

from rightsmanager.inspection.checks import unless_refused
from rightsmanager.inspection.description import Description
from rightsmanager.protocol.xml.xmlview import Xml

Known = Callable[[Xml], Description | None]

DEEPEST: Final = 32
"""The maximum depth of shown elements; messages need eight levels."""


def describe_plain(element: Xml) -> Description:
    """Return the description of an element with its attributes and children."""
    return describe_element(element, lambda _: None)


def attributes_of(element: Xml) -> tuple[Description, ...]:
    """Return an element's attributes."""
    return tuple(Description(f"@{name}", value) for name, value in element.attributes)


def describe_element(
    element: Xml, known: Known, depth: int = 1, inherited: str = ""
) -> Description:
    """Return the description of an element, with its namespace if it differs from the parent's.

    Known: returns the description of an element with a reader, or None. inherited: the namespace of
    the parent.
    """
    found = known(element)
    if found is not None:
        return found
    children = element.children
    if depth == DEEPEST and children:
        return Description(
            element.name, unless_refused(element.canonical), "too deep to be taken apart"
        )
    text = element.text.strip()
    return Description(
        element.name,
        text or None,
        element.namespace if element.namespace != inherited else None,
        children=(
            *attributes_of(element),
            *(describe_element(child, known, depth + 1, element.namespace) for child in children),
        ),
    )
