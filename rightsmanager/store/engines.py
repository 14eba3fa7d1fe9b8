"""How the store reaches its database: from a URL to an engine whose connections are prepared.

Either driver is kept from beginning transactions by itself: they begin where the store begins them.
"""

from functools import partial
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

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
_POSTGRESQL: Final = {
    "application_name": "rightsmanager",
    # Seconds until a server that does not answer is given up, for each of its addresses.
    "connect_timeout": "3",
    # A server that vanished is noticed while its answer is waited for.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    # Milliseconds.
    "tcp_user_timeout": "5000",
}
"""Connection parameters that hold where the URL says nothing else."""


def make_engine(url: str, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Return the engine of a database URL; no connection is made until it is used.

    `busy_seconds` is how long a writer waits for another one. Raises InternalError for a
    URL that is none, or of a database or driver that the store is not written for.
    """
    parsed = _parse(url)
    # Threads keep their connections, so there are as many of these as of those.
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, max_overflow=-1)
        event.listen(engine, "connect", partial(_prepare_sqlite, busy_seconds))
        return engine
    query = {**_POSTGRESQL, "options": _options(busy_seconds), **parsed.query}
    return create_engine(
        parsed.set(query=query), max_overflow=-1, connect_args={"autocommit": True}
    )


def _options(busy_seconds: float) -> str:
    """Return the server's own limits for a connection."""
    limits = {
        "lock_timeout": busy_seconds,
        "statement_timeout": 2 * busy_seconds,
        # A worker that hangs within a transaction must not hold up the others for ever.
        "idle_in_transaction_session_timeout": 60,
    }
    return " ".join(f"-c {name}={int(seconds * 1000)}ms" for name, seconds in limits.items())


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InternalError("database_url is not the URL of a database") from None
    if parsed.drivername not in _DRIVERS:
        raise InternalError(
            f"database_url names {parsed.drivername!r}, expected sqlite or postgresql"
        )
    parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
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
