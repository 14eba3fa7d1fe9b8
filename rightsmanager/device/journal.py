"""What a device remembers of its own doings, in one SQLite file of its folder.

device.db     every change is one transaction, on the disk when it ends; several processes may use
              it at once

first_plays   when a licence was first played, by its rights id; kept if the licence has a term that
              begins with its first play
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
"""


class Journal:
    """The journal of a device, open; `close` it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._named():
            # The file is made here and not by SQLite, which would let others read it.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE_MODE))
            self._connection = sqlite3.connect(file, timeout=PATIENCE_SECONDS, isolation_level=None)
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
