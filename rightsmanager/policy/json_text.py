"""The spelling of `cfg64=` and of CustomData's `json=`: an array of objects, each one licence.

It is JSON, and strings may stand in single quotes too, as in published examples. Values are
strings or JSON's own numbers, booleans, arrays and objects.
"""

import json
import re
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.raw import Group, ParsedValue, ParserLimits, quote

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<mark>[\[\]{},:])
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\.)*+" | '(?:[^'\\\x00-\x1f]|\\.)*+')
      | (?P<word>true\b|false\b|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z]))
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_IN_SINGLE_QUOTES: Final = re.compile(r"""\\.|\"""")
_REWRITTEN: Final = {'"': r"\"", r"\'": "'"}

_SHOWN: Final = {"end": "its end", "string": "a string"}
"""Tokens that a refusal does not quote: a string may be a key."""

_Token = tuple[str, str]
"""What it is and its text."""


def parse_array(text: str, name: str) -> tuple[Group, ...]:
    """Return the objects of an array; raises ServiceSpecific, which says `name`."""
    return _Parser(text, name).array()


def build_array(groups: tuple[Group, ...]) -> str:
    """Return an array of objects whose values are strings, in double quotes."""
    return json.dumps([_plain(group) for group in groups], separators=(",", ":"))


def _plain(raw: ParsedValue) -> object:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, tuple):
        return [_plain(item) for item in raw]
    plain: dict[str, object] = {}
    for name, value in raw.items:
        # A name that is there several times becomes one array, as JSON has names once.
        plain[name] = _joined(plain[name], _plain(value)) if name in plain else _plain(value)
    return plain


def _joined(before: object, value: object) -> list[object]:
    return [*before, value] if isinstance(before, list) else [before, value]


class _Parser:
    """Goes through a text once, from left to right."""

    def __init__(self, text: str, name: str) -> None:
        self._meter = ParserLimits(name, text)
        self._text = text
        self._name = name
        self._at = 0
        self._token = self._read()

    def array(self) -> tuple[Group, ...]:
        self._take("[")
        groups = [self._license(1)]
        while self._token[1] == "," and self._token[0] == "mark":
            self._take(",")
            groups.append(self._license(len(groups) + 1))
        self._take("]")
        if self._token[0] != "end":
            raise self._unexpected("its end")
        return tuple(groups)

    def _license(self, count: int) -> Group:
        self._meter.licenses(count)
        return self._object(1)

    def _value(self, depth: int) -> ParsedValue:
        self._meter.value()
        kind, text = self._token
        if kind == "word":
            self._token = self._read()
            return text
        if kind == "string":
            return self._string("a value")
        if (kind, text) == ("mark", "["):
            return self._list(depth + 1)
        return self._object(depth + 1)

    def _list(self, depth: int) -> tuple[ParsedValue, ...]:
        self._meter.depth(depth)
        self._take("[")
        items: list[ParsedValue] = []
        while self._token != ("mark", "]"):
            if items:
                self._take(",")
            items.append(self._value(depth))
        self._take("]")
        return tuple(items)

    def _object(self, depth: int) -> Group:
        self._meter.depth(depth)
        self._take("{")
        items: list[tuple[str, ParsedValue]] = []
        while self._token != ("mark", "}"):
            if items:
                self._take(",")
            name = self._string("a name in quotes")
            self._take(":")
            items.append((name, self._value(depth)))
        self._take("}")
        return Group(tuple(items))

    def _string(self, expected: str) -> str:
        kind, text = self._token
        if kind != "string":
            raise self._unexpected(expected)
        try:
            value = json.loads(_in_double_quotes(text))
        except ValueError:
            raise self._unexpected("JSON's own escapes in a string") from None
        self._token = self._read()
        return str(value)

    def _take(self, mark: str) -> None:
        if self._token != ("mark", mark):
            raise self._unexpected(repr(mark))
        self._token = self._read()

    def _read(self) -> _Token:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise ServiceSpecific(
                f"{self._name} is not JSON after character {self._at}, expected an array of objects"
            )
        self._at = match.end()
        kind = match.lastgroup or ""
        return kind, match[kind]

    def _unexpected(self, expected: str) -> ServiceSpecific:
        kind, text = self._token
        return ServiceSpecific(
            f"{self._name} has {_SHOWN.get(kind) or quote(text)} before character "
            f"{self._at + 1}, expected {expected}: it is an array of objects, each one licence"
        )


def _in_double_quotes(string: str) -> str:
    """Return a string token as JSON has it."""
    if string[0] == '"':
        return string
    inner = _IN_SINGLE_QUOTES.sub(lambda part: _REWRITTEN.get(part[0], part[0]), string[1:-1])
    return f'"{inner}"'
