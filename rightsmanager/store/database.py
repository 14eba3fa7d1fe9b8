"""The database: engine, connections and transactions."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from operator import methodcaller
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from rightsmanager.errors import InternalError
from rightsmanager.store.acknowledgements import ACKNOWLEDGEMENT_STATEMENTS, Acknowledgements
from rightsmanager.store.connections import Connections
from rightsmanager.store.content_keys import CONTENT_KEY_STATEMENTS, ContentKeys
from rightsmanager.store.domains import DOMAIN_STATEMENTS, Domains
from rightsmanager.store.ledger import LEDGER_STATEMENTS, Ledger
from rightsmanager.store.licenses import LICENSE_STATEMENTS, Licenses
from rightsmanager.store.metering import METERING_STATEMENTS, Metering
from rightsmanager.store.metering_ids import METERING_ID_STATEMENTS, MeteringIds
from rightsmanager.store.revocations import REVOCATION_STATEMENTS, Revocations
from rightsmanager.store.roots import ROOT_STATEMENTS, Roots
from rightsmanager.store.sessions import SESSION_STATEMENTS, Sessions
from rightsmanager.store.sources import SOURCE_STATEMENTS, Sources
from rightsmanager.store.sqlite import busy_retry_cursor, checkpoint_wal
from rightsmanager.store.statements import Clause, Queries, compile_statement
from rightsmanager.store.streams import STREAM_STATEMENTS, Streams

CHECKPOINT_EVERY: Final = 1000
"""The number of transactions of this process between two checkpoints of SQLite's WAL."""

BUSY_SECONDS: Final = 5
"""How long a writer waits for another one before it gives up."""
_IN_MEMORY: Final = frozenset({None, "", ":memory:"})
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
"""SQLAlchemy's name of the driver for each spelling of a URL's scheme."""


class Transaction(Queries):
    """The components of the store within one transaction."""

    @property
    def content_keys(self) -> ContentKeys:
        """The content keys."""
        return ContentKeys(self._cursor, self._statements)

    @property
    def licenses(self) -> Licenses:
        """The licenses."""
        return Licenses(self._cursor, self._statements)

    @property
    def revocations(self) -> Revocations:
        """The revocations."""
        return Revocations(self._cursor, self._statements)

    @property
    def acknowledgements(self) -> Acknowledgements:
        """The acknowledgements."""
        return Acknowledgements(self._cursor, self._statements)

    @property
    def roots(self) -> Roots:
        """The roots."""
        return Roots(self._cursor, self._statements)

    @property
    def sources(self) -> Sources:
        """The sources."""
        return Sources(self._cursor, self._statements)

    @property
    def metering_ids(self) -> MeteringIds:
        """The metering ids."""
        return MeteringIds(self._cursor, self._statements)

    @property
    def domains(self) -> Domains:
        """The domains."""
        return Domains(self._cursor, self._statements)

    @property
    def metering(self) -> Metering:
        """The metering."""
        return Metering(self._cursor, self._statements)

    @property
    def sessions(self) -> Sessions:
        """The sessions."""
        return Sessions(self._cursor, self._statements)

    @property
    def streams(self) -> Streams:
        """The streams."""
        return Streams(self._cursor, self._statements)

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self._cursor, self._statements)


class Reading:
    """A block that only finds; as a class, since each licence passes through one."""

    __slots__ = ("_store",)

    def __init__(self, store: "Store") -> None:
        self._store = store

    def __enter__(self) -> Transaction:
        store = self._store
        try:
            return Transaction(store.connections.cursor(), store.statements)
        except store.failures as error:
            raise store.database_failed(error) from error

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, self._store.failures):
            raise self._store.database_failed(error) from error


class Writing:
    """A block that is one transaction; as a class, since each licence passes through one."""

    __slots__ = ("_cursor", "_is_durable", "_is_single", "_store")

    def __init__(self, store: "Store", *, is_single: bool, is_durable: bool) -> None:
        self._store = store
        self._is_single = is_single
        self._is_durable = is_durable
        self._cursor: Any = None

    def __enter__(self) -> Transaction:
        store = self._store
        try:
            self._cursor = cursor = store.connections.cursor()
            if self._is_durable:
                cursor.execute(store.durable)
            if not self._is_single:
                cursor.execute(store.begin)
        except store.failures as error:
            raise store.database_failed(error) from error
        return Transaction(cursor, store.statements)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        store = self._store
        if isinstance(error, store.failures):
            # The connection is given up, and with it what it began.
            raise store.database_failed(error) from error
        try:
            if error is None:
                self._commit()
            else:
                self._cursor.connection.rollback()
        except store.failures as failure:
            raise store.database_failed(failure) from failure

    def _commit(self) -> None:
        if not self._is_single:
            self._cursor.connection.commit()
        if self._is_durable:
            self._cursor.execute(self._store.usual)
        self._store.fold(self._cursor)


class Store:
    """The database behind an engine; every use of it is a transaction.

    On PostgreSQL each statement of a transaction sees what is committed by then. What must not
    happen twice, or beside something else, is held by keys and by rows that are taken, in one
    order; so no transaction has to be run again.
    """

    def __init__(self, engine: Engine) -> None:
        self.statements = {
            name: compile_statement(clause(engine.dialect), engine.dialect)
            for name, clause in _STATEMENTS.items()
        }
        self.failures = (SQLAlchemyError, engine.dialect.loaded_dbapi.Error)
        self.begin = _BEGIN[engine.dialect.name]
        self.durable, self.usual = _DURABLE[engine.dialect.name]
        self._fold = _FOLD[engine.dialect.name]
        self._committed = count(1)
        self.connections = Connections(engine, _CURSORS[engine.dialect.name])

    def transaction(self, *, single: bool = False, durable: bool = False) -> "Writing":
        """Give a transaction that is committed at the end of the block, or undone by an exception.

        `single`: the block's last statement is the only one that changes anything. The database
        makes that a transaction by itself. SQLite does so without leaving its C code: a thread that
        waits for Python's lock between two statements would have all other processes wait for it.
        PostgreSQL is spared two journeys.
        `durable`: what is committed outlives a power failure too; SQLite otherwise leaves that to
        its next checkpoint.
        Raises InternalError where the database does not do its part.
        """
        return Writing(self, is_single=single, is_durable=durable and bool(self.durable))

    def reading(self) -> "Reading":
        """Give what only finds, without waiting for a writer and without holding one up.

        Each thing is found as it stands committed at that moment.
        Raises InternalError where the database does not do its part.
        """
        return Reading(self)

    def database_failed(self, error: BaseException) -> InternalError:
        """Return the refusal for what the database did, this thread's connection thrown away."""
        self.connections.forget()
        return InternalError(f"the store failed: {type(error).__name__}")

    def fold(self, cursor: Any) -> None:  # noqa: ANN401 -- DBAPI
        """Count a transaction, and after so many of them fold what SQLite keeps beside its file."""
        if next(self._committed) % CHECKPOINT_EVERY == 0:
            self._fold(cursor)

    def close(self) -> None:
        """Close the connections of all threads."""
        self.connections.close()


def open_store(url: str, busy_seconds: float = BUSY_SECONDS) -> Store:
    """Return the store at a database URL; no connection is made until it is used.

    `busy_seconds` is how long a writer waits for another one. Raises InternalError for a URL that
    is none, or of a database that the store is not written for.
    """
    return Store(make_engine(url, busy_seconds))


def make_engine(url: str, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Return the engine of a database URL; no connection is made until it is used.

    `busy_seconds` is how long a writer waits for another one. Raises InternalError for a URL that
    is none, or of a database or driver that the store is not written for.
    """
    make = {"sqlite": _make_sqlite, "postgresql": _make_postgresql}
    try:
        parsed = _parse(make_url(url))
        return make[parsed.get_backend_name()](parsed, busy_seconds)
    except (ArgumentError, ValueError):
        raise InternalError("database_url is not the URL of a database") from None


def _make_sqlite(url: URL, busy_seconds: float) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", partial(_prepare_sqlite, busy_seconds))
    return engine


def _make_postgresql(url: URL, busy_seconds: float) -> Engine:
    # The driver takes a while to import, which who has SQLite is spared.
    from rightsmanager.store.postgresql import PARAMETERS, connect, server_limits  # noqa: PLC0415

    query = {**PARAMETERS, "options": server_limits(busy_seconds), **url.query}
    engine = create_engine(
        url.set(query=query),
        poolclass=NullPool,
        connect_args={"autocommit": True},
        use_native_hstore=False,
    )

    def do_connect(_dialect: object, _record: object, given: Any, named: Any) -> Any:  # noqa: ANN401 -- DBAPI
        return connect(2 * busy_seconds + 1, *given, **named)

    event.listen(engine, "do_connect", do_connect)
    return engine


def _parse(given: URL) -> URL:
    """Return the URL with the driver that is used; raises InternalError for any other database."""
    if given.drivername not in _DRIVERS:
        raise InternalError(
            f"database_url names {given.drivername!r}, expected sqlite or postgresql"
        )
    parsed = given.set(drivername=_DRIVERS[given.drivername])
    if parsed.get_backend_name() == "sqlite" and parsed.database in _IN_MEMORY:
        raise InternalError("database_url names SQLite in memory, expected a file to be shared")
    return parsed


def _prepare_sqlite(busy_seconds: float, connection: Any, _record: object) -> None:  # noqa: ANN401 -- DBAPI
    connection.isolation_level = None
    # WAL lets several processes read while one writes. With it, NORMAL loses nothing when a
    # process dies; it only defers to the next checkpoint what a power failure may take.
    for pragma in (
        f"busy_timeout={int(busy_seconds * 1000)}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


_CURSORS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "sqlite": busy_retry_cursor,
    "postgresql": methodcaller("cursor"),
}
"""What makes a connection's cursor."""
_FOLD: Final[Mapping[str, Callable[[Any], None]]] = {
    "sqlite": checkpoint_wal,
    "postgresql": lambda _: None,
}
"""What is done after so many transactions."""
_BEGIN: Final = {
    # It would fail if it had to become a writing one halfway.
    "sqlite": "BEGIN IMMEDIATE",
    # Each statement sees what is committed by then; a key that another one records is waited for.
    "postgresql": "BEGIN ISOLATION LEVEL READ COMMITTED",
}
"""What begins a transaction."""
_DURABLE: Final = {
    "sqlite": ("PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"),
    # It is durable unless its own settings say otherwise.
    "postgresql": ("", ""),
}
"""What makes a connection wait for the disk at each commit, and what has it wait no more."""
_STATEMENTS: Final[Mapping[str, Clause]] = {
    **CONTENT_KEY_STATEMENTS,
    **LICENSE_STATEMENTS,
    **REVOCATION_STATEMENTS,
    **ACKNOWLEDGEMENT_STATEMENTS,
    **ROOT_STATEMENTS,
    **SOURCE_STATEMENTS,
    **METERING_ID_STATEMENTS,
    **DOMAIN_STATEMENTS,
    **METERING_STATEMENTS,
    **SESSION_STATEMENTS,
    **STREAM_STATEMENTS,
    **LEDGER_STATEMENTS,
}
