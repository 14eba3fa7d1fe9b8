"""The journal of a device: one SQLite file of its folder.

device.db     every change is one transaction, on the disk when it ends; several processes may use
              it at the same time

first_plays          the first play of each persistent licence, by its licence id
usage                plays and other actions that are in no transaction yet, by metering id
transactions         the one report of a metering id that the server has not answered yet
transaction_usage    the content of that report, unchanged until it is answered
sessions             playbacks under secure stop that the server has not accepted yet
deletions            deleted licences, and the session under which they are reported
challenges           challenges as messages whose replies were not accepted yet
acknowledgements     results that replies asked for, of licences that came as messages
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError
from rightsmanager.files import PRIVATE_MODE

FILE: Final = "device.db"
TIMEOUT_SECONDS: Final = 30
"""The longest wait for another process's transaction."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS first_plays (
    rights_id BLOB PRIMARY KEY,
    played_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS usage (
    mid BLOB NOT NULL,
    kid BLOB NOT NULL,
    action TEXT NOT NULL,
    value INTEGER NOT NULL CHECK (value > 0),
    PRIMARY KEY (mid, kid, action)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (
    mid BLOB PRIMARY KEY,
    transaction_id BLOB NOT NULL UNIQUE,
    partial INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS transaction_usage (
    transaction_id BLOB NOT NULL,
    kid BLOB NOT NULL,
    action TEXT NOT NULL,
    value INTEGER NOT NULL CHECK (value > 0),
    PRIMARY KEY (transaction_id, kid, action)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    session_id BLOB PRIMARY KEY,
    mid BLOB NOT NULL,
    kid BLOB NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    stopped INTEGER NOT NULL,
    proof_key BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS deletions (
    session_id BLOB NOT NULL,
    kid BLOB NOT NULL,
    rights_id BLOB NOT NULL,
    PRIMARY KEY (session_id, kid, rights_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS challenges (
    operation TEXT NOT NULL,
    key BLOB NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (operation, key)
) STRICT;
CREATE TABLE IF NOT EXISTS acknowledgements (
    transaction_id BLOB NOT NULL,
    kid BLOB NOT NULL,
    result INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, kid)
) STRICT;
"""


class Journal:
    """An open journal; `close` it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._named():
            # Made here and not by SQLite, which would make it readable by others.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE_MODE))
            self._connection = sqlite3.connect(file, timeout=TIMEOUT_SECONDS, isolation_level=None)
        try:
            self._make_tables()
        except InternalError:
            self.close()
            raise

    def _make_tables(self) -> None:
        with self.transaction() as connection:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; all changes are committed together, or rolled back.

        Raises InternalError, which names the file, for any failure of SQLite.
        """
        with self._named():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def first_played(self, rights_id: bytes) -> int | None:
        """Return the time of a licence's first play in Unix seconds, None before it."""
        with self._named():
            row = self._connection.execute(
                "SELECT played_at FROM first_plays WHERE rights_id = ?", (rights_id,)
            ).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise InternalError(f"{self._file}: {error}") from None


def open_journal(folder: Path) -> Journal:
    """Return the journal of a device's folder; it is made if it is missing."""
    return Journal(folder / FILE)
