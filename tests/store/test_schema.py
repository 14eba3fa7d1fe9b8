"""Revisions lead to the tables of `tables`, once and whole; any other database is refused."""

import re
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, Table, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable

from rightsmanager.errors import InternalError
from rightsmanager.protocol.wire import Kid
from rightsmanager.store import schema
from rightsmanager.store.database import make_engine
from rightsmanager.store.journal.tables import JOURNAL
from rightsmanager.store.migrations.__main__ import write_revision
from rightsmanager.store.schema import (
    FOLDER,
    find_revision,
    newest_revision,
    refuse_outdated,
    upgrade,
)
from rightsmanager.store.tables import METADATA, Identifier
from tests.databases import execute


def test_the_history_is_one_line_of_numbers_with_one_head() -> None:
    scripts = ScriptDirectory(str(FOLDER))
    history = [script.revision for script in scripts.walk_revisions()][::-1]
    assert [name[:5] for name in history] == [f"{at:04}_" for at in range(1, len(history) + 1)]
    assert scripts.get_heads() == [newest_revision()]
    assert [file.stem for file in sorted((FOLDER / "versions").glob("0*.py"))] == history


def test_the_revisions_make_the_tables_of_the_metadata(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        # On SQLite the journal has a file of its own.
        is_sqlite = connection.dialect.name == "sqlite"
        expected = METADATA if is_sqlite else [METADATA, JOURNAL]
        assert compare_metadata(context, expected) == []  # type: ignore[arg-type] # takes several
    engine.dispose()


def test_an_empty_database_is_brought_to_the_newest_revision_once(empty_database_url: str) -> None:
    assert find_revision(empty_database_url) is None
    for _ in range(2):
        assert newest_revision() == upgrade(empty_database_url)
        assert newest_revision() == find_revision(empty_database_url)
    refuse_outdated(empty_database_url)


def test_tables_without_a_revision_are_refused_and_left_alone(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    with engine.connect() as connection:
        connection.execute(CreateTable(METADATA.tables["licenses"]))
        connection.commit()
    engine.dispose()
    for refuse in (upgrade, refuse_outdated, find_revision):
        with pytest.raises(InternalError, match="has tables but no revision: use the version that"):
            refuse(empty_database_url)
    with pytest.raises(SQLAlchemyError):
        execute(empty_database_url, "SELECT * FROM content_keys")


def test_a_migration_that_fails_leaves_nothing(empty_database_url: str) -> None:
    # The last table of the baseline exists, so that all others are created before it fails.
    execute(empty_database_url, "CREATE TABLE deleted_kids (a INTEGER)")
    with pytest.raises(InternalError, match=r"the schema cannot be used: .*deleted_kids"):
        upgrade(empty_database_url)
    assert find_revision(empty_database_url) is None
    with pytest.raises(SQLAlchemyError):
        execute(empty_database_url, "SELECT * FROM licenses")


def test_processes_that_upgrade_at_once_agree(empty_database_url: str) -> None:
    with get_context("spawn").Pool(4) as pool:
        assert pool.map(upgrade, [empty_database_url] * 12) == [newest_revision()] * 12
    assert execute(empty_database_url, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_revision_is_read_while_another_process_upgrades(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded: list[str] = []

    def upgrade_between(*statement: object) -> None:
        if not upgraded and re.search("pg_class|sqlite_master|PRAGMA", str(statement[2])):
            upgraded.append(empty_database_url)
            upgrade(empty_database_url)

    def make_watched(url: str) -> Engine:
        engine = make_engine(url)
        event.listen(engine, "after_cursor_execute", upgrade_between)
        return engine

    monkeypatch.setattr(schema, "make_engine", make_watched)
    assert find_revision(empty_database_url) is None
    assert upgraded
    assert find_revision(empty_database_url) == newest_revision()


def test_threads_may_upgrade_databases_at_once(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "two", "three")]
    with ThreadPoolExecutor(len(urls)) as threads:
        assert list(threads.map(upgrade, urls)) == [newest_revision()] * len(urls)


@pytest.mark.parametrize("revision", ["0009", "9999_later"])
def test_an_unknown_revision_is_refused(database_url: str, revision: str) -> None:
    execute(database_url, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608
    text = f"has revision {revision}, which this version does not know, .*or another database"
    for refuse in (upgrade, refuse_outdated):
        with pytest.raises(InternalError, match=text):
            refuse(database_url)
    assert find_revision(database_url) == revision
    execute(
        database_url, "UPDATE alembic_version SET version_num = :newest", newest=newest_revision()
    )


def test_a_new_revision_has_the_next_number_and_what_differs(tmp_path: Path) -> None:
    same, more = tmp_path / "same", tmp_path / "more"
    assert "op." not in write_revision("nothing", same).read_text("utf-8").split("upgrade()")[1]
    number = int(newest_revision()[:4]) + 1
    Table("wanted", METADATA, Column("kid", Identifier(Kid), primary_key=True))
    try:
        file = write_revision("add_wanted", more)
    finally:
        METADATA.remove(METADATA.tables["wanted"])
    assert file == more / f"{number:04}_add_wanted.py"
    text = file.read_text("utf-8")
    assert f"down_revision = '{newest_revision()}'" in text
    assert "op.create_table('wanted'" in text
    assert "sa.Column('kid', sa.LargeBinary(length=16), nullable=False)" in text
    assert "store.tables" not in text
