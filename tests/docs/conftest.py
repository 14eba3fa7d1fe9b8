"""A server with a data folder, and a folder in which the commands of a document are run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

ADMIN_TOKEN = "2b7d1f0c9a4e4f0fb6c8"


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    url: str
    """Scheme, host and port."""
    data: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with _run(tmp_path_factory.mktemp("docs") / "var") as running:
        yield running


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of its own by HTTPS."""
    with _run(tmp_path_factory.mktemp("docs") / "secure", "--https") as running:
        yield running


@contextmanager
def _run(data: Path, *arguments: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "rightsmanager", "serve", "--json", *arguments]
    with subprocess.Popen(
        [*command, "--data", str(data), "--bind", "127.0.0.1:0"],
        cwd=ROOT,
        env={**_environment(), "RIGHTSMANAGER_ADMIN__TOKEN": ADMIN_TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            url: str = json.loads(process.stdout.readline())["url"]
            yield Running(url.removesuffix("/rightsmanager.asmx"), data)
        finally:
            process.terminate()


@pytest.fixture
def workplace(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as a reader has it after `make run`, with the server's keys and database."""
    for folder in ("keyring", "public"):
        shutil.copytree(server.data / folder, tmp_path / "var" / folder)
    for folder in ("config", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for name in set(os.environ) - set(_environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv(
        "RIGHTSMANAGER_DATABASE_URL", f"sqlite:///{server.data / 'rightsmanager.db'}"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _environment() -> dict[str, str]:
    """Return the environment without settings of whoever runs the tests."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("RIGHTSMANAGER_")
    }
