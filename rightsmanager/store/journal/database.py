"""Opens the journal's database, for its writer and for readers."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from rightsmanager.errors import InternalError
from rightsmanager.store.database import make_engine, original
from rightsmanager.store.journal.tables import JOURNAL
from rightsmanager.store.journal.writing import POSTGRESQL, SQLITE, Writer

BUSY_SECONDS: Final = 5.0
"""The longest wait for another writer."""
# A body fits into a page or two, which costs a quarter less than with pages of 4 KB.
PAGE_BYTES: Final = 16384
CHECKPOINT_PAGES: Final = 512
"""The length of the WAL at which it is written into the database: 8 MB."""
VERSION: Final = 2
"""The version of the file's tables."""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Both drivers have these classes, psycopg in subclasses for each code.
_REFUSALS: Final = frozenset(
    {
        *("DataError", "IntegrityError", "InterfaceError", "ProgrammingError"),
        *("UniqueViolation", "NumericValueOutOfRange", "CharacterNotInRepertoire"),
        *("UntranslatableCharacter", "NotNullViolation"),
    }
)
_PRIMARY: Final = 0xFF
"""The bits of an error code that tell its class."""


@dataclass(frozen=True)
class JournalDatabase:
    """The journal's file, or its tables in a PostgreSQL database."""

    url: str
    """The database's URL; for SQLite that of the journal's own file."""
    file: Path | None = None
    """The file, None on PostgreSQL."""

    @classmethod
    def in_file(cls, file: Path) -> "JournalDatabase":
        """Return the journal of a SQLite file, which its writer makes."""
        return cls(f"sqlite:///{file.absolute()}", file.absolute())

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """The exceptions of a database that fails."""
        if self.file is not None:
            return (sqlite3.Error, OSError)
        return (self._engine.dialect.loaded_dbapi.Error, SQLAlchemyError)

    def is_entry_refused(self, error: BaseException) -> bool:
        """Return whether a failure is due to the values of an entry."""
        return type(error).__name__ in _REFUSALS

    def open_writer(self) -> Writer:
        """Return a writer with a connection of its own; raises one of `failures`."""
        if self.file is not None:
            connection = open_file(self.file)
            return Writer(connection, SQLITE, connection.close)
        pooled = self._engine.raw_connection()
        return Writer(pooled.driver_connection, POSTGRESQL, pooled.invalidate)

    def identify(self) -> object:
        """Return a value that changes if the file is replaced or removed."""
        if self.file is None:
            return None
        try:
            found = self.file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def set_aside(self, error: BaseException, identity: object) -> bool:
        """Rename a damaged file, so that a new one is made; return whether that was done.

        identity: the file that was found to be damaged; another process may have replaced it.
        """
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        if self.file is None or code not in _DAMAGED or identity != self.identify():
            return False
        with suppress(OSError):
            for suffix in ("-wal", "-shm"):
                Path(f"{self.file}{suffix}").unlink(missing_ok=True)
            self.file.replace(f"{self.file}.damaged")
        return True

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Yield a connection, None if there is no journal yet; raises InternalError."""
        if self.is_missing():
            yield None
            return
        try:
            with self._engine.connect() as connection:
                yield connection if self._has_tables(connection) else None
        except SQLAlchemyError as error:
            reason = type(original(error)).__name__
            raise InternalError(f"the journal cannot be read: {reason}") from original(error)

    def is_missing(self) -> bool:
        """Return whether no writer has made the file yet."""
        try:
            return self.file is not None and not self.file.stat().st_size
        except OSError:
            return True

    def _has_tables(self, connection: Connection) -> bool:
        if self.file is None:
            return True
        return connection.exec_driver_sql("PRAGMA user_version").scalar() == VERSION

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self.url, BUSY_SECONDS)


def open_file(file: Path) -> sqlite3.Connection:
    """Return a connection that writes; the file and its tables are made if they are missing."""
    # What players send is for the server's own user; SQLite's other files get the same mode. An
    # existing file must not be opened here: to close it would drop the process's POSIX locks on it,
    # and SQLite would take another connection's log for abandoned and delete it.
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    # Threads take turns: commands close from another thread than the one that opened.
    connection = sqlite3.connect(
        file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            # A power failure may take the newest entries, never the file.
            "synchronous=NORMAL",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"journal_size_limit={2 * CHECKPOINT_PAGES * PAGE_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have made them meanwhile.
    if _version(connection) != VERSION:
        for statement in _definitions():
            connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO journal_state (one, last_id) VALUES (1, 0)")
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _definitions() -> Iterator[str]:
    dialect = sqlite.dialect()
    for table in JOURNAL.sorted_tables:
        # A file of version 1 has all but journal_minutes.
        yield str(CreateTable(table, if_not_exists=True).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            yield str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect))
