"""Many stores in one PostgreSQL database: each has a schema with tables of its own.

All of them share one connection for each thread, whose `search_path` names the schema in use: a
thousand stores need no more connections than one. PostgreSQL plans a prepared statement again when
the path has changed.

The tables are copies of the server's own. To create them takes longer than to empty them, so
schemas are used again.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from psycopg import Connection as PsycopgConnection
from psycopg import Error as PsycopgError
from psycopg import sql
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rightsmanager.errors import InternalError
from rightsmanager.store.database import (
    Connections,
    Store,
    StoreFailed,
    Transaction,
    make_engine,
    original,
)
from rightsmanager.store.journal.database import JournalDatabase
from rightsmanager.store.journal.tables import JOURNAL
from rightsmanager.store.journal.writing import POSTGRESQL, Writer
from rightsmanager.store.tables import METADATA

MAX_KEPT: Final = 4
"""The most connections of writers that are kept for the next ones."""
SUFFIX: Final = ".copy"
_READ_ONCE: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def table_names() -> tuple[str, ...]:
    """Return the names of all tables of a store and its journal."""
    return tuple(each.name for each in (*METADATA.sorted_tables, *JOURNAL.sorted_tables))


class Schemas:
    """The schemas of one database."""

    def __init__(self, url: str, busy_seconds: float) -> None:
        self._engine = make_engine(url, busy_seconds)
        self._connections = Connections(self._engine)
        self._lock = threading.Lock()
        self._kept: list[PsycopgConnection[Any]] = []

    @property
    def engine(self) -> Engine:
        """The engine of the database."""
        return self._engine

    def open(self, schema: str) -> Store:
        """Return the store of a schema."""
        return Store(self._engine, SchemaConnections(self._connections, schema))

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def create(self, schema: str) -> None:
        """Create a schema with empty tables; raises StoreFailed."""
        name = sql.Identifier(schema)
        tables = [
            sql.SQL("CREATE TABLE {}.{} (LIKE {} INCLUDING ALL)").format(
                name, sql.Identifier(table), sql.Identifier(table)
            )
            for table in table_names()
        ]
        self._run(sql.SQL("CREATE SCHEMA {}").format(name), *tables)

    def empty(self, schema: str) -> None:
        """Remove all rows of a schema; raises StoreFailed."""
        self._run(
            *(
                sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table))
                for table in reversed(table_names())
            )
        )

    def drop(self, schema: str) -> None:
        """Remove a schema with its tables, if it exists; raises StoreFailed."""
        self._run(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))

    def save(self, schema: str, folder: Path) -> None:
        """Write the rows of all tables, in the state of one moment, to files in a folder."""
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute(_READ_ONCE)
            for table in table_names():
                rows = sql.SQL("COPY {} TO STDOUT (FORMAT binary)")
                with (
                    cursor.copy(rows.format(sql.Identifier(schema, table))) as copy,
                    (folder / f"{table}{SUFFIX}").open("wb") as file,
                ):
                    for data in copy:
                        file.write(data)
            cursor.execute("COMMIT")

    def load(self, schema: str, folder: Path) -> None:
        """Add the rows of `save` to the empty tables of a schema; raises StoreFailed."""
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for table in table_names():
                rows = sql.SQL("COPY {} FROM STDIN (FORMAT binary)")
                with (
                    (folder / f"{table}{SUFFIX}").open("rb") as file,
                    cursor.copy(rows.format(sql.Identifier(schema, table))) as copy,
                ):
                    while data := file.read(1 << 16):
                        copy.write(data)
            cursor.execute("COMMIT")

    def open_writer(self, schema: str) -> Writer:
        """Return a writer of the journal in a schema; raises the driver's error."""
        connection = self._take()
        try:
            path = sql.SQL("SET search_path TO {}").format(sql.Identifier(schema))
            connection.execute(path)
        except BaseException:
            connection.close()
            raise
        return Writer(connection, POSTGRESQL, lambda: self._give_back(connection))

    def _take(self) -> PsycopgConnection[Any]:
        with self._lock:
            if self._kept:
                return self._kept.pop()
        return self._connect()

    def _connect(self) -> PsycopgConnection[Any]:
        pooled = self._engine.raw_connection()
        connection: PsycopgConnection[Any] = pooled.driver_connection  # type: ignore[assignment]
        # Taken out of SQLAlchemy's care, which would close it.
        pooled.detach()
        return connection

    def _give_back(self, connection: PsycopgConnection[Any]) -> None:
        is_fit = connection.info.transaction_status is TransactionStatus.IDLE
        with self._lock:
            if is_fit and len(self._kept) < MAX_KEPT:
                self._kept.append(connection)
                return
        connection.close()

    def _run(self, *statements: sql.Composable) -> None:
        """Run statements as one transaction; raises StoreFailed."""
        whole = sql.SQL("; ").join((sql.SQL("BEGIN"), *statements, sql.SQL("COMMIT")))
        with self._connected() as connection:
            connection.execute(whole)

    @contextmanager
    def _connected(self) -> Iterator[PsycopgConnection[Any]]:
        try:
            with closing(self._connect()) as connection:
                yield connection
        except (SQLAlchemyError, PsycopgError) as error:
            cause = original(error)
            raise StoreFailed(f"the store failed: {type(cause).__name__}") from cause


class SchemaConnections:
    """The connections of all threads, for the statements of one schema."""

    def __init__(self, shared: Connections, schema: str) -> None:
        self._shared = shared
        self._schema = schema
        self._path = sql.SQL("SET search_path TO {}").format(sql.Identifier(schema))

    def transaction(self) -> Transaction:
        """Return this thread's components; raises the driver's error if it cannot connect."""
        found = self._shared.transaction()
        if found.schema != self._schema:
            found.link.cursor.execute(self._path)
            found.schema = self._schema
        return found

    def drop(self) -> None:
        """Close this thread's connection, in whatever state it is."""
        self._shared.drop()

    def close(self) -> None:
        """Do nothing: other schemas use the connections too."""


@dataclass(frozen=True)
class SchemaJournal(JournalDatabase):
    """The tables of a journal in a schema."""

    schemas: Schemas = field(kw_only=True)
    schema: str = field(kw_only=True)

    def open_writer(self) -> Writer:
        """Return a writer, whose connection is kept for other schemas; raises `failures`."""
        return self.schemas.open_writer(self.schema)

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Yield this thread's connection; raises InternalError."""
        try:
            with self._store.reading() as found:
                yield found.link.connection
        except StoreFailed as error:
            raise InternalError(f"the journal cannot be read: {error.text}") from error.__cause__

    @cached_property
    def _store(self) -> Store:
        return self.schemas.open(self.schema)

    @cached_property
    def _engine(self) -> Engine:
        return self.schemas.engine
