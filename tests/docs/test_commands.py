"""What the documentation shows is what happens."""

import argparse
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click import Context
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.cli.serve import announce, serve
from rightsmanager.settings import Settings
from tests.docs.documents import DOCUMENTS, ROOT, SECURE, SERVER, Command, commands

if TYPE_CHECKING:
    from tests.docs.conftest import Running

Trial = Callable[[Command, str], str | None]
"""Tries a command with the running server's address; returns what it printed, if it was run."""


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_the_commands_of_a_document_do_what_it_says(
    document: Path,
    server: "Running",
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    secured = SECURE
    if SECURE in document.read_text():
        secure: Running = request.getfixturevalue("secure")
        secured = secure.url
        Path("secure").symlink_to(secure.data)
    for shown in commands(document):
        command = Command(shown.line.replace(SECURE, secured), shown.output)
        with monkeypatch.context() as patch:
            for name, value in command.environment.items():
                patch.setenv(name, value)
            printed = TRIALS[command.words[0]](command, server.url)
        if command.output is not None:
            assert printed is not None, command.line
            assert_matches(command.output, printed.replace(server.url, SERVER))


@pytest.mark.usefixtures("workplace")
def test_what_make_run_prints_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = [each.output for each in commands(ROOT / "README.md") if each.line == "make run"][1:]
    announce(Settings(), SERVER.removeprefix("http://"), as_json=False)
    assert shown is not None
    assert_matches(shown, capsys.readouterr().out)


def test_every_command_is_shown_somewhere() -> None:
    shown = {
        command.words[1]
        for document in DOCUMENTS
        for command in commands(document)
        if command.words[0] == "rightsmanager"
    }
    assert shown >= set(rightsmanager.list_commands(Context(rightsmanager)))


def assert_matches(shown: str, printed: str) -> None:
    """Compare line by line, where … stands for any text."""
    expected = [line.rstrip() for line in shown.rstrip().splitlines()]
    actual = [line.rstrip() for line in printed.rstrip().splitlines()]
    assert len(expected) == len(actual), printed
    for wanted, line in zip(expected, actual, strict=True):
        pattern = ".+".join(map(re.escape, wanted.split("…")))
        assert re.fullmatch(pattern, line), f"documented {wanted!r}, printed {line!r}"


def _rightsmanager(command: Command, url: str) -> str | None:
    arguments = [word.replace(SERVER, url) for word in command.words[1:]]
    if arguments[0] == "serve":
        serve.make_context("serve", arguments[1:])
        return None
    result = CliRunner().invoke(rightsmanager, arguments, input=command.stdin)
    assert result.exit_code == 0, f"{command.line}: {result.exception} {result.output}"
    return result.output


def _make(command: Command, _url: str) -> str | None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(command.words[1:]) <= set(targets), command.line
    # What `make run` prints is another test's.
    return command.output


_CURL = argparse.ArgumentParser("curl", exit_on_error=False)
_CURL.add_argument("-H", dest="headers", action="append", default=[])
_CURL.add_argument("-X", dest="method")
_CURL.add_argument("--json")
_CURL.add_argument("url")


def _curl(command: Command, url: str) -> str | None:
    asked = _CURL.parse_args(command.words[1:])
    headers = dict(header.split(": ", 1) for header in asked.headers)
    body = None
    if asked.json is not None:
        body = asked.json.encode()
        headers["Content-Type"] = "application/json"
    target = asked.url.replace(SERVER, url)
    request = urllib.request.Request(target, body, headers, method=asked.method)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(answer.read().decode())


def _gunicorn(command: Command, _url: str) -> str | None:
    words = [sys.executable, "-m", "gunicorn", "--check-config", *command.words[1:]]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"{command.line}: {checked.stderr}"
    return checked.stdout


def _docker(command: Command, _url: str) -> str | None:
    services = re.findall(r"^  (\w+):$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    program, verb, *arguments = command.words[1:]
    assert program == "compose"
    assert verb in {"up", "cp"}
    assert {word.partition(":")[0] for word in arguments if ":" in word} <= set(services)
    return None


def _files(command: Command, _url: str) -> str | None:
    ran = subprocess.run(command.words, capture_output=True, text=True, check=True)
    return ran.stdout


def _python(command: Command, url: str) -> str | None:
    words = [sys.executable, *command.words[1:], "--url", f"{url}/rightsmanager.asmx"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command.line}: {ran.stderr}"
    return ran.stdout


def _export(command: Command, _url: str) -> str | None:
    assert command.words[1] == "PATH=$PWD/.venv/bin:$PATH"
    return None


TRIALS: dict[str, Trial] = {
    "rightsmanager": _rightsmanager,
    "make": _make,
    "curl": _curl,
    "python": _python,
    "gunicorn": _gunicorn,
    "docker": _docker,
    "mkdir": _files,
    "mv": _files,
    "rm": _files,
    "export": _export,
}
"""How each program is tried; a document with any other fails."""
