"""Printing: names that devices choose change neither a terminal nor a spreadsheet."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.cli.printing import print_csv, print_facts, print_list, print_table, printable

HOSTILE = {
    "escape": "\x1b[2J",
    "carriage return": "a\rb",
    "new line": "a\nb",
    "zero width": "a\u200bb",
    "right to left": "a\u202eb",
    "isolate": "\u2066a",
    "byte order mark": "\ufeffa",
    "surrogate": "a\udcff",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_character_is_escaped_in_every_form(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    print_table(("name",), [[text]])
    print_list("csv", [{"name": text}], {"name": "name"})
    print_facts(None, {"name": text})
    print_list("json", [{"name": text}], {"name": "name"})
    output = capsys.readouterr().out
    assert all(character in "\n\r" or character.isprintable() for character in output)
    # Only csv ends its lines so.
    assert "\r" not in output.replace("\r\n", "")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]
)
def test_a_formula_is_quoted_in_csv(capsys: pytest.CaptureFixture[str], text: str) -> None:
    print_csv(("name", "value"), [[text, -1]])
    ((name, value),) = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
    assert name == f"'{printable(text)}"
    assert value == "-1"


@given(st.text())
def test_a_printable_text_has_only_printable_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert text.isprintable() == (printable(text) == text)


def test_json_keeps_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    facts = [{"name": text} for text in HOSTILE.values()]
    print_list("json", facts, {"name": "name"})
    assert json.loads(capsys.readouterr().out) == facts


def test_a_table_has_a_dash_for_a_missing_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b", "c", "d"), [[None, [], ["x", "y"], True]])
    assert capsys.readouterr().out.split()[4:] == ["-", "-", "x,", "y", "yes"]
