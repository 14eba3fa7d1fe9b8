"""The journal for its readers: finds, counts and removes entries."""

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError
from rightsmanager.journal.counts import add_up, read_counts
from rightsmanager.store.journal import reading
from rightsmanager.store.journal.database import JournalDatabase
from rightsmanager.store.journal.entries import (
    Accounting,
    Entry,
    EntryPage,
    Filter,
    StoredEntry,
    spell_outcome,
)
from rightsmanager.store.journal.minutes import MINUTE_MS, Counts, DurationCount, find_counts

FILE: Final = "journal.db"
"""The journal in the data folder, unless the database is PostgreSQL."""
COUNTS: Final = "journal"
"""The folder of the workers' counts in the data folder."""
PERCENTILES: Final = (50, 90, 99)
SETTLE_SECONDS: Final = 1.0
"""The longest wait for entries that workers have yet to write, unless another one is given."""
_FIRST_POLL_SECONDS: Final = 0.004
_POLL_SECONDS: Final = 0.05


def open_journal(data: Path, database_url: str) -> "Journal":
    """Return the journal of a data folder and a database; it connects when it is used."""
    return Journal(find_database(data, database_url), counts_folder(data))


def find_database(data: Path, database_url: str) -> JournalDatabase:
    """Return the journal's file in the data folder, or its tables in a PostgreSQL database."""
    if database_url.startswith("sqlite"):
        return JournalDatabase.in_file(data / FILE)
    return JournalDatabase(database_url)


def counts_folder(data: Path) -> Path:
    """Return the folder of the workers' counts of entries."""
    return data.absolute() / COUNTS


@dataclass(frozen=True, slots=True)
class Minute:
    """The requests of one minute."""

    at_ms: int
    """Unix milliseconds of its beginning."""
    requests: int
    faults: int


@dataclass(frozen=True, slots=True)
class Latency:
    """The duration of the requests to one operation."""

    operation: str
    requests: int
    percentiles_ms: tuple[float, ...]
    """At PERCENTILES, wrong by 3 % at most."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The requests of a time range."""

    minutes: tuple[Minute, ...]
    """Those with requests, oldest first."""
    outcomes: tuple[tuple[str, int], ...]
    """The number of requests by outcome, the most frequent first."""
    latencies: tuple[Latency, ...]
    """By operation, the most frequent first."""
    is_complete: bool
    """Whether no count of the range was removed."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The entries of all workers; each call opens a connection of its own."""

    database: JournalDatabase
    folder: Path
    """The folder of the workers' counts."""

    def find(
        self, wanted: Filter | None = None, limit: int = 50, before: int | None = None
    ) -> EntryPage:
        """Return the newest entries that a filter lets through, at most `limit`.

        before: the id that they come before, such as `next` of the page before. Raises
        InvalidMessage for an invalid filter, and InternalError if the journal cannot be read.
        """
        with self.database.reading() as connection:
            if connection is None:
                return EntryPage((), None)
            return reading.find_page(connection, wanted or Filter(), limit, before)

    def get(self, entry_id: int) -> StoredEntry | None:
        """Return an entry with its bodies; raises InternalError."""
        with self.database.reading() as connection:
            return None if connection is None else reading.find_entry(connection, entry_id)

    def stored(self, wanted: Filter | None = None) -> Iterator[StoredEntry]:
        """Yield the entries that a filter lets through with their bodies, newest first.

        Raises InvalidMessage and InternalError as `find` does.
        """
        with self.database.reading() as connection:
            if connection is not None:
                yield from reading.find_stored(connection, wanted or Filter())

    def newer(self, after: int, limit: int = 100) -> tuple[Entry, ...]:
        """Return the entries after an id, oldest first; raises InternalError."""
        with self.database.reading() as connection:
            return () if connection is None else reading.find_newer(connection, after, limit)

    def newest_id(self) -> int:
        """Return the id of the newest entry, 0 if there never was one; raises InternalError."""
        with self.database.reading() as connection:
            return 0 if connection is None else reading.find_newest_id(connection)

    def accounting(self) -> Accounting:
        """Return the counts of all workers; raises InternalError."""
        with self.database.reading() as connection:
            stored = () if connection is None else reading.find_counts(connection)
        return add_up(stored, read_counts(self.folder))

    def settle(self, seconds: float = SETTLE_SECONDS) -> bool:
        """Wait for entries that workers have yet to write; return whether all are written."""
        until = time.monotonic() + seconds
        pause = _FIRST_POLL_SECONDS
        while self.accounting().waiting:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS)
        return True

    def statistics(self, since_ms: int, until_ms: int) -> Statistics:
        """Return the statistics of the minutes of a time range; raises InternalError."""
        first, end = since_ms // MINUTE_MS, -(-until_ms // MINUTE_MS)
        with self.database.reading() as connection:
            counts = Counts() if connection is None else find_counts(connection, first, end)
        return _statistics(counts)

    def clear(self) -> int:
        """Remove all entries; return their number. Raises InternalError."""
        if self.database.is_missing():
            return 0
        try:
            writer = self.database.open_writer()
            try:
                removed = writer.clear()
                writer.shrink()
            finally:
                writer.close()
        except self.database.failures as error:
            reason = type(error).__name__
            raise InternalError(f"the journal cannot be cleared: {reason}") from error
        return removed


def _statistics(counts: Counts) -> Statistics:
    outcomes = sorted(counts.outcomes, key=lambda each: (-each[1], each[0]))
    latencies = [
        _latency(operation, tuple(durations))
        for operation, durations in groupby(counts.durations, lambda each: each.operation)
    ]
    return Statistics(
        minutes=tuple(
            Minute(each.minute * MINUTE_MS, each.requests, each.faults) for each in counts.minutes
        ),
        outcomes=tuple((spell_outcome(status), requests) for status, requests in outcomes),
        latencies=tuple(sorted(latencies, key=lambda each: (-each.requests, each.operation))),
        is_complete=counts.is_complete,
    )


def _latency(operation: str, durations: Sequence[DurationCount]) -> Latency:
    """Return the percentiles of durations in ascending order."""
    until = list(accumulate(each.requests for each in durations))
    last = until[-1] - 1
    places = (bisect_right(until, round(last * percent / 100)) for percent in PERCENTILES)
    return Latency(
        operation, until[-1], tuple(durations[place].duration_us / 1000 for place in places)
    )
