"""A database belongs to one keyring: another one, or none, is refused before anything is made."""

import shutil
from pathlib import Path

import pytest

from rightsmanager.environment import find_file
from rightsmanager.errors import InternalError
from rightsmanager.settings_loading import load
from rightsmanager.store.database import open_store
from rightsmanager.store.schema import newest_revision
from rightsmanager.wsgi import create_from
from tests.cli.conftest import Run
from tests.databases import execute

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
ADVICE = "use the keyring folder it was made with, or another database"


def root_of(run: Run, data: Path) -> str:
    facts = run("keys", "--data", str(data), "--json").json
    (root,) = [fact["fingerprint"] for fact in facts if fact["name"] == "root"]
    return str(root)


def fingerprints_in(url: str) -> dict[str, str]:
    store = open_store(url)
    with store.reading() as found:
        recorded = found.fingerprints.find_all()
    store.close()
    return recorded


@pytest.fixture
def other(data: Path) -> Path:
    """Return a data folder for another keyring on the same database."""
    return data.with_name("other")


def make_other(run: Run, other: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Make the keyring of the other folder on a database of its own."""
    monkeypatch.delenv("RIGHTSMANAGER_DATABASE_URL")
    assert run("init", "--data", str(other), "--seed", "other").status == 0
    monkeypatch.setenv("RIGHTSMANAGER_DATABASE_URL", url)


def test_init_binds_a_new_database_to_the_keyring(run: Run, data: Path, database_url: str) -> None:
    recorded = fingerprints_in(database_url)
    assert recorded["root"] == root_of(run, data)
    assert recorded.keys() == {"root", "storage"}
    assert run("init", "--data", str(data)).status == 0
    assert fingerprints_in(database_url) == recorded


def test_another_keyring_is_refused_by_server_and_commands(
    run: Run, data: Path, other: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_other(run, other, monkeypatch, database_url)
    first, second = root_of(run, data), root_of(run, other)
    text = f"the database was made with another keyring ({first} root), this one is {second}: "
    for command in (
        ["init"],
        ["content", "add", KID, "00" * 16],
        ["metering", "list"],
        ["domain", "create", KID],
    ):
        refused = run(*command, "--data", str(other))
        assert refused.status == 1
        assert text + ADVICE in refused.errors
    settings = load(find_file(other), data=other)
    with pytest.raises(InternalError) as error:
        create_from(settings)
    assert error.value.text == text + ADVICE
    assert fingerprints_in(database_url)["root"] == first


def test_another_storage_key_alone_is_refused(run: Run, data: Path, other: Path) -> None:
    shutil.copytree(data, other)
    (other / "keyring" / "storage.key").unlink()
    refused = run("init", "--data", str(other))
    assert "was made with the keyring SHA256:" in refused.errors
    shutil.copy(other / "keyring" / "wmrmserver.key", other / "keyring" / "storage.key")
    refused = run("init", "--data", str(other))
    assert " storage), this one is SHA256:" in refused.errors


@pytest.mark.parametrize("command", ["init", "serve"])
def test_a_lost_keyring_is_not_replaced(run: Run, data: Path, other: Path, command: str) -> None:
    root = root_of(run, data)
    more = ["--bind", "127.0.0.1:0"] if command == "serve" else []
    refused = run(command, "--data", str(other), *more)
    assert refused.status == 1
    assert f"was made with the keyring {root} (root), which {other}" in refused.errors
    assert ADVICE in refused.errors
    assert not other.exists()


@pytest.mark.parametrize("command", ["init", "serve"])
def test_a_database_of_an_unknown_revision_is_refused_as_such(
    run: Run, data: Path, other: Path, database_url: str, command: str
) -> None:
    del data
    execute(database_url, "UPDATE alembic_version SET version_num = '0009'")
    more = ["--bind", "127.0.0.1:0"] if command == "serve" else []
    refused = run(command, "--data", str(other), *more)
    assert "has revision 0009, which this version does not know" in refused.errors
    execute(
        database_url, "UPDATE alembic_version SET version_num = :newest", newest=newest_revision()
    )


def test_commands_that_only_list_need_no_keyring(run: Run, data: Path) -> None:
    shutil.rmtree(data / "keyring")
    assert run("content", "list", "--data", str(data)).status == 0
