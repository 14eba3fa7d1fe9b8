"""The kinds of faults are listed by the command as they are in the documentation."""

import json
from pathlib import Path

from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.lab.faults.listing import toxics_markdown
from rightsmanager.lab.faults.toxics import TOXICS

PAGE = Path(__file__).parents[3] / "docs" / "faults.md"


def test_the_page_has_the_table_of_the_code() -> None:
    assert f"\n{toxics_markdown()}\n" in PAGE.read_text()


def test_the_command_lists_the_kinds_of_the_page() -> None:
    printed = CliRunner().invoke(rightsmanager, ["fault", "list"]).stdout
    page = PAGE.read_text()
    for toxic in TOXICS.values():
        assert f"| `{toxic.name}` |" in page
        row = next(line for line in printed.splitlines() if line.split()[0] == toxic.name)
        assert toxic.effect in row
        assert toxic.client in row


def test_the_command_prints_the_parameters_as_json() -> None:
    listed = json.loads(CliRunner().invoke(rightsmanager, ["fault", "list", "--json"]).stdout)
    assert [each["kind"] for each in listed] == list(TOXICS)
    (latency,) = [each for each in listed if each["kind"] == "latency"]
    assert latency["place"] == "delivery"
    assert len(latency["operations"]) == 9
    assert latency["parameters"][0] == {
        "name": "milliseconds",
        "expected": "0 to 120000; the mean of a distribution",
        "default": None,
        "is_required": True,
    }
