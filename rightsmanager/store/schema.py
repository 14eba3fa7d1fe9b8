"""The schema's revisions: finds the revision of a database, and upgrades it to the newest.

A revision is a file in `migrations/versions`, named by its id, such as `0001_baseline`. A database
has the id of its revision in the table `alembic_version`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from rightsmanager.errors import InternalError
from rightsmanager.store.database import make_engine, original
from rightsmanager.store.tables import LICENSES

if TYPE_CHECKING:
    from alembic.config import Config


class DatabaseAway(InternalError):  # noqa: N818 -- a refusal, as its parent
    """A database whose revision cannot be read."""


FOLDER: Final = Path(__file__).parent / "migrations"
_BEGIN: Final[dict[str, tuple[str, ...]]] = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": (
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        # A change of large tables takes long, and so does waiting for it.
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 0",
        "SELECT pg_advisory_xact_lock(6008236812)",
    ),
}
"""Begins a transaction during which no other process changes the schema."""
_MIGRATING: Final = Lock()


def newest_revision() -> str:
    """Return the id of the newest revision, such as `0001_baseline`."""
    return _revisions()[-1]


def find_revision(url: str) -> str | None:
    """Return the revision of a database, or None for an empty one.

    Raises InternalError where the database cannot be read.
    """
    with _connected(url) as connection:
        return _revision(connection)


def find_database_file(url: str) -> Path | None:
    """Return the file of a SQLite database, None for another database."""
    engine = make_engine(url)
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name else None


def upgrade(url: str) -> str:
    """Upgrade a database to the newest revision, whole or not at all; return that revision.

    Several processes may do so at once. Raises InternalError where it fails, or where this version
    does not know the revision of the database.
    """
    with _connected(url) as connection:
        if _is_behind(_revision(connection)):
            for statement in _BEGIN[connection.dialect.name]:
                connection.exec_driver_sql(statement)
            # Another process may have upgraded it while this one waited.
            if _is_behind(_revision(connection)):
                _run_migrations(connection)
            connection.commit()
    return newest_revision()


def refuse_outdated(url: str, *, allow_away: bool = True) -> None:
    """Raise InternalError unless a database has the newest revision.

    allow_away: whether a database that is away is not refused: it may be back when it is needed.
    """
    try:
        revision = find_revision(url)
    except DatabaseAway:
        if allow_away:
            return
        raise
    if _is_behind(revision):
        raise InternalError(
            f"the database has {f'revision {revision}' if revision else 'no revision'}, "
            f"expected {newest_revision()}: run rightsmanager database upgrade"
        )


def alembic_config(connection: Connection) -> "Config":
    """Return alembic's configuration for its commands on a connection."""
    # Imported where it is used only: it takes as long as half of a start.
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # Options are interpolated like those of an ini file.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s")
    config.attributes["connection"] = connection
    return config


def _revisions() -> list[str]:
    return sorted(file.stem for file in (FOLDER / "versions").glob("[0-9]*_*.py"))


def _is_behind(revision: str | None) -> bool:
    known = _revisions()
    if revision is not None and revision not in known:
        raise InternalError(
            f"the database has revision {revision}, which this version does not know, expected "
            f"{known[-1]} or older: use the version that made it, or another database"
        )
    return revision != known[-1]


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        connection = make_engine(url).connect()
    except SQLAlchemyError as error:
        raise DatabaseAway(f"the database cannot be reached: {_reason(error)}") from original(error)
    try:
        with connection:
            yield connection
    except SQLAlchemyError as error:
        raise DatabaseAway(f"the schema cannot be used: {_reason(error)}") from original(error)


def _reason(error: SQLAlchemyError) -> str:
    """Return the first line of the driver's text, which has no password."""
    lines = str(getattr(error, "orig", None) or "").splitlines()
    return lines[0] if lines else type(error).__name__


def _revision(connection: Connection) -> str | None:
    # By one statement: another process may upgrade the database between two.
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
        if row is not None:
            return str(row[0])
    # The baseline would fail halfway, on the first table that exists.
    if LICENSES.name in tables:
        raise InternalError(
            "the database has tables but no revision: use the version that made it, or another "
            "database"
        )
    return None


def _run_migrations(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 -- as in alembic_config

    # Alembic has one context of migrations in a process.
    with _MIGRATING:
        command.upgrade(alembic_config(connection), "head")
