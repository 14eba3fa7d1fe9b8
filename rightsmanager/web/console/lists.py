"""Lists: a page of rows with links to the next and the first page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from rightsmanager.store.paging import Cut, Page
from rightsmanager.web.console.blocks import Asked, Cell, Empty, Table
from rightsmanager.web.cursors import cursor_of, read_cursor

MAX_ROWS: Final = 50
"""The rows of a page."""
MAX_PART: Final = 20
AFTER: Final = "after"
"""The name of the cursor in the query."""
NOT_FILTERS: Final = frozenset({AFTER, "done", "live"})
FILTERED: Final = Empty("Nothing matches the filter.")

Item = TypeVar("Item")


def cut_of(asked: Asked) -> Cut:
    """Return the part of a list that a request asks for; raises InvalidMessage."""
    cursor = asked.get(AFTER)
    return Cut(MAX_ROWS, read_cursor(cursor) if cursor else None)


def first_cut() -> Cut:
    """Return the first rows of a list that another page has a part of."""
    return Cut(MAX_PART)


def offset_table(asked: Asked, path: str, table: Table, rows: Sequence[tuple[Cell, ...]]) -> Table:
    """Return a table with a page of rows that are all known."""
    start = asked.number(AFTER) or 0
    end = start + MAX_ROWS
    return replace(
        table,
        rows=tuple(rows[start:end]),
        older=asked.link(path, after=str(end), done="") if end < len(rows) else None,
        first=asked.link(path, after="", done="") if start else None,
    )


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A list: its address, its columns and its rows."""

    path: str
    title: str
    columns: tuple[str, ...]
    row: Callable[[Item], tuple[Cell, ...]]
    empty: Empty
    is_titled: bool = False
    """Whether its title is shown: the page has other parts."""

    def table(self, asked: Asked, page: Page[Item]) -> Table:
        """Return the table of a page of the list."""
        is_filtered = any(asked.get(name) for name in asked.query.keys() - NOT_FILTERS)
        cursor = cursor_of(page)
        return Table(
            self.title,
            self.columns,
            tuple(self.row(each) for each in page.items),
            FILTERED if is_filtered else self.empty,
            older=None if cursor is None else asked.link(self.path, after=cursor, done=""),
            first=asked.link(self.path, after="", done="") if asked.get(AFTER) else None,
            is_titled=self.is_titled,
        )
