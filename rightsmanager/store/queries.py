"""The store: what is found and recorded, one transaction at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, Insert, bindparam, create_engine, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from rightsmanager.errors import InternalError
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.tables import CONTENT_KEYS, LICENSES, METADATA

BUSY_SECONDS: Final = 5
"""How long a writer waits for another one before it gives up."""


@dataclass(frozen=True, slots=True)
class IssuedLicense:
    """A licence that is about to leave the server."""

    device: str
    """Base64 of the SHA-256 of the device's signing key."""
    request: bytes
    """SHA-256 of what was asked, 32 bytes."""
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


class Transaction:
    """What can be found and recorded within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find_content_key(self, kid: Kid) -> StoredKey | None:
        """Return the stored content key of a KID, or None."""
        row = self._connection.execute(_CONTENT_KEY, {"kid": kid.raw}).first()
        return None if row is None else StoredKey(kid, *row)

    def find_content_keys(self) -> list[StoredKey]:
        """Return all stored content keys, oldest first."""
        rows = self._connection.execute(_CONTENT_KEYS)
        return [StoredKey(Kid(kid), *rest) for kid, *rest in rows]

    def record_content_key(self, key: StoredKey) -> bool:
        """Store a content key; return whether it is new, and leave one that is there alone."""
        values = {
            "kid": key.kid.raw,
            "sealed": key.sealed,
            "key_type": key.key_type,
            "added_at": key.added_at,
        }
        statement = _INSERT_ONCE[self._connection.dialect.name]["content_keys"]
        return self._connection.execute(statement, values).rowcount == 1

    def remove_content_key(self, kid: Kid) -> bool:
        """Remove a content key; return whether it was there."""
        statement = CONTENT_KEYS.delete().where(CONTENT_KEYS.c.kid == kid.raw)
        return self._connection.execute(statement).rowcount == 1

    def record_licenses(self, licenses: Sequence[IssuedLicense]) -> list[bytes]:
        """Record the licences of one reply; return the rights ids that stand recorded.

        These are the given ones, or those of the first time if the request is a repeat.
        """
        statement = _INSERT_ONCE[self._connection.dialect.name]["licenses"]
        new = sum(
            self._connection.execute(statement, _license_row(license_)).rowcount
            for license_ in licenses
        )
        if new == len(licenses):
            return [license_.license_id for license_ in licenses]
        first = licenses[0]
        rows = self._connection.execute(
            _RECORDED_IDS, {"device": first.device, "request": first.request}
        )
        return [license_id for (license_id,) in rows]

    def find_licenses(self) -> list[IssuedLicense]:
        """Return every issued licence in the order of issue."""
        rows = self._connection.execute(_LICENSES).mappings()
        return [IssuedLicense(**{**row, "kid": Kid(row["kid"])}) for row in rows]


class Store:
    """The database behind an engine; every use of it is a transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Give a transaction that is committed at the end of the block, or undone by an exception.

        Raises InternalError where the database does not do its part.
        """
        try:
            with self._engine.begin() as connection:
                yield Transaction(connection)
        except SQLAlchemyError as error:
            raise InternalError(f"the store failed: {type(error).__name__}") from error

    def create_tables(self) -> None:
        """Make the tables that are missing."""
        METADATA.create_all(self._engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def open_store(url: str) -> Store:
    """Return the store at a database URL; no connection is made until it is used."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in _INSERT_ONCE:
        raise InternalError(
            f"database_url names {parsed.get_backend_name()!r}, "
            f"expected {' or '.join(_INSERT_ONCE)}"
        )
    engine = create_engine(parsed, pool_size=16, max_overflow=0, pool_timeout=BUSY_SECONDS)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return Store(engine)


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 -- a DBAPI connection
    # WAL lets several processes read while one writes. With it, NORMAL loses nothing when a
    # process dies; it only defers to the next checkpoint what a power failure may take.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


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


_CONTENT_KEY: Final = select(
    CONTENT_KEYS.c.sealed, CONTENT_KEYS.c.key_type, CONTENT_KEYS.c.added_at
).where(CONTENT_KEYS.c.kid == bindparam("kid"))
_CONTENT_KEYS: Final = select(CONTENT_KEYS).order_by(CONTENT_KEYS.c.added_at, CONTENT_KEYS.c.kid)
_RECORDED_IDS: Final = (
    select(LICENSES.c.license_id)
    .where(LICENSES.c.device == bindparam("device"), LICENSES.c.request == bindparam("request"))
    .order_by(LICENSES.c.ordinal)
)
_LICENSES: Final = select(*(column for column in LICENSES.c if column.name != "id")).order_by(
    LICENSES.c.id
)
_INSERT_ONCE: Final[Mapping[str, Mapping[str, Insert]]] = {
    "sqlite": {
        table.name: sqlite.insert(table).on_conflict_do_nothing()
        for table in (LICENSES, CONTENT_KEYS)
    },
    "postgresql": {
        table.name: postgresql.insert(table).on_conflict_do_nothing()
        for table in (LICENSES, CONTENT_KEYS)
    },
}
"""Inserts that leave a row alone whose key is there, by dialect and table."""
