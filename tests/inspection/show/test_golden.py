"""The exact output; GOLDEN=write in the environment rewrites the files."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from rightsmanager.cli.show import as_tree, summary
from rightsmanager.inspection import Context, Description, as_json, describe

GOLDEN = Path(__file__).parents[2] / "golden" / "show"
TEXTS = (
    "xmr_published",
    *(f"xmr_bound_{index}" for index in (1, 5)),
    "chain",
    *(f"challenge_{index}" for index in range(1, 12)),
    *(f"pssh_{index}" for index in (1, 3, 5, 10)),
    *(f"object_{index}" for index in (2, 8)),
    *(f"wrmheader_{index}" for index in (1, 2)),
)
JSON = ("xmr_bound_1", "chain", "challenge_1", "challenge_9", "pssh_1")


def printed(description: Description) -> str:
    console = Console(file=io.StringIO(), width=4096, highlight=False)
    console.print(as_tree(description))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join((*lines, summary(description), ""))


def same(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    assert file.read_text("utf-8") == text


@pytest.mark.parametrize("name", TEXTS)
def test_is_printed_as_a_tree(name: str, things: dict[str, bytes], aided: Context) -> None:
    same(f"{name}.txt", printed(describe(things[name], aided)))


@pytest.mark.parametrize("name", JSON)
def test_is_printed_as_json(name: str, things: dict[str, bytes], aided: Context) -> None:
    same(f"{name}.json", json.dumps(as_json(describe(things[name], aided)), indent=2) + "\n")


@pytest.mark.parametrize("name", ["xmr_bound_1", "challenge_1", "chain"])
def test_without_aids_says_what_is_missing(
    name: str, things: dict[str, bytes], bare: Context
) -> None:
    same(f"{name}_without_aids.txt", printed(describe(things[name], bare)))
