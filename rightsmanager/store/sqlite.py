"""SQLite's driver with patience of its own: whoever finds the database busy soon asks again.

SQLite itself would sleep 1, 2, 5, 10, … ms, and another process has written its licence within a
tenth of one: of two busy workers one would sleep for much of the time.
"""

import sqlite3
import time
from typing import Any, Final

FIRST_PAUSE: Final = 0.0001
"""In seconds; each pause is half as long again as the one before."""
LONGEST_PAUSE: Final = 0.01
_PRIMARY: Final = 0xFF
"""The part of an error code that says what kind it is."""


def patient_cursor(connection: sqlite3.Connection) -> "PatientCursor":
    """Return a cursor that waits as long as the connection did, which itself waits no more."""
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout=0")
    cursor = PatientCursor(connection)
    cursor.patience = milliseconds / 1000
    return cursor


class PatientCursor(sqlite3.Cursor):
    """A cursor whose statements are asked again while the database is busy."""

    patience: float = 0
    """For how many seconds."""

    def execute(self, sql: str, parameters: Any = ()) -> "PatientCursor":  # noqa: ANN401 -- as sqlite3
        """Run a statement; raises sqlite3.OperationalError if the database stays busy."""
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        return self._ask_again(sql, parameters)

    def _ask_again(self, sql: str, parameters: Any) -> "PatientCursor":  # noqa: ANN401 -- as sqlite3
        pause = FIRST_PAUSE
        until = time.monotonic() + self.patience
        while True:
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise


def _is_busy(error: sqlite3.OperationalError) -> bool:
    # The driver's own errors have no code.
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_BUSY
