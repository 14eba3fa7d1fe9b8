"""Readers of nested objects, of licences and certificates, that tolerate damaged objects.

    object  flags u16 (1 must understand, 2 container), type u16, length u32 with this head, body

Parts that a strict parser refuses are kept as bytes, with the reason.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.description import Check, Description, Outcome
from rightsmanager.inspection.values import binary, facts_of, words

_HEAD: Final = struct.Struct(">HHI")
_FLAGS: Final = {1: "must understand", 2: "container"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Grammar:
    """The objects of a format."""

    kinds: Mapping[int, type]
    """The classes of known types."""
    containers: frozenset[int]
    """The types whose body consists of objects."""
    parse: Callable[[bytes, int, int], object]
    """Parses the object between two offsets, or raises InvalidMessage."""
    unknown: type
    """The class of objects of unknown type."""
    deepest: int = 8
    """The maximum depth of containers."""


@dataclass(frozen=True, slots=True)
class Node:
    """An object, or the bytes in place of one."""

    offset: int
    flags: int
    type: int | None
    """None if too few bytes are left for a head."""
    body: bytes = field(repr=False)
    value: object = None
    """The object; None for containers and damaged objects."""
    children: tuple["Node", ...] = ()
    error: str | None = None

    def walk(self) -> Iterator["Node"]:
        """Yield the node and its descendants."""
        yield self
        for child in self.children:
            yield from child.walk()


def find_all(nodes: tuple[Node, ...], kind: type[T]) -> tuple[T, ...]:
    """Return all readable objects of a class, at any depth."""
    every = (node.value for top in nodes for node in top.walk())
    return tuple(value for value in every if isinstance(value, kind))


def find(nodes: tuple[Node, ...], kind: type[T]) -> T | None:
    """Return the only object of a class, or None without exactly one."""
    found = find_all(nodes, kind)
    return found[0] if len(found) == 1 else None


def read_nodes(
    data: bytes, start: int, end: int, grammar: Grammar, depth: int = 1
) -> tuple[Node, ...]:
    """Return the objects between two offsets, damaged ones included."""
    nodes = []
    while start < end:
        node, start = _read_node(data, start, end, grammar, depth)
        nodes.append(node)
    return tuple(nodes)


def _read_node(data: bytes, start: int, end: int, grammar: Grammar, depth: int) -> tuple[Node, int]:
    if end - start < _HEAD.size:
        error = f"{end - start} bytes at offset {start} are too few for an object"
        return Node(start, 0, None, data[start:end], error=error), end
    flags, kind, length = _HEAD.unpack_from(data, start)
    body_start = start + _HEAD.size
    if not _HEAD.size <= length <= end - start:
        error = f"its length at offset {start} is {length}, expected {_HEAD.size} to {end - start}"
        return Node(start, flags, kind, data[body_start:end], error=error), end
    stop = start + length
    body = data[body_start:stop]
    if kind in grammar.containers and depth < grammar.deepest:
        children = read_nodes(data, body_start, stop, grammar, depth + 1)
        return Node(start, flags, kind, body, children=children), stop
    try:
        return Node(start, flags, kind, body, grammar.parse(data, start, stop)), stop
    except InvalidMessage as refusal:
        return Node(start, flags, kind, body, error=refusal.text), stop


def describe_node(node: Node, grammar: Grammar) -> Description:
    """Return the description of an object."""
    if node.type is None:
        return Description("bytes", node.body.hex(), checks=_checks(node))
    kind = grammar.kinds.get(node.type)
    return Description(
        "unknown object" if kind is None else words(kind.__name__),
        meaning=_head(node),
        children=_facts(node, grammar),
        checks=_checks(node),
    )


def _facts(node: Node, grammar: Grammar) -> tuple[Description, ...]:
    if node.value is None and node.error is None:
        return tuple(describe_node(child, grammar) for child in node.children)
    if node.value is None or isinstance(node.value, grammar.unknown):
        return (binary("body", node.body),)
    return facts_of(node.value)


def _head(node: Node) -> str:
    names = ", ".join(name for bit, name in _FLAGS.items() if node.flags & bit)
    return f"object 0x{node.type:04x}, flags 0x{node.flags:04x}" + (f" {names}" if names else "")


def _checks(node: Node) -> tuple[Check, ...]:
    return () if node.error is None else (Check("form", Outcome.FAILED, node.error),)
