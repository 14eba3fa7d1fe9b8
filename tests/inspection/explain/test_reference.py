"""The documentation of parameters is that of the table, and its examples are true."""

from pathlib import Path

import pytest

from rightsmanager.inspection.reference import EXAMPLES, parameter_rows, parameters_markdown
from rightsmanager.policy.parameters import PARAMETERS
from rightsmanager.policy.query import parse_query

DOCUMENT = Path(__file__).parents[3] / "docs" / "parameters.md"


def test_the_document_is_made_from_the_table() -> None:
    assert parameters_markdown() == DOCUMENT.read_text("utf-8"), "make docs"


def test_every_parameter_has_a_row_and_an_example() -> None:
    names = [parameter.name for parameter in PARAMETERS]
    assert names == [row.name for row in parameter_rows()]
    assert names == list(EXAMPLES)


@pytest.mark.parametrize("row", parameter_rows(), ids=lambda row: row.name)
def test_an_example_is_of_its_parameter(row: object) -> None:
    example, name = getattr(row, "example", ""), getattr(row, "name", "")
    asked = {parameter.name for requested in parse_query(example) for parameter, _ in requested}
    assert name in asked or {name, *asked} == {"clientinfo"}


@pytest.mark.parametrize("row", parameter_rows(), ids=lambda row: row.name)
def test_nothing_in_a_row_breaks_the_markdown(row: object) -> None:
    assert not set("|<>`\n") & set(repr(row))
