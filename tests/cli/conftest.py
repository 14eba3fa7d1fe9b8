"""The commands as `main` runs them, within this process."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from rightsmanager.assembly import open_keyring
from rightsmanager.cli import main
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import IDENTITIES
from rightsmanager.settings import Settings
from rightsmanager.store.database import open_store


@dataclass(frozen=True)
class Ran:
    """The exit status and the output of a command."""

    status: int
    output: str
    errors: str

    @property
    def json(self) -> Any:  # noqa: ANN401 -- JSON of any shape
        return json.loads(self.output)


Run = Callable[..., Ran]
"""Runs a command; standard input by keyword."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    def one(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["rightsmanager", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        expected = capsys.readouterr()
        return Ran(int(ended.value.code or 0), expected.out, expected.err)

    yield one
    # `serve` sends the log to a standard error that ends with the test.
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def _initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after `init`, whose keys the folders of tests copy."""
    folder = tmp_path_factory.mktemp("initialised") / "data"
    create(KeyFiles(folder, None), rng_for("cli"))
    return folder


@pytest.fixture(scope="session")
def _fingerprints(_initialised: Path) -> Mapping[str, str]:
    """The fingerprints that bind a database to the keyring."""
    return open_keyring(Settings(data=_initialised), None).fingerprints


@pytest.fixture
def data(
    tmp_path: Path,
    _initialised: Path,
    _fingerprints: Mapping[str, str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A data folder as after `init`, and each kind of database in turn."""
    monkeypatch.setenv("RIGHTSMANAGER_DATABASE_URL", database_url)
    folder = tmp_path / "data"
    shutil.copytree(_initialised, folder)
    store = open_store(database_url)
    with store.transaction() as transaction:
        transaction.fingerprints.record(_fingerprints)
    store.close()
    return folder


@pytest.fixture
def secrets(data: Path) -> set[str]:
    """Every private key of the data folder in every spelling."""
    files = KeyFiles(data, None)
    keys = [files.find_key(identity.name) for identity in IDENTITIES]
    return {
        spelling
        for key in keys
        if key is not None
        for spelling in (key.raw.hex(), str(int.from_bytes(key.raw)), repr(key.raw))
    }
