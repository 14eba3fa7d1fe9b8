"""Bar charts of totals as PNG or SVG; needs no display.

matplotlib takes half a second to import and some 60 MB. Import this module only to draw a chart, in
a process that serves nothing else.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

Form = Literal["png", "svg"]

WIDTH: Final = 10.0
HEIGHT: Final = 4.8
"""Inches, at 100 dots in a PNG."""
_MARGIN: Final = 0.12
"""Inches around the chart."""
_FRAME_HEIGHT: Final = 1.5
"""Inches above and below horizontal bars together."""
_BAR_HEIGHT: Final = 0.34
"""Inches of a horizontal bar, including the space to the next one."""
_MAX_LABELS: Final = 16
"""The maximum number of labels below bars."""
_COLOURS: Final = ("#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#6d597a", "#8d99ae")
_STEPS: Final = (1, 2, 5, 10)
"""Steps between the numbers of an axis, times a power of ten."""
_GREY: Final = "#4a4a4a"
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,
    # The same chart gives the same bytes.
    "svg.hashsalt": "rightsmanager",
    # Keep text searchable, in any sans-serif font that the viewer has.
    "svg.fonttype": "none",
}


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart: a bar for each label, stacked of a piece for each of the series."""

    title: str
    subtitle: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[int]]
    """A number of 0 or more for each label, by the name of the series."""
    is_horizontal: bool = False
    """True for horizontal bars, the first label on top, each with its label and sum."""


def draw(bars: Bars, form: Form) -> bytes:
    """Return the picture of a chart; without labels it says that there is nothing to show."""
    with rc_context(_STYLE):
        horizontal_height = _FRAME_HEIGHT + _BAR_HEIGHT * len(bars.labels)
        height = horizontal_height if bars.is_horizontal and bars.labels else HEIGHT
        layout = ConstrainedLayoutEngine(w_pad=_MARGIN, h_pad=_MARGIN)
        figure = Figure(figsize=(WIDTH, height), dpi=100, layout=layout, facecolor="white")
        axes = figure.add_subplot()
        axes.set_title(bars.title, loc="left", fontsize=13, fontweight="bold", pad=28)
        axes.annotate(
            bars.subtitle,
            (0, 1),
            (0, 12),
            xycoords="axes fraction",
            textcoords="offset points",
            color=_GREY,
        )
        (_draw_horizontal if bars.is_horizontal else _draw_vertical)(axes, bars)
        _finish(figure, axes, bars)
        picture = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        with warnings.catch_warnings():
            # A character that no font has is drawn as a box, which needs no warning.
            warnings.simplefilter("ignore", UserWarning)
            figure.savefig(picture, format=form, metadata=metadata)
    return picture.getvalue()


def _draw_vertical(axes: Axes, bars: Bars) -> None:
    places, bottom = range(len(bars.labels)), [0] * len(bars.labels)
    for (name, values), colour in zip(bars.series.items(), cycle(_COLOURS), strict=False):
        axes.bar(places, values, 0.8, bottom, color=colour, label=name)
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    step = -(-len(bars.labels) // _MAX_LABELS) or 1
    axes.set_xticks(places[::step], bars.labels[::step], rotation=45, ha="right")
    axes.set_xlim(-0.6, len(bars.labels) - 0.4)
    axes.yaxis.set_major_locator(MaxNLocator("auto", steps=_STEPS, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_ylim(0, max((*bottom, 1)) * 1.05)
    axes.grid(axis="y", color="#dddddd")


def _draw_horizontal(axes: Axes, bars: Bars) -> None:
    places, left = range(len(bars.labels)), [0] * len(bars.labels)
    for (name, values), colour in zip(bars.series.items(), cycle(_COLOURS), strict=False):
        axes.barh(places, values, 0.7, left, color=colour, label=name)
        left = [low + value for low, value in zip(left, values, strict=True)]
    for place, value in zip(places, left, strict=True):
        axes.annotate(f"{value:,}", (value, place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, bars.labels)
    axes.set_ylim(len(bars.labels) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlim(0, max((*left, 1)) * 1.12)
    axes.grid(axis="x", color="#dddddd")


def _finish(figure: Figure, axes: Axes, bars: Bars) -> None:
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=_GREY)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    if len(bars.series) > 1:
        figure.legend(loc="outside lower left", ncols=6, frameon=False)
    if not bars.labels or not bars.series:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=_GREY)


def _thousands(value: float, _position: int | None = None) -> str:
    return f"{value:,.0f}"
