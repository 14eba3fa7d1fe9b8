"""Databases of the newest revision, one for each test: SQLite files or PostgreSQL databases."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

import rightsmanager.store.database  # noqa: F401 -- every table is registered with METADATA
from rightsmanager.store.database import make_engine
from rightsmanager.store.journal.tables import JOURNAL
from rightsmanager.store.schema import newest_revision, upgrade
from rightsmanager.store.tables import METADATA
from tests.postgresql import PostgreSQL

KINDS = ("sqlite", "postgresql")
on_sqlite = pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
"""Runs a test with a server on SQLite only, since it does not depend on the database."""
in_sqlite = pytest.mark.parametrize("_databases", ["sqlite"], indirect=True)
"""The same for a test in this process."""

NewDatabase = Callable[[], str]
"""Makes an empty database of the newest revision and returns its URL."""


class Files:
    """SQLite's databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template.db"
        self._names = count()
        upgrade(f"sqlite:///{self._template}")

    def take(self) -> str:
        url = self.make_empty()
        shutil.copy(self._template, url.removeprefix("sqlite:///"))
        return url

    def make_empty(self) -> str:
        return f"sqlite:///{self._folder / f'{next(self._names)}.db'}"

    def give_back(self, url: str) -> None:
        self.remove(url)

    def remove(self, url: str) -> None:
        for file in self._folder.glob(f"{Path(url).name}*"):
            file.unlink()


@dataclass
class Emptied:
    """PostgreSQL databases, emptied and reused after each test, which is faster."""

    server: PostgreSQL
    _template: str | None = None
    _free: list[str] = field(default_factory=list)

    def take(self) -> str:
        name = self._free.pop() if self._free else self.server.create_database(self.template)
        return self.server.url(name)

    @property
    def template(self) -> str:
        """The name of an empty database of the newest revision, to copy."""
        if self._template is None:
            self._template = self.server.create_database()
            upgrade(self.server.url(self._template))
        return self._template

    def remove(self, url: str) -> None:
        self.server.drop_database(url.rpartition("/")[2])

    def make_empty(self) -> str:
        return self.server.url(self.server.create_database())

    def give_back(self, url: str) -> None:
        name = url.rpartition("/")[2]
        try:
            with psycopg.connect(url) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                if row != (newest_revision(),):
                    # The test left it with another schema.
                    return
                tables = reversed([*METADATA.sorted_tables, *JOURNAL.sorted_tables])
                delete = sql.SQL("DELETE FROM {}")
                connection.execute(
                    # All at once: one round trip.
                    sql.SQL(";").join(delete.format(sql.Identifier(each.name)) for each in tables)
                )
        except psycopg.Error:
            # The test left it without a table, or the server was stopped.
            return
        self._free.append(name)


def execute(url: str, statement: str, **values: object) -> list[tuple[object, ...]]:
    """Run a statement with named values, commit, and return its rows."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            done = connection.execute(text(statement), values)
            return [tuple(row) for row in done] if done.returns_rows else []
    finally:
        engine.dispose()


def stored_bytes(url: str) -> bytes:
    """Return the content of a database."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        return b"".join(each.read_bytes() for each in file.parent.glob(f"{file.name}*"))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        kept = b""
        every_row = sql.SQL("COPY {} TO STDOUT (FORMAT binary)")
        for table in [*METADATA.sorted_tables, *JOURNAL.sorted_tables]:
            with cursor.copy(every_row.format(sql.Identifier(table.name))) as rows:
                kept += b"".join(map(bytes, rows))
        return kept
