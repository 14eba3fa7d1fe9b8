"""Members of JSON objects, each of its own type."""

from collections.abc import Iterator
from typing import Final, TypeVar

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import Guid, decode_base64

G = TypeVar("G", bound=Guid)
_MISSING: Final = object()


class Members:
    """The members of a JSON object; a missing one and null give None.

    Raises InvalidMessage for another value, a member of another type, and, by `end`, for members
    that nothing has read.
    """

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise InvalidMessage(f"{place} is {_name(value)}, expected an object")
        self._place = place
        self._left = dict(value)

    def end(self) -> None:
        """Raise InvalidMessage if there are other members."""
        for name in self._left:
            raise InvalidMessage(f"{self._place} has {name[:64]!r}, expected no such member")

    def _take(self, name: str) -> object:
        return self._left.pop(name, None)

    def _other(self, name: str, value: object, expected: str) -> InvalidMessage:
        shown = str(value)[:64] if isinstance(value, str | int | float) else _name(value)
        return InvalidMessage(f"{self._place} has {name} {shown!r}, expected {expected}")

    def text(self, name: str) -> str | None:
        """Return a text."""
        value = self._take(name)
        if value is None or isinstance(value, str):
            return value
        raise self._other(name, value, "a text")

    def number(self, name: str) -> int | None:
        """Return an integer from 0."""
        value = self._take(name)
        if value is None:
            return None
        # Some languages write all numbers so, and JSON Schema takes 1.0 for an integer.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        # type() and not isinstance(): True is an int.
        if type(value) is int and value >= 0:
            return value
        raise self._other(name, value, "an integer from 0")

    def boolean(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self._take(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._other(name, value, "true or false")

    def guid(self, name: str, kind: type[G]) -> G | None:
        """Return a GUID, in any of its spellings."""
        text = self.text(name)
        return None if text is None else kind.parse(text)

    def octets(self, name: str, length: int) -> bytes | None:
        """Return bytes of base64; no refusal quotes them, since they may be a key."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidMessage(f"{self._place} has {name} {_name(value)}, expected base64")
        return decode_base64(value, name, length)

    def members(self, name: str) -> "Members | None":
        """Return an object."""
        value = self._take(name)
        return None if value is None else Members(value, name)

    def each(self, name: str) -> Iterator["Members"]:
        """Yield the objects of an array."""
        value = self._take(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise self._other(name, value, "an array")
        for number, item in enumerate(value):
            yield Members(item, f"{name}[{number}]")

    def names(self) -> tuple[str, ...]:
        """Return the names of members that nothing has read."""
        return tuple(self._left)


def _name(value: object) -> str:
    return {list: "an array", dict: "an object", type(None): "null"}.get(
        type(value), f"a {type(value).__name__}"
    )
