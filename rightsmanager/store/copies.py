"""Empty databases in no time, and copies of databases, for many stores of one server.

SQLite: an empty database of the newest revision is made once and copied as a file.
"""

import secrets
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from rightsmanager.store.journal.database import open_file
from rightsmanager.store.schema import upgrade


def make_templates(database: Path, journal: Path) -> None:
    """Make an empty database and an empty journal, unless the files exist."""
    _make(database, lambda draft: upgrade(f"sqlite:///{draft}"))
    _make(journal, lambda draft: open_file(draft).close())


def copy_template(template: Path, target: Path) -> None:
    """Copy a file that is not written any more; the target exists whole or not at all."""
    draft = _draft(target)
    shutil.copyfile(template, draft)
    draft.chmod(0o600)
    draft.replace(target)


def back_up(source: Path, target: Path) -> None:
    """Copy a SQLite file that others may be writing, in the state of one moment.

    Raises sqlite3.Error and OSError, and leaves no target then.
    """
    draft = _draft(target)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as read,
            closing(sqlite3.connect(draft)) as written,
        ):
            read.backup(written)
            # One file, without a log.
            written.execute("PRAGMA journal_mode=DELETE").fetchall()
            written.execute("PRAGMA journal_mode=WAL").fetchall()
        draft.replace(target)
    finally:
        _remove(draft)


def _make(file: Path, fill: Callable[[Path], object]) -> None:
    if file.exists():
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(file)
    try:
        fill(draft)
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        draft.replace(file)
    finally:
        _remove(draft)


def _draft(file: Path) -> Path:
    return file.with_name(f".{file.name}.{secrets.token_hex(4)}")


def _remove(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            Path(f"{draft}{suffix}").unlink()
