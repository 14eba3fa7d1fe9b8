"""The stores of worlds: each has tables of its own, and a journal of its own.

A store is at a place, a folder that a reset leaves for another one. Whatever uses it holds the
shared lock of the place; whatever removes it, the only one.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from rightsmanager.journal.journal import FILE as JOURNAL_FILE
from rightsmanager.journal.journal import Journal, counts_folder
from rightsmanager.lab.faults.counts import FILE as FAULTS_FILE
from rightsmanager.store import copies
from rightsmanager.store.database import Store, open_disposable
from rightsmanager.store.journal.database import JournalDatabase

DATABASE_FILE: Final = "store.db"
REQUESTS_FILE: Final = "requests"
"""The log by which a seed repeats its bytes; see lab.randomness."""
COPIED: Final = (REQUESTS_FILE, FAULTS_FILE)
"""Files of a place that a snapshot has too."""


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """The store and the journal of a world."""

    store: Store
    journal: Journal


class Storage(Protocol):
    """A kind of database."""

    @property
    def kind(self) -> str:
        """The name of the database."""

    @property
    def max_open_journals(self) -> int:
        """The most journals that one process writes over open connections."""

    def make(self, place: Path) -> None:
        """Make the empty store of a place, unless it has one; the caller holds a lock."""

    def close(self) -> None:
        """Close the connections that stores share."""

    def prepare(self) -> None:
        """Make in advance what the next stores need."""

    def collect(self, places: Iterable[Path]) -> None:
        """Remove what processes that were killed have left; places: those of all worlds."""

    def open(self, place: Path) -> OpenedStore:
        """Return the store of a place; it connects at its first use."""

    def remove(self, place: Path) -> None:
        """Remove a place with its store, which is not open anywhere."""

    def save(self, place: Path, snapshot: Path) -> None:
        """Copy a store into the folder of a snapshot."""

    def load(self, snapshot: Path, place: Path) -> None:
        """Make the store of a place, which has none, from a snapshot."""


@dataclass(frozen=True)
class SqliteStorage:
    """Two SQLite files in each place."""

    templates: Path
    """The folder of the empty files, below that of all revisions."""
    busy_seconds: float
    max_open_journals: int = 16
    kind: str = "sqlite"

    def make(self, place: Path) -> None:
        """Copy the empty database, and then the empty journal: the last one completes it."""
        if (place / JOURNAL_FILE).exists():
            return
        self.prepare()
        copies.copy_template(self._database, place / DATABASE_FILE)
        copies.copy_template(self._journal, place / JOURNAL_FILE)

    def close(self) -> None:
        """Do nothing: each store has its own."""

    def prepare(self) -> None:
        """Make the empty files that others are copied from."""
        copies.make_templates(self._database, self._journal)

    def collect(self, places: Iterable[Path]) -> None:
        """Remove the empty files of other revisions; all else is in the places."""
        del places
        for folder in self.templates.parent.iterdir():
            if folder != self.templates:
                shutil.rmtree(folder, ignore_errors=True)

    def open(self, place: Path) -> OpenedStore:
        """Return the store of the files."""
        database = JournalDatabase.in_file(place / JOURNAL_FILE)
        journal = Journal(database, counts_folder(place))
        # A write of a new file waits for the disk otherwise: 10 ms, and more while others write.
        store = open_disposable(place / DATABASE_FILE, self.busy_seconds)
        return OpenedStore(store, journal)

    def remove(self, place: Path) -> None:
        """Remove the folder."""
        shutil.rmtree(place, ignore_errors=True)

    def save(self, place: Path, snapshot: Path) -> None:
        """Copy the files by SQLite's own means."""
        for name in (DATABASE_FILE, JOURNAL_FILE):
            copies.back_up(place / name, snapshot / name)
        copy_files(place, snapshot)

    def load(self, snapshot: Path, place: Path) -> None:
        """Copy the files, which are not written any more."""
        copy_files(snapshot, place)
        for name in (DATABASE_FILE, JOURNAL_FILE):
            copies.copy_template(snapshot / name, place / name)

    @property
    def _database(self) -> Path:
        return self.templates / DATABASE_FILE

    @property
    def _journal(self) -> Path:
        return self.templates / JOURNAL_FILE


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of a place that are no database."""
    for name in COPIED:
        with suppress(FileNotFoundError):
            shutil.copyfile(source / name, target / name)
