"""The spelling `cfg=`: groups of names and values in brackets.

    cfg      group[,group]…                one licence for each group
    group    (item[,item]…) or ()
    item     name:value, or a name alone
    value    text without brackets and commas, (value[,value]…) or (name:value[,name:value]…)

White space is refused. Source: the public test server's page on its query string.
"""

import re
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.parsed_values import Group, ParsedValue, ParserLimits, quote

_TEXT: Final = re.compile(r"[^(),]*")
_BLANK: Final = re.compile(r"\s")

_Item = tuple[str | None, ParsedValue]


def parse_groups(text: str) -> tuple[Group, ...]:
    """Return the groups of a `cfg` without percent-encoding; raises ServiceSpecific."""
    return _Parser(text).groups()


def parse_value(text: str) -> ParsedValue:
    """Return one value, bracketed or not; raises ServiceSpecific."""
    return _Parser(text).only_value()


def build_groups(groups: tuple[Group, ...]) -> str:
    """Return the `cfg` of groups."""
    return ",".join(build_value(group) for group in groups)


def build_value(value: ParsedValue) -> str:
    """Return one value as a `cfg` writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"({','.join(build_value(item) for item in value)})"
    return f"({','.join(_build_item(name, item) for name, item in value.items)})"


def _build_item(name: str, value: ParsedValue) -> str:
    return f"{name}:{build_value(value)}" if value else name


class _Parser:
    """Reads a text once, from left to right."""

    def __init__(self, text: str) -> None:
        self._limits = ParserLimits("cfg", text)
        self._text = text
        self._at = 0
        blank = _BLANK.search(text)
        if blank is not None:
            raise ServiceSpecific(
                f"cfg has a blank at character {blank.start() + 1}, expected none"
            )

    def groups(self) -> tuple[Group, ...]:
        if self._next() not in ("(", ""):
            # Some pages show base64 or names without brackets here.
            raise ServiceSpecific(
                f"cfg has {quote(self._next())} at character 1, expected '(': each licence is in "
                "brackets, and base64 is written cfg64="
            )
        groups = [_group(self._bracket(1))]
        while self._at < len(self._text):
            self._expect(",")
            self._limits.licenses(len(groups) + 1)
            groups.append(_group(self._bracket(1)))
        return tuple(groups)

    def only_value(self) -> ParsedValue:
        value = _list_or_group(self._bracket(1)) if self._next() == "(" else self._plain()
        if self._at < len(self._text):
            raise self._unexpected("nothing")
        return value

    def _bracket(self, depth: int) -> list[_Item]:
        self._limits.depth(depth)
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
        self._limits.value()
        plain = self._plain()
        name, colon, value = plain.partition(":")
        if self._next() == "(":
            if value or (name and not colon):
                raise self._unexpected("a comma or a closing bracket")
            return name if colon else None, _list_or_group(self._bracket(depth + 1))
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


def _list_or_group(items: list[_Item]) -> ParsedValue:
    if any(name is not None for name, _ in items):
        return _group(items)
    return tuple(value for _, value in items)


def _group(items: list[_Item]) -> Group:
    return Group(tuple(_with_name(name, value) for name, value in items))


def _with_name(name: str | None, value: ParsedValue) -> tuple[str, ParsedValue]:
    if name is not None:
        return name, value
    if isinstance(value, str):
        return value, ""
    raise ServiceSpecific("cfg has a bracket without a name among values with names")
