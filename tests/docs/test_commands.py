"""The documentation's commands do and print what it shows."""

import re
import subprocess
from pathlib import Path

import pytest
from click import Context

from rightsmanager.cli import rightsmanager
from rightsmanager.cli.serve import announce
from rightsmanager.settings import Settings
from tests.docs.conftest import Workplace, find_shell
from tests.docs.documents import DOCUMENTS, ROOT, SERVER, Command, Module, commands, steps

CHECKED_ONLY = re.compile(r"(?:\w+=\S+ )*(?:make|docker|gunicorn|pytest|rightsmanager serve)\b")
"""The commands that print nothing here, since what they would start is not started."""

NOTE_CALLS = """
command_not_found_handle() { printf '%s\\0' "$#" "$@" >> "$CALLS"; }
command_not_found_handler() { printf '%s\\0' "$#" "$@" >> "$CALLS"; }
"""
"""For bash and for zsh: what they do in place of running a program that is not there."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_the_commands_of_a_document_do_what_it_says(document: Path, workplace: Workplace) -> None:
    written = []
    for step in steps(document):
        if isinstance(step, Module):
            workplace.write(step.name, step.text)
            written.append(step.name)
        else:
            run(step, workplace)
    # An archive of the project has no .gitignore to hold it to.
    if (ROOT / ".git").exists():
        assert sorted(tracked_by_git(workplace.folder)) == sorted(written)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_zsh_reads_each_command_as_bash_does(document: Path, tmp_path: Path) -> None:
    for number, command in enumerate(commands(document)):
        by_bash, by_zsh = (
            called(find_shell(shell), command.line, tmp_path / f"{number} {shell}")
            for shell in ("bash", "zsh")
        )
        assert by_zsh == by_bash, command.line


def called(shell: str, line: str, folder: Path) -> list[tuple[str, ...]]:
    """Return the programs, with their arguments, that a shell would call; none of them is run."""
    for each in ("var/keyring", "players"):
        (folder / each).mkdir(parents=True)
    ran = subprocess.run(
        [shell, "-c", NOTE_CALLS + line],
        cwd=folder,
        env={"PATH": str(folder), "CALLS": str(folder / "calls")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), line
    noted = folder / "calls"
    words = noted.read_text().split("\0") if noted.exists() else []
    calls = []
    while len(words) > 1:
        calls.append(tuple(words[1 : 1 + int(words[0])]))
        words = words[1 + int(words[0]) :]
    # Programs of a pipeline begin in any order.
    return sorted(calls)


def tracked_by_git(folder: Path) -> list[str]:
    """Return the files that commands have left in a folder and that git does not ignore."""
    made = [file for file in folder.iterdir() if not file.is_symlink()]
    left = [f"{file.name}/" if file.is_dir() else file.name for file in made]
    ignored = subprocess.run(
        ["git", "-C", str(ROOT), "check-ignore", "--no-index", "--stdin"],  # noqa: S607 -- any git
        input="\n".join(left),
        capture_output=True,
        text=True,
        check=False,
    )
    return list(set(left) - set(ignored.stdout.splitlines()))


def test_no_two_documents_make_the_same_device() -> None:
    made = [
        name
        for document in DOCUMENTS
        for command in commands(document)
        for name in re.findall(r"\bdevice new (\S+)", command.line)
    ]
    assert len(made) > len(DOCUMENTS) / 2
    assert sorted(set(made)) == sorted(made)


def run(command: Command, workplace: Workplace) -> None:
    ran = workplace.run(command.line)
    assert ran.returncode == 0, f"{command.line}\n{ran.stdout}"
    if command.output is not None and not CHECKED_ONLY.match(command.line):
        assert_matches(command.output, ran.stdout)


def test_what_make_run_prints_is_in_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [each.output for each in commands(ROOT / "README.md") if each.line == "make run"]
    monkeypatch.chdir(tmp_path)
    public = tmp_path / "var" / "public"
    public.mkdir(parents=True)
    (public / "root.pub").write_bytes(bytes(64))
    announce(Settings(), SERVER.removeprefix("http://"), as_json=False)
    printed = capsys.readouterr().out
    for output in shown:
        if output is not None:
            assert_matches(output, printed)


def test_every_command_is_shown_somewhere() -> None:
    shown = {
        word
        for document in DOCUMENTS
        for command in commands(document)
        for word in re.findall(r"\brightsmanager ([\w-]+)", command.line)
    }
    assert shown >= set(rightsmanager.list_commands(Context(rightsmanager)))


def assert_matches(shown: str, printed: str) -> None:
    """Compare line by line; … in a shown line matches any text."""
    expected = [line.rstrip() for line in shown.rstrip().splitlines()]
    actual = [line.rstrip() for line in printed.rstrip().splitlines()]
    assert len(expected) == len(actual), printed
    for wanted, line in zip(expected, actual, strict=True):
        pattern = ".+".join(map(re.escape, wanted.split("…")))
        assert re.fullmatch(pattern, line), f"documented {wanted!r}, printed {line!r}"
