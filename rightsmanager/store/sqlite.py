"""SQLite as several busy processes need it.

Whoever finds the database busy soon asks again. SQLite itself would sleep 1, 2, 5, 10, … ms, and
another process has written its licence within a tenth of one: of two busy workers one would sleep
for much of the time.

The log is folded into the database by whoever has written often, at the end with all other writers
held up. SQLite itself does so at each commit once the log is long, and lets others write meanwhile:
under load it would never be done, and wait for the disk twice for each few licences.
"""

import sqlite3
import time
from contextlib import suppress
from typing import Any, Final

FIRST_PAUSE: Final = 0.0001
"""In seconds; each pause is half as long again as the one before."""
MAX_PAUSE: Final = 0.01
MAX_WAL_BYTES: Final = 20_000
"""At how many pages SQLite folds it all the same."""
FOLD_MILLISECONDS: Final = 100
"""How long folding waits for those who read the log; it is left for the next time then."""
_PRIMARY: Final = 0xFF
"""The part of an error code that says what kind it is."""


def busy_retry_cursor(connection: sqlite3.Connection) -> "BusyRetryCursor":
    """Return a cursor that waits as long as the connection did, which itself waits no more."""
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout=0")
    connection.execute(f"PRAGMA wal_autocheckpoint={MAX_WAL_BYTES}")
    cursor = BusyRetryCursor(connection)
    cursor.patience = milliseconds / 1000
    return cursor


class BusyRetryCursor(sqlite3.Cursor):
    """A cursor whose statements are asked again while the database is busy."""

    patience: float = 0
    """For how many seconds."""

    def execute(self, sql: str, parameters: Any = ()) -> "BusyRetryCursor":  # noqa: ANN401 -- as sqlite3
        """Run a statement; raises sqlite3.OperationalError if the database stays busy."""
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        return self._ask_again(sql, parameters)

    def _ask_again(self, sql: str, parameters: Any) -> "BusyRetryCursor":  # noqa: ANN401 -- as sqlite3
        pause = FIRST_PAUSE
        until = time.monotonic() + self.patience
        while True:
            time.sleep(pause)
            pause = min(1.5 * pause, MAX_PAUSE)
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise


def checkpoint_wal(cursor: BusyRetryCursor) -> None:
    """Write what the log holds into the database and begin it anew, if nobody is in the way."""
    # What is wrong with the disk, the next commit will say: what was written is in the log.
    with suppress(sqlite3.OperationalError):
        # Most of it is done while others write, so that they are held up for what they wrote only.
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        cursor.execute(f"PRAGMA busy_timeout={FOLD_MILLISECONDS}").fetchall()
        cursor.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    cursor.execute("PRAGMA busy_timeout=0").fetchall()


def _is_busy(error: sqlite3.OperationalError) -> bool:
    # The driver's own errors have no code.
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_BUSY
