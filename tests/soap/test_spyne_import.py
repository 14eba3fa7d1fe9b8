import importlib
import sys

import pytest

from rightsmanager.soap.spyne_import import MovesFinder, MovesLoader, parse_header


@pytest.mark.parametrize(
    ("line", "value", "parameters"),
    [
        ("text/xml; charset=utf-8", "text/xml", {"charset": "utf-8"}),
        ('application/soap+xml; action="a/b;c"', "application/soap+xml", {"action": "a/b;c"}),
        ("text/xml", "text/xml", {}),
    ],
)
def test_the_stand_in_for_cgi_parses_headers(
    line: str, value: str, parameters: dict[str, str]
) -> None:
    assert parse_header(line) == (value, parameters)


def test_the_finder_finds_the_moves_of_spynes_six_and_nothing_else() -> None:
    name = "spyne.util.six.moves.urllib.parse"
    spec = MovesFinder.find_spec(name)
    assert spec is not None
    assert MovesLoader().create_module(spec) is importlib.import_module(name)
    assert MovesFinder.find_spec("spyne.util.six.moves.nothing") is None
    assert MovesFinder.find_spec("json") is None


def test_spyne_never_collects_garbage_by_itself() -> None:
    assert float("inf") == importlib.import_module("spyne.const").MIN_GC_INTERVAL


def test_the_finder_that_python_warns_of_is_gone() -> None:
    # A newer six, that others import, has a finder of the same name.
    assert "spyne.util.six" not in {type(finder).__module__ for finder in sys.meta_path}
