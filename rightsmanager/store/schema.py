"""The schema's revisions: where a database stands, and how it gets to the newest.

A revision is a file in `migrations`, named by its number. A database keeps the number at which it
stands in its table `alembic_version`; one without was made by a version that had no revisions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from rightsmanager.errors import InternalError
from rightsmanager.store.database import make_engine
from rightsmanager.store.tables import METADATA


class DatabaseAway(InternalError):  # noqa: N818 -- a refusal, as its parent
    """A database that cannot be asked where it stands."""


FOLDER: Final = Path(__file__).parent / "migrations"
_BEGIN: Final[dict[str, tuple[str, ...]]] = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": (
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        # A change of large tables takes its time, and so does whoever waits for it.
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 0",
        "SELECT pg_advisory_xact_lock(6008236812)",
    ),
}
"""What begins a transaction that is the only one to change the schema."""


def newest_revision() -> str:
    """Return the number of the newest revision, such as `0001`."""
    return max(file.name.partition("_")[0] for file in FOLDER.glob("[0-9]*_*.py"))


def find_revision(url: str) -> str | None:
    """Return the revision at which a database stands, or None for one that has no revision.

    Raises InternalError where the database cannot be asked.
    """
    with _connected(url) as connection:
        return _revision(connection)


def upgrade(url: str) -> str:
    """Bring a database to the newest revision, whole or not at all; return that revision.

    Several processes may do so at once. Raises InternalError where it cannot be done, or where the
    database stands at a revision that this version does not know.
    """
    newest = newest_revision()
    with _connected(url) as connection:
        if _is_behind(_revision(connection)):
            for statement in _BEGIN[connection.dialect.name]:
                connection.exec_driver_sql(statement)
            # Another process may have done it while this one waited.
            if _is_behind(_revision(connection)):
                _run_migrations(connection)
            connection.commit()
    return newest


def refuse_outdated(url: str) -> None:
    """Refuse a database that does not stand at the newest revision; raises InternalError.

    A database that is away is not refused: it may be served when it is back.
    """
    try:
        revision = find_revision(url)
    except DatabaseAway:
        return
    if _is_behind(revision):
        raise InternalError(
            f"the database stands at {_named(revision)}, expected {newest_revision()}: "
            "run rightsmanager database upgrade"
        )


def _is_behind(revision: str | None) -> bool:
    newest = newest_revision()
    if revision is not None and revision > newest:
        raise InternalError(
            f"the database stands at revision {revision}, which is newer than {newest}, "
            "the newest that this version knows"
        )
    return revision != newest


def _named(revision: str | None) -> str:
    return f"revision {revision}" if revision else "no revision"


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        connection = make_engine(url).connect()
    except SQLAlchemyError as error:
        raise DatabaseAway(f"the database cannot be reached: {_reason(error)}") from error
    try:
        with connection:
            yield connection
    except SQLAlchemyError as error:
        raise DatabaseAway(f"the store has no tables: {type(error).__name__}") from error


def _reason(error: SQLAlchemyError) -> str:
    """Return the first line of what the driver says, which knows no password."""
    said = str(getattr(error, "orig", None) or "").splitlines()
    return said[0] if said else type(error).__name__


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _run_migrations(connection: Connection) -> None:
    # Half as long to import as all the rest of a start, and seldom needed.
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])

    def steps(revision: Any, _context: object) -> Any:  # noqa: ANN401 -- alembic's own
        return script._upgrade_revs("head", revision)  # noqa: SLF001 -- as alembic's commands do

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        # The transaction is the caller's.
        environment.configure(
            connection=connection, target_metadata=METADATA, transactional_ddl=False
        )
        environment.run_migrations()
