"""What a device remembers of its own doings, in one SQLite file of its folder.

device.db     every change is one transaction, on the disk when it ends; several processes may use
              it at once

first_plays          when a persistent licence was first played, by its rights id
usage                what was done with content keys and is in no transaction yet, by metering id
transactions         the one report of a metering id that the server has not answered yet
transaction_usage    what that report says; nothing changes it until it is answered
sessions             playbacks under secure stop that the server has not accepted yet
deletions            licences that were deleted, and under which session the server is told so
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rightsmanager.device.files import PRIVATE_MODE
from rightsmanager.errors import InternalError

FILE: Final = "device.db"
PATIENCE_SECONDS: Final = 30
"""How long a process waits for another's transaction."""

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
"""


class Journal:
    """The journal of a device, open; `close` it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._named():
            # The file is made here and not by SQLite, which would let others read it.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE_MODE))
            self._connection = sqlite3.connect(file, timeout=PATIENCE_SECONDS, isolation_level=None)
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
        """Give the connection; all that is changed is kept together, or nothing of it.

        Raises InternalError, which names the file, for whatever SQLite cannot do.
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
        """Return when a licence was first played, in Unix seconds, None if it was not yet."""
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
    """Return the journal of a device's folder, made if there is none yet."""
    return Journal(folder / FILE)
