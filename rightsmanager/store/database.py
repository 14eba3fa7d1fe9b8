"""The store: an engine, a connection for each thread, and transactions made of components.

SQLAlchemy Core and the driver's own cursor share the thread's connection. Neither the driver nor
SQLAlchemy begins or ends transactions: this module does.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol
from weakref import WeakSet

from sqlalchemy import URL, Engine, PoolProxiedConnection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from rightsmanager.errors import InternalError
from rightsmanager.store import sqlite
from rightsmanager.store.acknowledgements import Acknowledgements
from rightsmanager.store.component import Link
from rightsmanager.store.content_keys import ContentKeys
from rightsmanager.store.domains import Domains
from rightsmanager.store.fingerprints import Fingerprints
from rightsmanager.store.ledger import Ledger
from rightsmanager.store.licenses import Licenses
from rightsmanager.store.metering import Metering
from rightsmanager.store.metering_ids import MeteringIds
from rightsmanager.store.nonces import Nonces
from rightsmanager.store.revocations import Revocations
from rightsmanager.store.roots import Roots
from rightsmanager.store.sessions import Sessions
from rightsmanager.store.sources import Sources
from rightsmanager.store.streams import Streams
from rightsmanager.store.tokens import Tokens

BUSY_SECONDS: Final = 5
"""The longest wait of a writer for another one."""
CHECKPOINT_EVERY: Final = 1000
"""The transactions of a process between two checkpoints of SQLite's WAL."""
_IN_MEMORY: Final = frozenset({None, "", ":memory:"})
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
"""SQLAlchemy's name of the driver for each scheme of a URL."""


class Values(Protocol):
    """A row of figures, such as a list or shared memory."""

    def __getitem__(self, index: int, /) -> float:
        """Return a figure."""

    def __setitem__(self, index: int, value: float, /) -> None:
        """Replace a figure."""

    def __len__(self) -> int:
        """Return the number of figures."""


class Meter:
    """The use of a store: transactions that read and wrote, their seconds, and failures."""

    # Added to without a lock: Python changes threads at calls and jumps only, and there are none
    # between reading and writing a value.
    __slots__ = ("__weakref__", "values")

    def __init__(self) -> None:
        self.values: Values = [0.0] * 5
        """By READS, READ_SECONDS, WRITES, WRITE_SECONDS and FAILURES."""


READS, READ_SECONDS, WRITES, WRITE_SECONDS, FAILURES = range(5)


class StoreFailed(InternalError):  # noqa: N818 -- a refusal, as its parent
    """A failure of the database: it may work the next time."""


class Transaction:
    """The store's components within one transaction."""

    schema = ""
    """The schema that PostgreSQL looks for tables in; empty for the connection's own."""

    # One object for all transactions of a connection: none is made for each licence.
    def __init__(self, link: Link) -> None:
        self.link = link
        self.fingerprints = Fingerprints(link)
        self.content_keys = ContentKeys(link)
        self.sources = Sources(link)
        self.licenses = Licenses(link)
        self.nonces = Nonces(link)
        self.roots = Roots(link)
        self.acknowledgements = Acknowledgements(link)
        self.ledger = Ledger(link)
        self.revocations = Revocations(link)
        self.domains = Domains(link)
        self.metering_ids = MeteringIds(link)
        self.metering = Metering(link)
        self.sessions = Sessions(link)
        self.streams = Streams(link)
        self.tokens = Tokens(link)


class Reading:
    """Read-only context manager."""

    # A class, not @contextmanager: saves 4 µs a licence.
    __slots__ = ("_begun", "_store", "_transaction")

    def __init__(self, store: "Store") -> None:
        self._store = store

    def __enter__(self) -> Transaction:
        store = self._store
        self._begun = perf_counter()
        try:
            self._transaction = store.connections.transaction()
        except store.failures as error:
            raise store.database_failed(error) from original(error)
        return self._transaction

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        store = self._store
        if isinstance(error, store.failures):
            raise store.database_failed(error) from original(error)
        link = self._transaction.link
        if link.connection.in_transaction():
            link.detach()
        spent = perf_counter() - self._begun
        values = store.meter.values
        values[READS] += 1
        values[READ_SECONDS] += spent


class Writing:
    """Context manager of a transaction: commits at the end, rolls back after an exception."""

    # A class, not @contextmanager: saves 4 µs a licence.
    __slots__ = ("_begun", "_is_durable", "_is_single", "_store", "_transaction")

    def __init__(self, store: "Store", *, is_single: bool, is_durable: bool) -> None:
        self._store = store
        self._is_single = is_single
        self._is_durable = is_durable

    def __enter__(self) -> Transaction:
        store = self._store
        self._begun = perf_counter()
        try:
            self._transaction = transaction = store.connections.transaction()
            cursor = transaction.link.cursor
            if self._is_durable:
                cursor.execute(store.commands.start_durable)
            if not self._is_single:
                cursor.execute(store.commands.begin)
        except store.failures as error:
            raise store.database_failed(error) from original(error)
        return transaction

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        store = self._store
        if isinstance(error, store.failures):
            # This closes the connection, and the database rolls back.
            raise store.database_failed(error) from original(error)
        link = self._transaction.link
        try:
            if error is not None:
                link.cursor.connection.rollback()
            elif not self._is_single:
                link.cursor.connection.commit()
            if self._is_durable:
                link.cursor.execute(store.commands.end_durable)
            if next(store.finished) % CHECKPOINT_EVERY == 0:
                store.commands.checkpoint(link.cursor)
            if link.connection.in_transaction():
                link.detach()
        except store.failures as failure:
            raise store.database_failed(failure) from original(failure)
        spent = perf_counter() - self._begun
        values = store.meter.values
        values[WRITES] += 1
        values[WRITE_SECONDS] += spent


class Connections:
    """The connections of a store's threads, one for each thread.

    A thread keeps its connection, since opening one costs more than a licence. It is closed when
    the thread ends, when it fails and when the store is closed. A forked process starts without.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = threading.local()
        # SQLite has no server that could end.
        self._is_watched = engine.dialect.name == "postgresql"
        self._all: WeakSet[PoolProxiedConnection] = WeakSet()
        self._lock = threading.Lock()
        _EVERY.add(self)

    def transaction(self) -> Transaction:
        """Return this thread's components; raises the driver's error if it cannot connect."""
        found: Transaction | None = getattr(self._thread, "transaction", None)
        if found is None or (self._is_watched and found.link.cursor.connection.is_over()):
            self.drop()
            found = self._thread.transaction = Transaction(self._connect())
        return found

    def drop(self) -> None:
        """Close this thread's connection, in whatever state it is."""
        self._thread.__dict__.pop("transaction", None)
        pooled = self._thread.__dict__.pop("pooled", None)
        if pooled is not None:
            _close(pooled)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            connections = list(self._all)
        for pooled in connections:
            _close(pooled)
        self._thread = threading.local()

    def drop_inherited(self) -> None:
        """After a fork, drop the parent's connections without closing them."""
        _INHERITED.append(self._thread)
        self._thread, self._lock, self._all = threading.local(), threading.Lock(), WeakSet()

    def _connect(self) -> Link:
        # Without `preserve_rowcount` the count of an INSERT is lost when its cursor closes.
        connection = self._engine.connect().execution_options(preserve_rowcount=True)
        pooled = self._thread.pooled = connection.connection
        with self._lock:
            self._all.add(pooled)
        return Link(connection, pooled.cursor(), connection.dialect.name)


class ThreadConnections(Protocol):
    """A connection for each thread."""

    def transaction(self) -> Transaction:
        """Return this thread's components; raises the driver's error if it cannot connect."""

    def drop(self) -> None:
        """Close this thread's connection, in whatever state it is."""

    def close(self) -> None:
        """Close the connections of all threads."""


class Store:
    """A database; each use of it is a transaction.

    On PostgreSQL a statement sees all that is committed when it starts. Keys and locked rows make
    things happen once or in sequence, and rows are locked in a fixed order: no transaction has to
    be retried.
    """

    def __init__(self, engine: Engine, connections: "ThreadConnections | None" = None) -> None:
        self.connections = connections or Connections(engine)
        self.failures = (SQLAlchemyError, engine.dialect.loaded_dbapi.Error)
        self.commands = _COMMANDS[engine.dialect.name]
        self.finished = count(1)
        """Counts the transactions of this process."""
        self.meter = Meter()

    def transaction(self, *, single: bool = False, durable: bool = False) -> Writing:
        """Return a transaction, committed at the end of the block or rolled back by an exception.

        `single`: only the block's last statement changes anything, so the database makes it a
        transaction by itself. SQLite then holds no lock between two statements, while a thread may
        wait for the GIL; PostgreSQL saves two round trips.
        `durable`: the commit survives a power failure. SQLite otherwise leaves that to its next
        checkpoint.
        Raises InternalError where the database fails.
        """
        return Writing(
            self, is_single=single, is_durable=durable and bool(self.commands.start_durable)
        )

    def reading(self) -> Reading:
        """Open a read that neither blocks writers nor waits for them.

        Each statement sees what is committed when it starts. Raises InternalError where the
        database fails.
        """
        return Reading(self)

    def database_failed(self, error: BaseException) -> StoreFailed:
        """Close this thread's connection; return the refusal for a failure of the database."""
        self.connections.drop()
        self.meter.values[FAILURES] += 1
        # The driver's texts may have values of rows.
        return StoreFailed(f"the store failed: {type(original(error)).__name__}")

    def close(self) -> None:
        """Close the connections of all threads."""
        self.connections.close()


def open_store(url: str, busy_seconds: float = BUSY_SECONDS) -> Store:
    """Return the store at a database URL; it connects at its first use.

    `busy_seconds` is the longest wait for another writer. Raises InternalError for an invalid URL
    or another database.
    """
    return Store(make_engine(url, busy_seconds))


def open_disposable(file: Path, busy_seconds: float = BUSY_SECONDS) -> Store:
    """Return the store in a SQLite file that a power failure may damage."""
    url = URL.create("sqlite", database=str(file.absolute()))
    store = Store(sqlite.make_engine(url, busy_seconds, is_disposable=True))
    store.commands = replace(store.commands, start_durable="", end_durable="")
    return store


def make_engine(url: str, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Return the engine of a database URL; it connects at its first use.

    `busy_seconds` is the longest wait for another writer. Raises InternalError for an invalid URL,
    or another database or driver.
    """
    try:
        parsed = _parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            return sqlite.make_engine(parsed, busy_seconds)
        # Imported where it is used only: the driver takes 60 ms.
        from rightsmanager.store import postgresql  # noqa: PLC0415

        return postgresql.make_engine(parsed, busy_seconds)
    except (ArgumentError, ValueError):
        raise InternalError("database_url is not the URL of a database") from None


def original(error: BaseException) -> BaseException:
    """Return the driver's error within SQLAlchemy's, or the error itself."""
    return getattr(error, "orig", None) or error


def _parse_url(url: str) -> URL:
    """Return a URL with the driver in use; raises InternalError for any other database."""
    given = make_url(url)
    if given.drivername not in _DRIVERS:
        raise InternalError(
            f"database_url names {given.drivername!r}, expected sqlite or postgresql"
        )
    parsed = given.set(drivername=_DRIVERS[given.drivername])
    if parsed.get_backend_name() == "sqlite" and parsed.database in _IN_MEMORY:
        raise InternalError("database_url names SQLite in memory, expected a file to be shared")
    return parsed


def _close(pooled: PoolProxiedConnection) -> None:
    # Already invalid where SQLAlchemy noticed a lost connection.
    if pooled.is_valid:
        pooled.invalidate()


@dataclass(frozen=True, slots=True)
class _Commands:
    """The statements around a transaction on one kind of database."""

    begin: str
    start_durable: str
    """Makes the connection's commits wait for the disk; empty where they always do."""
    end_durable: str
    checkpoint: Callable[[Any], None]


_COMMANDS: Final = {
    "sqlite": _Commands(
        # A transaction that starts with a read could fail when it starts to write.
        "BEGIN IMMEDIATE",
        "PRAGMA synchronous=FULL",
        "PRAGMA synchronous=NORMAL",
        sqlite.checkpoint_wal,
    ),
    "postgresql": _Commands(
        # Each statement sees what is committed by then. To insert a key that another transaction
        # inserted, it waits for the end of that one.
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        "",
        "",
        lambda _cursor: None,
    ),
}
_EVERY: Final[WeakSet[Connections]] = WeakSet()
_INHERITED: Final[list[threading.local]] = []
"""Connections of a parent process. Closing one would make the server end the parent's."""


def _drop_inherited() -> None:
    for connections in list(_EVERY):
        connections.drop_inherited()


os.register_at_fork(after_in_child=_drop_inherited)
