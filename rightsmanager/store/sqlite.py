"""SQLite for several busy processes: short pauses while it is busy, and checkpoints of our own.

SQLite itself waits 1, 2, 5, 10, … ms for a busy database, while another process writes its licence
in a tenth of a millisecond: of two busy workers one would sleep for much of the time.

SQLite itself checkpoints at each commit once the WAL is long, and lets others write meanwhile:
under load it never finishes, and flushes to disk twice for every few licences. Here a process
checkpoints after many transactions, and briefly stops all writers at the end.
"""

import sqlite3
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import NullPool

FIRST_PAUSE: Final = 0.0001
"""Seconds; each pause is half as long again as the one before."""
MAX_PAUSE: Final = 0.01
MAX_WAL_PAGES: Final = 20_000
"""The length of the WAL at which SQLite checkpoints by itself after all."""
CHECKPOINT_WAIT_MS: Final = 100
"""The time that a checkpoint waits for readers before it is left for the next time."""
_PRIMARY: Final = 0xFF
"""The bits of an error code that tell its class."""


class BusyRetryConnection(sqlite3.Connection):
    """A connection whose cursors retry while the database is busy."""

    busy_seconds: float = 0

    def cursor(self, factory: Any = None) -> Any:  # noqa: ANN401 -- as sqlite3
        """Return a new cursor that retries."""
        return super().cursor(BusyRetryCursor if factory is None else factory)


class BusyRetryCursor(sqlite3.Cursor):
    """A cursor that retries a statement while the database is busy."""

    def execute(self, sql: str, parameters: Any = ()) -> "BusyRetryCursor":  # noqa: ANN401 -- as sqlite3
        """Run a statement; raises sqlite3.OperationalError if the database stays busy."""
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        return self._retry(sql, parameters)

    def _retry(self, sql: str, parameters: Any) -> "BusyRetryCursor":  # noqa: ANN401 -- as sqlite3
        pause = FIRST_PAUSE
        until = time.monotonic() + getattr(self.connection, "busy_seconds", 0)
        while True:
            time.sleep(pause)
            pause = min(1.5 * pause, MAX_PAUSE)
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise


def make_engine(url: URL, busy_seconds: float, *, is_disposable: bool = False) -> Engine:
    """Return the engine of a SQLite file; `busy_seconds` is the longest wait for another writer.

    is_disposable: whether a power failure may damage it; it never waits for the disk.
    """
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"factory": BusyRetryConnection},
        hide_parameters=True,
        skip_autocommit_rollback=True,
    )
    event.listen(
        engine, "connect", partial(_prepare, busy_seconds, "OFF" if is_disposable else "NORMAL")
    )
    return engine


def checkpoint_wal(cursor: sqlite3.Cursor) -> None:
    """Write the WAL into the database and restart it, unless readers are in the way."""
    # A fault of the disk is reported by the next commit: the WAL still has what was written.
    with suppress(sqlite3.OperationalError):
        # Writers go on while most of it is written, and are stopped for the rest only.
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        cursor.execute(f"PRAGMA busy_timeout={CHECKPOINT_WAIT_MS}").fetchall()
        cursor.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    cursor.execute("PRAGMA busy_timeout=0").fetchall()


def _prepare(
    busy_seconds: float, synchronous: str, connection: BusyRetryConnection, _record: object
) -> None:
    connection.busy_seconds = busy_seconds
    # The driver would begin transactions by itself.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        # The cursors wait instead.
        "busy_timeout=0",
        # Several processes read while one writes.
        "journal_mode=WAL",
        # With WAL it loses nothing when a process dies; a power failure may take what was
        # committed since the last checkpoint.
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        f"wal_autocheckpoint={MAX_WAL_PAGES}",
    ):
        cursor.execute(f"PRAGMA {pragma}").fetchall()
    cursor.close()


def _is_busy(error: sqlite3.OperationalError) -> bool:
    # The driver's own errors have no code.
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_BUSY
