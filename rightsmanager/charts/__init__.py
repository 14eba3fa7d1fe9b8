"""Bar charts of totals as pictures, PNG or SVG, with neither a display nor anything outside.

The library takes half a second to import and some 60 MB: import this where a chart is drawn, in a
process that serves nothing else.
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
"""Inches around all."""
_FRAME_HEIGHT: Final = 1.5
"""Inches of what is above and below lying bars."""
_BAR_HEIGHT: Final = 0.34
"""Inches of a lying bar, with the space to the next."""
_MAX_LABELS: Final = 16
"""How many days are named below their bars."""
_COLOURS: Final = ("#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#6d597a", "#8d99ae")
_STEPS: Final = (1, 2, 5, 10)
"""Between the numbers of an axis, times a power of ten."""
_GREY: Final = "#4a4a4a"
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,
    # The same chart is the same bytes.
    "svg.hashsalt": "rightsmanager",
    # Text that can be searched, in whatever sans-serif is there.
    "svg.fonttype": "none",
}


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart: for each label a bar, made up of one piece for each of the series."""

    title: str
    subtitle: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[int]]
    """Numbers of 0 or more by the name of the series, one for each label."""
    lying: bool = False
    """Whether bars lie, the first label's on top, with the label and the sum beside each."""


def draw(bars: Bars, form: Form) -> bytes:
    """Return the picture of a chart; one without labels says that there is nothing to show."""
    with rc_context(_STYLE):
        lying_height = _FRAME_HEIGHT + _BAR_HEIGHT * len(bars.labels)
        height = lying_height if bars.lying and bars.labels else HEIGHT
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
        (_draw_lying if bars.lying else _draw_standing)(axes, bars)
        _finish(figure, axes, bars)
        picture = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        with warnings.catch_warnings():
            # A character that no font has is drawn as a box; nobody need be told on the terminal.
            warnings.simplefilter("ignore", UserWarning)
            figure.savefig(picture, format=form, metadata=metadata)
    return picture.getvalue()


def _draw_standing(axes: Axes, bars: Bars) -> None:
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


def _draw_lying(axes: Axes, bars: Bars) -> None:
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
