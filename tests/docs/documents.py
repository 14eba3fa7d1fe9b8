"""The documentation as data: its fenced blocks, its commands, its tables and its links.

    ```sh         one command a line
    ```console    `$ command`, then its output, in which … matches any text
    ```python     a module, whose first line is its name: # name.py
    ```toml       a settings file

A shell runs the commands of a document in their order and in one folder, with running servers in
place of SERVER and SECURE. Commands that start, build or install something are only checked.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
SERVER: Final = "http://127.0.0.1:8080"
"""The server's address in the documentation."""
SECURE: Final = "https://127.0.0.1:8443"
"""The address of the HTTPS server, whose data folder is `secure`."""

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_NAME: Final = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Command:
    """A command of a document with its output, if the document shows it."""

    line: str
    output: str | None = None


@dataclass(frozen=True)
class Module:
    """A Python module that the reader is asked to write."""

    name: str
    text: str


def blocks(document: Path, language: str) -> list[str]:
    """Return the text of each fenced block in a language."""
    return [text for name, text in _BLOCK.findall(document.read_text()) if name == language]


def steps(document: Path) -> Iterator[Command | Module]:
    """Yield the commands and modules of a document in their order."""
    for language, text in _BLOCK.findall(document.read_text()):
        if language == "sh":
            yield from (Command(line) for line in text.splitlines() if line)
        elif language == "console":
            yield from _shown(text)
        elif language == "python":
            name = _NAME.match(text)
            assert name, f"the module in {document.name} does not begin with its name"
            yield Module(name[1], text)


def commands(document: Path) -> list[Command]:
    """Return a document's commands in their order."""
    return [step for step in steps(document) if isinstance(step, Command)]


def _shown(text: str) -> Iterator[Command]:
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = piece.partition("\n")
        yield Command(line, output)


def tables(document: Path, *columns: str) -> list[list[list[str]]]:
    """Return the rows of each table with these columns."""
    head = "| " + " | ".join(columns) + " |\n"
    return [
        [
            [cell.strip() for cell in row.strip("|").split(" | ")]
            for row in text.split("\n\n")[0].splitlines()[1:]
        ]
        for text in document.read_text().split(head)[1:]
    ]


def table(document: Path, *columns: str) -> list[list[str]]:
    """Return the rows of the only table with these columns."""
    (rows,) = tables(document, *columns)
    return rows


def prose(document: Path) -> str:
    """Return a document without its blocks."""
    return _BLOCK.sub("", document.read_text())


def spans(document: Path) -> list[str]:
    """Return the code within the text."""
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
