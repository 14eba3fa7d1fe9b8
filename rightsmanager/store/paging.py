"""Pages of a list: each page begins after the last row of the one before.

A page is found by the values of its order, not by a number of rows to skip: rows that are added or
removed meanwhile neither repeat others nor hide them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, LargeBinary, Row, Select, and_, literal, or_

from rightsmanager.errors import InvalidMessage
from rightsmanager.store.tables import Identifier

Key = tuple[int | str | bytes, ...]
"""The values of a list's order in one row."""
Item = TypeVar("Item")

_MAX_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a list that is asked for."""

    limit: int
    """The most items, at least 1."""
    after: Key | None = None
    """The key of the last item before it; None for the first part."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list."""

    items: tuple[Item, ...]
    next: Key | None
    """The key that the next page begins after; None at the end."""


@dataclass(frozen=True, slots=True)
class Order:
    """The columns that a list is sorted by; together they are unique."""

    columns: tuple[Column[Any], ...]
    newest_first: bool = False
    """Whether the first column is descending."""

    def cut(self, statement: Select[Any], cut: Cut) -> Select[Any]:
        """Return the statement for a page, and for one row more; raises InvalidMessage."""
        if cut.after is not None:
            statement = statement.where(self._follows(cut.after))
        first, *others = self.columns
        sorted_by = (first.desc() if self.newest_first else first, *others)
        return statement.order_by(*sorted_by).limit(cut.limit + 1)

    def page(self, rows: Sequence[Row[Any]], cut: Cut) -> Page[Row[Any]]:
        """Return the page of the rows that the statement found."""
        shown = tuple(rows[: cut.limit])
        return Page(shown, self._key(shown[-1]) if len(rows) > cut.limit else None)

    def _key(self, row: Row[Any]) -> Key:
        values = (getattr(row, column.name) for column in self.columns)
        return tuple(getattr(value, "raw", value) for value in values)

    def _follows(self, after: Key) -> ColumnElement[bool]:
        """Return the condition that a row follows a key."""
        if len(after) != len(self.columns):
            raise InvalidMessage("the key of a page is not one of this list")
        bound = [_bind(column, value) for column, value in zip(self.columns, after, strict=True)]
        pairs = list(zip(self.columns, bound, strict=True))
        later = []
        for rank, (column, value) in enumerate(pairs):
            same = [each == given for each, given in pairs[:rank]]
            is_descending = self.newest_first and rank == 0
            later.append(and_(*same, column < value if is_descending else column > value))
        return or_(*later)


def map_page(page: Page[Row[Any]], items: Sequence[Item]) -> Page[Item]:
    """Return the page with these items for its rows."""
    return Page(tuple(items), page.next)


def _bind(column: Column[Any], value: int | str | bytes) -> ColumnElement[Any]:
    kind = column.type
    expected = bytes if isinstance(kind, LargeBinary | Identifier) else kind.python_type
    is_right = type(value) is expected and (
        not isinstance(value, int) or -_MAX_INTEGER <= value <= _MAX_INTEGER
    )
    # PostgreSQL has no text with a NUL.
    if not is_right or (isinstance(value, str) and not value.isprintable()):
        raise InvalidMessage("the key of a page is not one of this list")
    if isinstance(kind, Identifier) and isinstance(value, bytes):
        return literal(kind.identifier(value), kind)
    return literal(value, kind)
