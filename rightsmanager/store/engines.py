"""How the store reaches its database: from a URL to an engine whose connections are prepared.

Either driver is kept from beginning transactions by itself: they begin where the store begins them.
"""

from functools import partial
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from rightsmanager.errors import InternalError

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
