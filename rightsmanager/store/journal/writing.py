"""Writes entries in batches, over a connection of the writer's own.

On SQLite a statement inserts many rows: sqlite3 takes Python's lock back after each statement, and
while requests are answered it waits up to 5 ms for it each time. On PostgreSQL rows are copied in
binary form: INSERT costs the worker 80 µs an entry, and COPY 15 µs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.types import TypeEngine

from rightsmanager.store.journal.entries import PendingEntry, WorkerCounts, split_kids
from rightsmanager.store.journal.minutes import KEPT_MS, MINUTE_MS, ROWS, Row, count_batch
from rightsmanager.store.journal.tables import BLOCK_ENTRIES, BODIES, ENTRIES, KIDS

ENTRY_BYTES: Final = 700
"""The size of an entry without its bodies, for the limit on bytes."""
PRUNE_ROWS: Final = 2000
"""The most entries that one transaction removes."""
MAX_DELETED: Final = 10_000
"""The most entries that are removed row by row when all are removed."""
# A statement of each size is compiled once.
_SIZES: Final = (64, 8, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that the journal keeps; 0 for no limit."""

    entries: int = 0
    bytes: int = 0
    """Of the bodies, and ENTRY_BYTES for each entry."""
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class Spelling:
    """The differences between the databases' SQL."""

    mark: str
    """A parameter's placeholder."""
    begin: str
    least: str
    greatest: str
    lock: str
    """Follows a statement that reads a row to change it."""
    empty: str
    """Begins a statement that removes all rows of a table, in no time."""
    shrink: str
    """Returns the space of removed rows to the file system; empty if that is done already."""
    has_copy: bool = False
    """Whether rows are copied."""


SQLITE: Final = Spelling("?", "BEGIN IMMEDIATE", "min", "max", "", "DELETE FROM", "VACUUM")
POSTGRESQL: Final = Spelling(
    "%s", "BEGIN", "least", "greatest", " FOR UPDATE", "TRUNCATE", "", has_copy=True
)
_COPIED: Final[Mapping[type[TypeEngine[Any]], str]] = {
    BigInteger: "int8",
    Integer: "int4",
    SmallInteger: "int2",
    Text: "text",
    LargeBinary: "bytea",
}
"""PostgreSQL's names of the columns' types."""


class Writer:
    """Writes over one connection of the database's driver, which commits by itself."""

    def __init__(self, connection: Any, spelling: Spelling, end: Callable[[], None]) -> None:  # noqa: ANN401 -- a driver's
        self._cursor = connection.cursor()
        self._spelling = spelling
        self._end = end

    def write(self, batch: Sequence[PendingEntry], counts: WorkerCounts) -> None:
        """Store a batch and the counts of its worker, in one transaction.

        Raises the driver's error, and then has stored nothing.
        """
        with _Transaction(self._cursor, self._spelling):
            first = self._take_ids(len(batch))
            ids = range(first, first + len(batch))
            marked = list(zip(ids, batch, strict=True))
            self._insert(ENTRIES, [(at, *each.columns) for at, each in marked])
            self._insert(
                BODIES,
                [
                    (at, each.request, each.reply)
                    for at, each in marked
                    if each.request is not None or each.reply is not None
                ],
            )
            self._insert(
                KIDS, [(kid, at) for at, each in marked for kid in dict.fromkeys(each.kids)]
            )
            self._note_blocks(marked)
            self._note_minutes(count_batch(batch))
            self._note_counts(counts)

    def find_written(self, worker: str) -> int:
        """Return the number of a worker's entries that were stored."""
        found = self._find("SELECT written FROM journal_workers WHERE worker = ?", worker)
        return int(found or 0)

    def record_counts(self, counts: WorkerCounts) -> None:
        """Store the last counts of a worker."""
        with _Transaction(self._cursor, self._spelling):
            self._note_counts(counts)

    def prune(self, limits: Limits, now_ms: int) -> bool:
        """Remove some of the entries beyond the limits; return whether there are more."""
        with _Transaction(self._cursor, self._spelling):
            first, last = self._find_range()
            until = min(self._find_cut(limits, last, now_ms), last)
            if first is None or until < first:
                return False
            self._remove(first, min(until, first + PRUNE_ROWS - 1))
            self._remove_minutes(now_ms)
            return until >= first + PRUNE_ROWS

    def clear(self) -> int:
        """Remove all entries; return their number."""
        with _Transaction(self._cursor, self._spelling):
            # Ids are not used again: a reader may wait for those after the last one.
            self._lock_state()
            count = self._find("SELECT count(*) FROM journal_entries")
            # TRUNCATE locks whole tables, one after the other: with a reader, or a snapshot of a
            # world, that has some of them open this can be a deadlock.
            empty = self._spelling.empty if count > MAX_DELETED else "DELETE FROM"
            for table in ("entries", "bodies", "kids", "blocks", "minutes"):
                self._run(f"{empty} journal_{table}")
        return int(count)

    def shrink(self) -> None:
        """Return the space of removed entries to the file system, unless others are writing."""
        if self._spelling.shrink:
            with suppress(Exception):
                self._cursor.execute(self._spelling.shrink)

    def close(self) -> None:
        """Close the connection, in whatever state it is."""
        self._end()

    def _run(self, statement: str, *values: object) -> None:
        """Run a statement whose parameters are question marks."""
        self._cursor.execute(statement.replace("?", self._spelling.mark), values)

    def _find(self, statement: str, *values: object) -> Any:  # noqa: ANN401 -- any column
        """Return the first column of the first row, None without one."""
        self._run(statement, *values)
        row = self._cursor.fetchone()
        return row and row[0]

    def _take_ids(self, count: int) -> int:
        """Return the first of so many successive ids."""
        # The row's lock makes other writers wait until this one has committed.
        self._run("UPDATE journal_state SET last_id = last_id + ?", count)
        if self._cursor.rowcount == 0:
            self._make_state()
            return self._take_ids(count)
        last = self._find("SELECT last_id FROM journal_state")
        return int(last) - count + 1

    def _make_state(self) -> None:
        """Insert the row of journal_state, if an operator has removed it."""
        last = self._find("SELECT max(id) FROM journal_entries") or 0
        self._run("INSERT INTO journal_state VALUES (1, ?) ON CONFLICT DO NOTHING", last)

    def _lock_state(self) -> int:
        last = self._find(f"SELECT last_id FROM journal_state{self._spelling.lock}")  # noqa: S608
        return int(last or 0)

    def _insert(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert rows, which have all columns of the table in its order."""
        if self._spelling.has_copy:
            self._copy(table, rows)
            return
        for part in _parts(rows):
            statement = _insert_statement(table.name, _names(table), len(part), self._spelling.mark)
            self._cursor.execute(statement, [value for row in part for value in row])

    def _copy(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        names = ", ".join(_names(table))
        with self._cursor.copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(_copied_types(table))
            for row in rows:
                copy.write_row(row)

    def _note_blocks(self, marked: Iterable[tuple[int, PendingEntry]]) -> None:
        for block, members in groupby(marked, lambda each: each[0] // BLOCK_ENTRIES):
            entries = [entry for _, entry in members]
            times = [entry.at_ms for entry in entries]
            # A text that many entries share is searched once.
            texts = dict.fromkeys(text.lower() for entry in entries for text in entry.texts)
            self._cursor.execute(
                _note_block_statement(self._spelling),
                (
                    block,
                    min(times),
                    max(times),
                    sum(map(_size, entries)),
                    "".join(f"{text}\n" for text in texts if text),
                ),
            )

    def _note_minutes(self, rows: Sequence[Row]) -> None:
        for at in range(0, len(rows), ROWS):
            part = rows[at : at + ROWS]
            statement = _note_minutes_statement(len(part), self._spelling.mark)
            self._cursor.execute(statement, [value for row in part for value in row])

    def _note_counts(self, counts: WorkerCounts) -> None:
        self._cursor.execute(
            _note_counts_statement(self._spelling),
            (counts.worker, counts.accepted, counts.written, counts.dropped),
        )

    def _find_range(self) -> tuple[int | None, int]:
        last = self._lock_state()
        return self._find("SELECT min(id) FROM journal_entries"), last

    def _find_cut(self, limits: Limits, last: int, now_ms: int) -> int:
        """Return the last id to remove."""
        cut = last - limits.entries if limits.entries else 0
        self._run("SELECT block, max_at, bytes FROM journal_blocks ORDER BY block DESC")
        total = 0
        for block, max_at, size in self._cursor.fetchall():
            total += size
            is_old = limits.age_ms and max_at < now_ms - limits.age_ms
            # The block that exceeds the limit goes, unless it is the newest.
            is_large = limits.bytes and total > limits.bytes and total > size
            if is_old or is_large:
                return max(cut, (int(block) + 1) * BLOCK_ENTRIES - 1)
        return cut

    def _remove(self, first: int, until: int) -> None:
        """Remove the entries from one id to another; `first` is the oldest."""
        self._run(
            "SELECT DISTINCT kids FROM journal_entries WHERE id BETWEEN ? AND ?", first, until
        )
        kids = {kid for (row,) in self._cursor.fetchall() for kid in split_kids(bytes(row))}
        for kid in kids:
            self._run("DELETE FROM journal_kids WHERE kid = ? AND entry_id <= ?", kid, until)
        self._run("DELETE FROM journal_bodies WHERE entry_id BETWEEN ? AND ?", first, until)
        self._run("DELETE FROM journal_entries WHERE id BETWEEN ? AND ?", first, until)
        self._run("DELETE FROM journal_blocks WHERE block < ?", (until + 1) // BLOCK_ENTRIES)

    def _remove_minutes(self, now_ms: int) -> None:
        """Remove the counts of minutes that are older than the entries, and than KEPT_MS."""
        oldest = self._find("SELECT min(min_at) FROM journal_blocks")
        until = now_ms - KEPT_MS if oldest is None else min(int(oldest), now_ms - KEPT_MS)
        self._run("DELETE FROM journal_minutes WHERE minute < ?", until // MINUTE_MS)


class _Transaction:
    """Context manager of a driver's transaction."""

    def __init__(self, cursor: Any, spelling: Spelling) -> None:  # noqa: ANN401 -- a driver's
        self._cursor = cursor
        self._spelling = spelling

    def __enter__(self) -> None:
        self._cursor.execute(self._spelling.begin)

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is None:
            self._cursor.execute("COMMIT")
            return
        # SQLite itself has rolled back after some errors; a broken connection cannot.
        with suppress(Exception):
            self._cursor.execute("ROLLBACK")


def _parts(
    rows: Sequence[tuple[object, ...]],
) -> Iterator[Sequence[tuple[object, ...]]]:
    at = 0
    for size in _SIZES:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


@cache
def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


@cache
def _copied_types(table: Table) -> tuple[str, ...]:
    return tuple(_COPIED[type(column.type)] for column in table.columns)


@cache
def _insert_statement(table: str, columns: tuple[str, ...], rows: int, mark: str) -> str:
    row = f"({', '.join([mark] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608 -- names of ours


@cache
def _note_block_statement(spelling: Spelling) -> str:
    columns = ("block", "min_at", "max_at", "bytes", "texts")
    return (
        _insert_statement("journal_blocks", columns, 1, spelling.mark)
        + " ON CONFLICT (block) DO UPDATE SET"
        f" min_at = {spelling.least}(journal_blocks.min_at, excluded.min_at),"
        f" max_at = {spelling.greatest}(journal_blocks.max_at, excluded.max_at),"
        " bytes = journal_blocks.bytes + excluded.bytes,"
        " texts = journal_blocks.texts || excluded.texts"
    )


@cache
def _note_minutes_statement(rows: int, mark: str) -> str:
    key = ("minute", "operation", "outcome", "duration")
    return (
        _insert_statement("journal_minutes", (*key, "requests"), rows, mark)
        + f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET"
        " requests = journal_minutes.requests + excluded.requests"
    )


@cache
def _note_counts_statement(spelling: Spelling) -> str:
    columns = ("worker", "accepted", "written", "dropped")
    # The number of stored entries never falls: a killed worker may not have noted its last ones.
    return (
        _insert_statement("journal_workers", columns, 1, spelling.mark)
        + " ON CONFLICT (worker) DO UPDATE SET"
        " accepted = excluded.accepted, dropped = excluded.dropped, written ="
        f" {spelling.greatest}(journal_workers.written, excluded.written)"
    )


def _size(entry: PendingEntry) -> int:
    return ENTRY_BYTES + len(entry.request or b"") + len(entry.reply or b"")
