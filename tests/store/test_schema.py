"""Revisions lead from any database of the past to the tables of now, once, and whole."""

from multiprocessing import get_context

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.schema import CreateTable

from rightsmanager.errors import InternalError
from rightsmanager.store.database import make_engine
from rightsmanager.store.schema import (
    FOLDER,
    find_revision,
    newest_revision,
    refuse_outdated,
    upgrade,
)
from rightsmanager.store.tables import METADATA
from tests.databases import execute

FIRST_TABLES = (
    *("licenses", "root_licenses", "content_keys", "revocation_lists", "revocations"),
    *("allowed_certificates", "transactions", "acknowledgements"),
)
"""What versions without revisions made; a revision that alters one of them has its own test."""


def test_the_history_is_one_line_of_numbers_with_one_head() -> None:
    scripts = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    history = [script.revision for script in scripts.walk_revisions()][::-1]
    assert history == [f"{number:04}" for number in range(1, len(history) + 1)]
    assert scripts.get_heads() == [newest_revision()]
    assert [file.name[:4] for file in sorted(FOLDER.glob("0*.py"))] == history


def test_revisions_and_models_agree(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_an_empty_database_is_brought_to_the_newest_revision_once(empty_database_url: str) -> None:
    assert find_revision(empty_database_url) is None
    for _ in range(2):
        assert newest_revision() == upgrade(empty_database_url)
        assert newest_revision() == find_revision(empty_database_url)
    refuse_outdated(empty_database_url)


@pytest.mark.parametrize("tables", [FIRST_TABLES, FIRST_TABLES[:3]], ids=["all", "some"])
def test_a_database_of_a_version_without_revisions_is_taken_over_whole(
    empty_database_url: str, tables: tuple[str, ...]
) -> None:
    engine = make_engine(empty_database_url)
    with engine.connect() as connection:
        for name in tables:
            connection.execute(CreateTable(METADATA.tables[name]))
    engine.dispose()
    execute(
        empty_database_url,
        "INSERT INTO content_keys VALUES (:kid, :sealed, 'aesctr', 7)",
        kid=bytes(16),
        sealed=bytes(44),
    )
    with pytest.raises(InternalError, match=r"stands at no revision, .*database upgrade"):
        refuse_outdated(empty_database_url)
    upgrade(empty_database_url)
    assert find_revision(empty_database_url) == newest_revision()
    assert execute(empty_database_url, "SELECT added_at FROM content_keys") == [(7,)]


def test_processes_that_upgrade_at_once_agree(empty_database_url: str) -> None:
    with get_context("spawn").Pool(4) as pool:
        assert pool.map(upgrade, [empty_database_url] * 12) == [newest_revision()] * 12
    assert execute(empty_database_url, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    for refuse in (upgrade, refuse_outdated):
        with pytest.raises(InternalError, match="stands at revision 9999, which is newer than"):
            refuse(database_url)
    assert find_revision(database_url) == "9999"
    execute(
        database_url, "UPDATE alembic_version SET version_num = :newest", newest=newest_revision()
    )
