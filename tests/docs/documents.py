"""The documentation as data: its fenced blocks, the commands in them, its tables and its links.

    ```sh         one command a line
    ```console    `$ command`, then what it prints; … stands for any text
    ```toml       a settings file

What starts a server or builds something is only looked at. All other commands are run, those of one
document in their order in one folder, with running servers in the places of SERVER and SECURE.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SERVER: Final = "http://127.0.0.1:8080"
"""Where the documentation says that the server is."""
SECURE: Final = "https://127.0.0.1:8443"
"""Where it says that the one by HTTPS is, whose data folder is `secure`."""

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Command:
    """One command of a document and, where the document shows it, what it prints."""

    line: str
    output: str | None = None

    @property
    def words(self) -> list[str]:
        """The command itself, without what is piped into it and its environment."""
        words = shlex.split(self.line.rpartition(" | ")[2])
        return words[len(self.environment) :]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that stand in front of it."""
        assigned: dict[str, str] = {}
        for word in shlex.split(self.line.rpartition(" | ")[2]):
            if not _ASSIGNMENT.fullmatch(word):
                break
            name, _, value = word.partition("=")
            assigned[name] = value
        return assigned

    @property
    def stdin(self) -> str | None:
        """What is echoed into it, if anything is."""
        before = self.line.rpartition(" | ")[0]
        return before.removeprefix("echo ") + "\n" if before else None


def blocks(document: Path, language: str) -> list[str]:
    """Return the text of each fenced block in a language."""
    return [text for name, text in _BLOCK.findall(document.read_text()) if name == language]


def commands(document: Path) -> list[Command]:
    """Return a document's commands in their order."""
    found: list[Command] = []
    for language, text in _BLOCK.findall(document.read_text()):
        if language == "sh":
            found += [Command(line) for line in text.splitlines() if line]
        elif language == "console":
            found += _shown(text)
    return found


def _shown(text: str) -> Iterator[Command]:
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = piece.partition("\n")
        yield Command(line, output)


def tables(document: Path, *columns: str) -> list[list[list[str]]]:
    """Return the rows of each table under these columns."""
    head = "| " + " | ".join(columns) + " |\n"
    return [
        [
            [cell.strip() for cell in row.strip("|").split(" | ")]
            for row in text.split("\n\n")[0].splitlines()[1:]
        ]
        for text in document.read_text().split(head)[1:]
    ]


def table(document: Path, *columns: str) -> list[list[str]]:
    """Return the rows of the one table under these columns."""
    (rows,) = tables(document, *columns)
    return rows


def prose(document: Path) -> str:
    """Return a document without its blocks."""
    return _BLOCK.sub("", document.read_text())


def spans(document: Path) -> list[str]:
    """Return what is set as code within the text."""
    return _SPAN.findall(prose(document))


def links(document: Path) -> list[str]:
    """Return the targets of the links."""
    return _LINK.findall(prose(document))


def anchors(document: Path) -> set[str]:
    """Return the names of the headings, as links spell them."""
    return {
        re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))
        for heading in _HEADING.findall(prose(document))
    }
