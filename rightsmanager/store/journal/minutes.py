"""Counts of requests, so that statistics of any number of entries read none of them.

A row counts the requests of one minute that have operation, outcome and duration in common. The
writer adds to them in the transaction that stores the entries. They are kept as long as the entries
are, and KEPT_MS at least: the limits of the journal may keep the entries of a few minutes only.

A duration is rounded to the middle of its bucket, of which there are 16 from each power of two to
the next: it is wrong by 3 % at most.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy import Connection, and_, case, func, select

from rightsmanager.store.journal.entries import REQUEST, PendingEntry
from rightsmanager.store.journal.tables import ENTRIES, ENTRY_COLUMNS, MINUTES, STATE

MINUTE_MS: Final = 60_000
KEPT_MS: Final = 2 * 86_400_000
ROWS: Final = 64
"""The most rows that one statement adds to."""
_BUCKET_BITS: Final = 5

_KIND, _OPERATION, _OUTCOME, _STAGES = map(
    ENTRY_COLUMNS.index, ("kind", "operation", "outcome", "stages")
)

Row = tuple[int, str, int, int, int]
"""Minute, operation, outcome, duration in microseconds, and the number of requests."""


@dataclass(frozen=True, slots=True)
class MinuteCount:
    """The requests of one minute."""

    minute: int
    """Unix time divided by 60 seconds."""
    requests: int
    faults: int


@dataclass(frozen=True, slots=True)
class DurationCount:
    """The requests to one operation that took equally long."""

    operation: str
    duration_us: int
    requests: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The requests of a range of minutes, counted in three ways."""

    minutes: tuple[MinuteCount, ...] = ()
    """Oldest first."""
    outcomes: tuple[tuple[int, int], ...] = ()
    """The requests by status, 0 for answered ones."""
    durations: tuple[DurationCount, ...] = ()
    """In ascending order for each operation."""
    is_complete: bool = True
    """Whether no count of the range was removed."""


def round_duration(microseconds: int) -> int:
    """Return the middle of the bucket that a duration falls into."""
    shift = max(0, microseconds.bit_length() - _BUCKET_BITS)
    return (microseconds >> shift << shift) + (1 << shift >> 1)


def count_batch(batch: Iterable[PendingEntry]) -> list[Row]:
    """Return the rows that a batch adds to, each once."""
    counts = Counter(_key(entry) for entry in batch if entry.columns[_KIND] == REQUEST)
    return [(*key, count) for key, count in counts.items()]


def _key(entry: PendingEntry) -> tuple[int, str, int, int]:
    columns = entry.columns
    stages = str(columns[_STAGES])
    duration = sum(map(int, stages.split(","))) if stages else 0
    operation, status = cast("str", columns[_OPERATION]), cast("int", columns[_OUTCOME])
    return entry.at_ms // MINUTE_MS, operation, status, round_duration(duration)


def find_counts(connection: Connection, first: int, end: int) -> Counts:
    """Return the counts from a minute until before another one."""
    is_wanted = and_(MINUTES.c.minute >= first, MINUTES.c.minute < end)
    requests = func.sum(MINUTES.c.requests)
    faults = func.sum(case((MINUTES.c.outcome != 0, MINUTES.c.requests), else_=0))
    minute, outcome = MINUTES.c.minute, MINUTES.c.outcome
    kind = (MINUTES.c.operation, MINUTES.c.duration)
    by_minute = select(minute, requests, faults).where(is_wanted).group_by(minute).order_by(minute)
    by_outcome = select(outcome, requests).where(is_wanted).group_by(outcome)
    by_kind = select(*kind, requests).where(is_wanted).group_by(*kind).order_by(*kind)
    # PostgreSQL's sums are decimal numbers.
    return Counts(
        tuple(
            MinuteCount(at, int(some), int(bad)) for at, some, bad in connection.execute(by_minute)
        ),
        tuple((status, int(some)) for status, some in connection.execute(by_outcome)),
        tuple(DurationCount(name, at, int(some)) for name, at, some in connection.execute(by_kind)),
        _is_complete(connection, first),
    )


def _is_complete(connection: Connection, first: int) -> bool:
    """Return whether all counts since a minute are still there."""
    oldest = connection.execute(select(func.min(MINUTES.c.minute))).scalar()
    if oldest is not None and oldest <= first:
        return True
    # As long as the first entry is there, nothing was removed.
    first_id = connection.execute(select(func.min(ENTRIES.c.id))).scalar()
    if first_id is not None:
        return bool(first_id == 1)
    return not connection.execute(select(STATE.c.last_id)).scalar()
