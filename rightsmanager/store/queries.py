"""The store: what is found and recorded, one transaction at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from operator import methodcaller
from typing import Any, Final

from sqlalchemy import (
    Engine,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from rightsmanager.errors import InternalError
from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.acknowledgements import (
    ACKNOWLEDGEMENT_STATEMENTS,
    AcknowledgementQueries,
)
from rightsmanager.store.connections import Connections
from rightsmanager.store.domains import DOMAIN_STATEMENTS, DomainQueries
from rightsmanager.store.engines import BUSY_SECONDS, make_engine
from rightsmanager.store.ledger import LEDGER_STATEMENTS, LedgerQueries
from rightsmanager.store.metering import METERING_STATEMENTS, MeteringQueries
from rightsmanager.store.metering_ids import METERING_ID_STATEMENTS, MeteringIdQueries
from rightsmanager.store.revocations import (
    REVOCATION_STATEMENTS,
    VERSION_OF_LIST,
    RevocationQueries,
)
from rightsmanager.store.roots import ROOT_STATEMENTS, RootQueries
from rightsmanager.store.sessions import SESSION_STATEMENTS, SessionQueries
from rightsmanager.store.sources import SOURCE_STATEMENTS, SourceQueries
from rightsmanager.store.sqlite import busy_retry_cursor, checkpoint_wal
from rightsmanager.store.statements import (
    Clause,
    compile_statement,
    insert_once,
)
from rightsmanager.store.streams import STREAM_STATEMENTS, StreamQueries
from rightsmanager.store.tables import CONTENT_KEYS, LICENSES

CHECKPOINT_EVERY: Final = 1000
"""After how many transactions of this process SQLite's log is folded into the database."""


@dataclass(frozen=True, slots=True)
class IssuedLicense:
    """A licence that is about to leave the server."""

    device: str
    """Base64 of the SHA-256 of the device's signing key."""
    request: bytes
    """SHA-256 of what was asked, and by whom, 32 bytes."""
    ordinal: int
    kid: Kid
    license_id: bytes
    """The rights id, 16 bytes."""
    policy: str
    """The grant as JSON, without the content key."""
    issued_at: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A content key as it lies in the store, encrypted."""

    kid: Kid
    sealed: bytes = field(repr=False)
    key_type: str
    added_at: int


class Transaction(
    RevocationQueries,
    AcknowledgementQueries,
    RootQueries,
    SourceQueries,
    MeteringIdQueries,
    DomainQueries,
    MeteringQueries,
    SessionQueries,
    StreamQueries,
    LedgerQueries,
):
    """What can be found and recorded within one transaction."""

    def find_content_key(self, kid: Kid) -> StoredKey | None:
        """Return the stored content key of a KID, or None."""
        row = self._run("find content key", {"kid": kid.raw}).fetchone()
        return None if row is None else _stored_key(row)

    def find_version_and_key(self, list_id: Guid, kid: Kid) -> tuple[int, StoredKey | None]:
        """Return what `find_version` and `find_content_key` return, found by one statement."""
        values = {"list_id": list_id.raw, "kid": kid.raw}
        version, *key = self._run("find version and key", values).fetchone()
        return int(version), None if key[0] is None else _stored_key(key)

    def find_content_keys(self) -> list[StoredKey]:
        """Return all stored content keys, oldest first."""
        return [_stored_key(row) for row in self._run("find content keys")]

    def record_content_key(self, key: StoredKey) -> bool:
        """Store a content key; return whether it is new, and leave one that is there alone."""
        return self._count("record content key", _content_key_row(key)) == 1

    def remove_content_key(self, kid: Kid) -> bool:
        """Remove a content key; return whether it was there."""
        return self._count("remove content key", {"kid": kid.raw}) == 1

    def record_licenses(self, licenses: Sequence[IssuedLicense]) -> list[bytes]:
        """Record the licences of one reply; return the rights ids that stand recorded.

        These are the given ones, or those of the first time if the request is a repeat.
        """
        new = sum(self._count("record license", _license_row(license_)) for license_ in licenses)
        if new == len(licenses):
            return [license_.license_id for license_ in licenses]
        rows = self._run("find rights ids", {"request": licenses[0].request})
        recorded = {ordinal: bytes(license_id) for ordinal, license_id in rows}
        return [recorded[license_.ordinal] for license_ in licenses]

    def find_licenses(self) -> list[IssuedLicense]:
        """Return every issued licence, oldest first."""
        return [_issued_license(row) for row in self._run("find licenses")]


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


def _license_row(license_: IssuedLicense) -> Mapping[str, object]:
    return {
        "device": license_.device,
        "request": license_.request,
        "ordinal": license_.ordinal,
        "kid": license_.kid.raw,
        "license_id": license_.license_id,
        "policy": license_.policy,
        "issued_at": license_.issued_at,
    }


def _issued_license(row: Sequence[Any]) -> IssuedLicense:
    request, ordinal, device, kid, license_id, policy, issued_at = row
    return IssuedLicense(
        device, bytes(request), ordinal, Kid(bytes(kid)), bytes(license_id), policy, issued_at
    )


def _content_key_row(key: StoredKey) -> Mapping[str, object]:
    return {
        "kid": key.kid.raw,
        "sealed": key.sealed,
        "key_type": key.key_type,
        "added_at": key.added_at,
    }


def _stored_key(row: Sequence[Any]) -> StoredKey:
    kid, sealed, key_type, added_at = row
    return StoredKey(Kid(bytes(kid)), bytes(sealed), key_type, added_at)


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
    "find content key": lambda _: select(CONTENT_KEYS).where(
        CONTENT_KEYS.c.kid == bindparam("kid")
    ),
    "find version and key": lambda _: (
        select(func.coalesce(VERSION_OF_LIST, literal_column("0")), CONTENT_KEYS)
        .select_from(select(literal_column("1").label("one")).subquery())
        .outerjoin(CONTENT_KEYS, CONTENT_KEYS.c.kid == bindparam("kid"))
    ),
    "find content keys": lambda _: select(CONTENT_KEYS).order_by(
        CONTENT_KEYS.c.added_at, CONTENT_KEYS.c.kid
    ),
    "record content key": lambda dialect: insert_once(CONTENT_KEYS, dialect),
    "remove content key": lambda _: delete(CONTENT_KEYS).where(
        CONTENT_KEYS.c.kid == bindparam("kid")
    ),
    "record license": lambda dialect: insert_once(LICENSES, dialect),
    "find rights ids": lambda _: (
        select(LICENSES.c.ordinal, LICENSES.c.license_id)
        .where(LICENSES.c.request == bindparam("request"))
        .order_by(LICENSES.c.ordinal)
    ),
    "find licenses": lambda _: select(LICENSES).order_by(
        LICENSES.c.issued_at, LICENSES.c.request, LICENSES.c.ordinal
    ),
}
"""Every statement there is, by what it does."""
