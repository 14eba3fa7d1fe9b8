"""Running servers, and a folder and a shell for the commands of a document."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, SECURE, SERVER

API_TOKEN = "2b7d1f0c9a4e4f0fb6c8"


@dataclass(frozen=True)
class Running:
    """A running server: scheme, host and port, and its data folder."""

    url: str
    data: Path


@dataclass(frozen=True)
class Workplace:
    """A checkout as a reader has it after `make run`, and the reader's shell."""

    folder: Path
    shell: str
    environment: dict[str, str]
    urls: dict[str, str]
    """The address of a running server by the one in the documentation."""

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one line; the result has its output, errors included, with documented addresses."""
        ran = subprocess.run(
            [self.shell, "-c", self._localise(line)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for documented, url in self.urls.items():
            ran.stdout = ran.stdout.replace(url, documented)
        return ran

    def write(self, name: str, text: str) -> None:
        """Write a file of the document."""
        (self.folder / name).write_text(self._localise(text))

    def _localise(self, text: str) -> str:
        """Return a text with the addresses of the running servers."""
        for documented, url in self.urls.items():
            text = text.replace(documented, url)
        return text


def find_shell(name: str) -> str:
    """Return the path of a shell."""
    found = shutil.which(name)
    assert found, f"{name} is missing: apt-get install {name}"
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with _run(tmp_path_factory.mktemp("docs") / "var") as running:
        yield running


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A second server, over HTTPS."""
    with _run(tmp_path_factory.mktemp("docs") / "secure", "--https") as running:
        yield running


@contextmanager
def _run(data: Path, *arguments: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "rightsmanager", "serve", "--lab", "--json", *arguments]
    with subprocess.Popen(
        [*command, "--data", str(data), "--bind", "127.0.0.1:0"],
        cwd=ROOT,
        env={**clean_environment(), "RIGHTSMANAGER_API__TOKEN": API_TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            url: str = json.loads(process.stdout.readline())["url"]
            yield Running(url.removesuffix("/rightsmanager.asmx"), data)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """The folder of the programs that documents call."""
    # Not below pytest's folder: the address of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="rm-") as folder:
        found = Path(folder) / "bin"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.docs.programs", f"{folder}/socket", str(found)],
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"ready\n"
                yield found
            finally:
                process.terminate()


@pytest.fixture
def workplace(
    request: pytest.FixtureRequest, server: Running, programs: Path, tmp_path: Path
) -> Workplace:
    """A checkout in the state that the test's document finds it in."""
    (tmp_path / "var").mkdir()
    for folder in ("keyring", "public"):
        shutil.copytree(server.data / folder, tmp_path / "var" / folder)
    for name in ("rightsmanager.db", "journal.db", "journal"):
        (tmp_path / "var" / name).symlink_to(server.data / name)
    for name in ("config", "examples", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    # The reader's PATH names the programs of the virtual environment.
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(programs)
    environment = {**clean_environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
    environment["DOCUMENTED_SERVER"] = server.url
    urls = {SERVER: server.url}
    # A test without parameters has no callspec.
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    document = parameters.get("document")
    if document is not None and SECURE in document.read_text():
        secure: Running = request.getfixturevalue("secure")
        (tmp_path / "secure").symlink_to(secure.data)
        urls[SECURE] = secure.url
    return Workplace(tmp_path, find_shell("bash"), environment, urls)


def clean_environment() -> dict[str, str]:
    """Return the environment of the tests without settings of this project."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("RIGHTSMANAGER_")
    }
