"""The spelling `cfg=`: groups of names and values in brackets.

    cfg      group[,group]…                each group is one licence
    group    (item[,item]…) or ()
    item     name:value, or a name alone
    value    text without brackets and commas, (value[,value]…) or (name:value[,name:value]…)

There are no blanks. Source: the public test server's page on its query string.
"""

import re
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.raw import Group, ParsedValue, ParserLimits, quote

_TEXT: Final = re.compile(r"[^(),]*")
_BLANK: Final = re.compile(r"\s")

_Item = tuple[str | None, ParsedValue]


def parse_groups(text: str) -> tuple[Group, ...]:
    """Return the groups of a `cfg`, percent-encoding undone; raises ServiceSpecific."""
    return _Parser(text).groups()


def parse_value(text: str) -> ParsedValue:
    """Return one value, bracketed or not; raises ServiceSpecific."""
    return _Parser(text).only_value()


def build_groups(groups: tuple[Group, ...]) -> str:
    """Return the `cfg` of groups."""
    return ",".join(build_value(group) for group in groups)


def build_value(raw: ParsedValue) -> str:
    """Return one value as it stands in a `cfg`."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, tuple):
        return f"({','.join(build_value(item) for item in raw)})"
    return f"({','.join(_build_item(name, value) for name, value in raw.items)})"


def _build_item(name: str, value: ParsedValue) -> str:
    return f"{name}:{build_value(value)}" if value else name


class _Parser:
    """Goes through a text once, from left to right."""

    def __init__(self, text: str) -> None:
        self._meter = ParserLimits("cfg", text)
        self._text = text
        self._at = 0
        blank = _BLANK.search(text)
        if blank is not None:
            raise ServiceSpecific(
                f"cfg has a blank at character {blank.start() + 1}, expected none"
            )

    def groups(self) -> tuple[Group, ...]:
        groups = [_named(self._bracket(1))]
        while self._at < len(self._text):
            self._expect(",")
            self._meter.licenses(len(groups) + 1)
            groups.append(_named(self._bracket(1)))
        return tuple(groups)

    def only_value(self) -> ParsedValue:
        value = _raw(self._bracket(1)) if self._next() == "(" else self._plain()
        if self._at < len(self._text):
            raise self._unexpected("nothing")
        return value

    def _bracket(self, depth: int) -> list[_Item]:
        self._meter.depth(depth)
        self._expect("(")
        items: list[_Item] = []
        if self._next() != ")":
            items.append(self._item(depth))
            while self._next() == ",":
                self._at += 1
                items.append(self._item(depth))
        self._expect(")")
        return items

    def _item(self, depth: int) -> _Item:
        self._meter.value()
        plain = self._plain()
        name, colon, value = plain.partition(":")
        if self._next() == "(":
            if value or (name and not colon):
                raise self._unexpected("a comma or a closing bracket")
            return name if colon else None, _raw(self._bracket(depth + 1))
        if not plain:
            raise self._unexpected("a name")
        return (name, value) if colon else (None, plain)

    def _plain(self) -> str:
        match = _TEXT.match(self._text, self._at)
        found = match[0] if match else ""
        self._at += len(found)
        return found

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise self._unexpected(repr(character))
        self._at += 1

    def _unexpected(self, expected: str) -> ServiceSpecific:
        found = quote(self._text[self._at]) if self._at < len(self._text) else "its end"
        return ServiceSpecific(
            f"cfg has {found} at character {self._at + 1}, expected {expected}: its brackets and "
            "commas do not fit"
        )


def _raw(items: list[_Item]) -> ParsedValue:
    if any(name is not None for name, _ in items):
        return _named(items)
    return tuple(value for _, value in items)


def _named(items: list[_Item]) -> Group:
    return Group(tuple(_with_name(name, value) for name, value in items))


def _with_name(name: str | None, value: ParsedValue) -> tuple[str, ParsedValue]:
    if name is not None:
        return name, value
    if isinstance(value, str):
        return value, ""
    raise ServiceSpecific("cfg has a bracket without a name beside values with names")
