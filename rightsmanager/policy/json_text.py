"""The spelling of `cfg64=` and of CustomData's `json=`: an array of objects, one licence each.

One object alone is one licence.
It is JSON whose strings may also be in single quotes, as in published examples. Values are strings
or JSON's own numbers, booleans, arrays and objects.
"""

import json
import re
from typing import Any, Final, NoReturn

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.parsed_values import Group, ParsedValue, ParserLimits

_EXPECTED: Final = "expected an array of objects, one licence each"
# A string in either quotes is one token, so that neither brackets nor quotes in it count. So is one
# without an end: otherwise each escaped quote in it begins another search, and 60 kB took 31 s.
_TOKEN: Final = re.compile(
    r""""(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+(?P<end>'?)|[\[\]{}]""", re.DOTALL
)
_ESCAPED: Final = re.compile(r"""\\.|\"""")
_IN_DOUBLE_QUOTES: Final = {'"': r"\"", r"\'": "'"}
_DEPTH_CHANGES: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_array(text: str, name: str) -> tuple[Group, ...]:
    """Return the objects of an array, or one object; raises ServiceSpecific, which says `name`."""
    return _Parser(text, name).array()


def build_array(groups: tuple[Group, ...]) -> str:
    """Return an array of objects whose values are strings in double quotes."""
    return json.dumps([_plain(group) for group in groups], separators=(",", ":"))


def _plain(value: ParsedValue) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    plain: dict[str, object] = {}
    for name, item in value.items:
        # A repeated name becomes one array: names in JSON are unique.
        plain[name] = _joined(plain[name], _plain(item)) if name in plain else _plain(item)
    return plain


def _joined(before: object, value: object) -> list[object]:
    return [*before, value] if isinstance(before, list) else [before, value]


class _Parser:
    """Checks limits, rewrites single quotes, and leaves the rest to the standard library."""

    def __init__(self, text: str, name: str) -> None:
        self._limits = ParserLimits(name, text)
        self._text = text
        self._name = name
        self._growths: list[tuple[int, int]] = []
        """The end of each rewritten string and the characters that it grew by."""

    def array(self) -> tuple[Group, ...]:
        self._check_depth()
        try:
            found = json.loads(
                _TOKEN.sub(self._rewrite, self._text),
                object_pairs_hook=lambda pairs: Group(tuple(pairs)),
                # Numbers stay text: each parameter reads its own.
                parse_int=str,
                parse_float=str,
                parse_constant=self._refuse_constant,
            )
        except json.JSONDecodeError as error:
            # The library's own words are left out: they are about rewritten text.
            at = self._original_position(error.pos) + 1
            raise ServiceSpecific(
                f"{self._name} is not JSON from character {at} on, {_EXPECTED}"
            ) from None
        if isinstance(found, Group):
            found = [found]
        if not isinstance(found, list) or not found:
            raise ServiceSpecific(f"{self._name} is other JSON, {_EXPECTED}")
        self._limits.licenses(len(found))
        return tuple(map(self._license, found))

    def _check_depth(self) -> None:
        # Before parsing: the standard library recurses. The array itself does not count as a level.
        depth = -1
        for token in _TOKEN.finditer(self._text):
            depth += _DEPTH_CHANGES.get(token[0], 0)
            self._limits.depth(depth)

    def _rewrite(self, token: re.Match[str]) -> str:
        """Return a token with double quotes in place of single ones."""
        if not token["end"]:
            return token[0]
        inner = _ESCAPED.sub(lambda part: _IN_DOUBLE_QUOTES.get(part[0], part[0]), token[0][1:-1])
        self._growths.append((token.end(), len(inner) + 2 - len(token[0])))
        return f'"{inner}"'

    def _original_position(self, position: int) -> int:
        """Return the position in the text as it came for one in the rewritten text."""
        for end, growth in self._growths:
            if position - growth < end:
                break
            position -= growth
        return position

    def _license(self, item: Any) -> Group:  # noqa: ANN401 -- JSON of any type
        if not isinstance(item, Group):
            raise ServiceSpecific(f"{self._name} has an item of another type, {_EXPECTED}")
        return self._group(item)

    def _group(self, group: Group) -> Group:
        return Group(tuple((name, self._value(value)) for name, value in group.items))

    def _value(self, value: Any) -> ParsedValue:  # noqa: ANN401 -- JSON of any type
        self._limits.value()
        if isinstance(value, Group):
            return self._group(value)
        if isinstance(value, list):
            return tuple(map(self._value, value))
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            self._refuse_constant("null")
        return str(value)

    def _refuse_constant(self, word: str) -> NoReturn:
        raise ServiceSpecific(
            f"{self._name} has the value {word}, expected a string, number, boolean, array or "
            "object"
        )
