"""The rules of CONTRIBUTING.md on language, as far as a program can check them.

    docstrings     open with a verb or a noun, not with a question word
    all texts      are free of the phrases in PHRASES
    constants      that limit something are called MAX_…
    settings       that are durations end in their unit

Texts are docstrings, comments, string literals and the names of functions in Python files,
documents without their blocks, and the comments of configuration files.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
SELF: Final = Path(__file__)

CHECKED: Final = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "config",
    "docker-compose.yml",
    "docs",
    "examples",
    "rightsmanager",
    "tests",
)
"""The files and folders that these rules hold for."""

GENERATED: Final = {"config/requirements", "docs/parameters.md", "tests/golden", "tests/vectors"}
"""Not written as prose: a lock, a page made from texts that are checked themselves, test data."""

OPENINGS: Final = re.compile(
    r"(?:What|Whose|Who|Whom|Which|How|Have)\b|Returns? (?:what|if|by what|who|whose|how|which)\b"
)

PHRASES: Final = re.compile(
    r"""
    \b(?: who(?:so)?ever | whom | nobody | somebody | lest | anew | adorned | reckon(?:s|ed)?
        | beside
        | of\ late | ceases?\ to\ be | as\ good\ as\ none | slip\ of\ the\ pen
        | (?<!there\ )(?:is|are)\ none
        | (?<!there\ )is\ no\ (?!longer\b|more\b|less\b|later\b|earlier\b|larger\b|newer\b|older\b)
        | (?:is|are|was|were|be)\ told
        | gives?\ out\ no\ more | ha(?:s|ve)\ its\ turn | makes?\ place
        | (?:lies?|stands?)\ (?:in(?!\ for\b)|under|beside|behind|at|below|above|with)
        | those\ that\ there\ are | that\ there\ are\ not
        | who\ (?:asks?|wants?|speaks?|sends?)
        | (?<!thing\ )else\ raises?
    )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)

LOOKED_AT: Final = (ast.Expr, ast.Constant, ast.Name, ast.FunctionDef, ast.ClassDef)

LIMIT: Final = re.compile(r"_?(?:MOST_\w+|LONGEST_\w+|\w+_MOST|\w+_LONGEST)")

FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`[^`\n]*`")


class Text(NamedTuple):
    """A piece of text and the place that it was found at."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.text.strip()[:100]}"


def test_no_docstring_opens_with_a_question_word() -> None:
    found = [text for file in files(".py") for text in docstrings(file)]
    assert [str(text) for text in found if OPENINGS.match(text.text)] == []


def test_no_text_has_a_phrase_that_readers_stumble_over() -> None:
    found = [
        f"{text} ({match[0]})"
        for file in files()
        for text in texts(file)
        for match in PHRASES.finditer(re.sub(r"\s+", " ", text.text))
    ]
    assert found == []


def test_limits_are_called_max() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.id}"
        for file in files(".py")
        for node in nodes(file)
        if isinstance(node, ast.Name) and LIMIT.fullmatch(node.id)
    ]
    assert found == []


def test_durations_end_in_their_unit() -> None:
    reference = (ROOT / "config" / "rightsmanager.toml").read_text("utf-8")
    durations = re.findall(r"^# (Seconds|Days) .*\n(?:# .*\n)*(\w+) = ", reference, re.MULTILINE)
    assert len(durations) >= 8
    assert [name for unit, name in durations if not name.endswith(f"_{unit.lower()}")] == []


@pytest.mark.parametrize(
    "text",
    [
        "'foo' is no parameter",
        "A value that is none",
        "the client is told so",
        "Keys lie in the database",
        "Whoever has the token",
        "Raise a Refusal, or else raises",
    ],
)
def test_the_phrases_are_found(text: str) -> None:
    assert PHRASES.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "it stands in for the real server",
        "the token is no longer valid",
        "where there is no account",
        "None, where there is none",
        "the key is stored in the database",
    ],
)
def test_plain_english_passes(text: str) -> None:
    assert PHRASES.search(text) is None


def files(suffix: str | None = None) -> Iterator[Path]:
    """Yield the files that the rules hold for, this one excepted: it quotes what it forbids."""
    for name in CHECKED:
        top = ROOT / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            is_text = file.is_file() and file.suffix in TEXTS and file != SELF
            if is_text and not is_generated(file) and suffix in {None, file.suffix}:
                yield file


def is_generated(file: Path) -> bool:
    return any(file.is_relative_to(ROOT / name) for name in GENERATED)


def texts(file: Path) -> Iterator[Text]:
    """Yield every text of a file."""
    return TEXTS[file.suffix](file)


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Return the parts of a module that these rules look at."""
    tree = ast.parse(file.read_text("utf-8"))
    return tuple(node for node in ast.walk(tree) if isinstance(node, LOOKED_AT))


def docstrings(file: Path) -> Iterator[Text]:
    """Yield docstrings, those of constants and fields included: any string that is a statement."""
    for node in nodes(file):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield Text(file, node.lineno, text)


def _python(file: Path) -> Iterator[Text]:
    source = file.read_text("utf-8")
    for node in nodes(file):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Text(file, node.lineno, SPAN.sub("`x`", node.value))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield Text(file, node.lineno, node.name.replace("_", " "))
    yield from _comments(file, source)


def _comments(file: Path, source: str) -> Iterator[Text]:
    """Yield comments, those on adjacent lines as one text."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if block and line != last + 1:
            yield Text(file, last, " ".join(block))
            block = []
        block.append(token.string.lstrip("# "))
        last = line
    if block:
        yield Text(file, last, " ".join(block))


def _document(file: Path) -> Iterator[Text]:
    # A block keeps its lines, so that the numbers of those after it stay right.
    source = FENCED.sub(lambda block: "\n" * block[0].count("\n"), file.read_text("utf-8"))
    line = 1
    for paragraph in re.split(r"(\n\n+)", source):
        yield Text(file, line, SPAN.sub("`x`", paragraph))
        line += paragraph.count("\n")


def _lines(file: Path) -> Iterator[Text]:
    """Yield the comments of a file in which `#` begins one."""
    number = 0
    for comment, group in _grouped(file.read_text("utf-8").splitlines()):
        if comment:
            yield Text(file, number + 1, " ".join(line.strip().lstrip("# ") for line in group))
        number += len(group)


def _grouped(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    group: list[str] = []
    comment = False
    for line in lines:
        is_comment = line.lstrip().startswith("#")
        if group and is_comment != comment:
            yield comment, group
            group = []
        comment = is_comment
        group.append(line)
    if group:
        yield comment, group


TEXTS: Final = {
    ".py": _python,
    ".md": _document,
    ".toml": _lines,
    ".conf": _lines,
    ".yml": _lines,
    "": _lines,
}
"""The reader of each kind of file, by its suffix; the Makefile has none."""
