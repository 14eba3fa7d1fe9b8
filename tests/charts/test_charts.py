"""Charts are reproducible pictures with the given texts."""

import struct
import subprocess
import sys

import pytest
from lxml import etree

from rightsmanager.charts import Bars, Form, draw

DAYS = [f"2026-11-{day:02}" for day in range(1, 31)]
VERTICAL = Bars("Usage by day", "some", DAYS, {"Play": list(range(30)), "Copy": [1] * 30})
HORIZONTAL = Bars(
    "Usage by device", "some", ["a", "$b$ <&>"], {"Play": [3, 4_000_000]}, is_horizontal=True
)
EMPTY = Bars("Usage by day", "none", DAYS, {})
NOTHING = Bars("Usage by content key", "none", [], {}, is_horizontal=True)


def texts(picture: bytes) -> set[str]:
    root = etree.fromstring(picture)
    assert etree.QName(root).localname == "svg"
    return {"".join(each.itertext()).strip() for each in root.iter("{*}text")}


def test_an_svg_contains_its_texts() -> None:
    shown = texts(draw(VERTICAL, "svg"))
    assert {"Usage by day", "some", "Play", "Copy", "2026-11-01"} <= shown
    assert {"a", "$b$ <&>", "3", "4,000,000"} <= texts(draw(HORIZONTAL, "svg"))


def test_a_character_that_no_font_has_is_drawn_as_a_box() -> None:
    bars = Bars(
        "Usage by action", "some", ["\u64ad\u653e \U0001f3b5"], {"": [1]}, is_horizontal=True
    )
    assert draw(bars, "png").startswith(b"\x89PNG")
    assert "\u64ad\u653e \U0001f3b5" in texts(draw(bars, "svg"))


def test_the_server_does_not_import_charts() -> None:
    program = (
        "import sys, rightsmanager.wsgi, rightsmanager.cli.serve, rightsmanager.cli.metering;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("bars", [EMPTY, NOTHING])
def test_an_empty_chart_says_so(bars: Bars) -> None:
    assert {bars.title, "nothing to show"} <= texts(draw(bars, "svg"))


@pytest.mark.parametrize("bars", [VERTICAL, HORIZONTAL, EMPTY, NOTHING])
def test_a_png_has_a_reasonable_size(bars: Bars) -> None:
    picture = draw(bars, "png")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert width == 1000
    assert 150 <= height <= 1000


@pytest.mark.parametrize("form", ["png", "svg"])
@pytest.mark.parametrize("bars", [VERTICAL, HORIZONTAL])
def test_the_same_chart_gives_the_same_bytes(bars: Bars, form: Form) -> None:
    assert draw(bars, form) == draw(bars, form)
