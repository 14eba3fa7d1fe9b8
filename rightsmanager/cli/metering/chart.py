"""`rightsmanager metering chart`: usage as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.usage import By, UsageQuery, day_of
from rightsmanager.charts import Bars, draw
from rightsmanager.cli.metering.options import MeteringAdmin, heading, question_options
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import Parsed
from rightsmanager.files import write_output
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from rightsmanager.store.metering import Period, Total

_MAX_BARS: Final = 20
"""The most bars of a chart that is not by day."""
_TITLES: Final = {
    By.KID: "Usage by content key",
    By.ACTION: "Usage by action",
    By.DAY: "Usage by day",
    By.DEVICE: "Usage by device",
}


def _parse_picture(text: str) -> Path:
    file = Path(text)
    if file.suffix.lower() not in {".png", ".svg"}:
        raise ValueError(f"{file.name!r} ends neither in .png nor in .svg")
    return file


@click.command()
@pass_operator
@question_options
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    default=By.DAY.value,
    show_default=True,
    help="The grouping.",
)
@click.option(
    "--out", type=Parsed("file", _parse_picture), required=True, help="A .png or .svg file."
)
def chart(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    mid: str | None,
    first: "date | None",
    last: "date | None",
    by: str,
    out: Path,
) -> None:
    """Draw usage as a PNG or SVG chart.

    It has a bar for each day, or for each of the 20 most used KIDs, actions or devices.
    """
    metering = MeteringAdmin(operator)
    question = metering.question(mid, first, last)
    totals = metering.reports.find(question, By(by))
    bars = bars_of(question, By(by), totals)
    write_output(out, draw(bars, "svg" if out.suffix.lower() == ".svg" else "png"))
    click.echo(f"The chart is in {out}.")


def bars_of(question: UsageQuery, by: By, totals: "Sequence[Total]") -> Bars:
    """Return the chart of totals: days in their order, all other groups by use."""
    groups = list(_days(question.period)) if by is By.DAY else _most_used(by, totals)
    counted: dict[str, dict[object, int]] = {}
    for total in totals:
        # If bars are actions, none of them is divided by action.
        name = "" if by is By.ACTION else total.action
        counted.setdefault(name, {})[_group(by, total)] = total.value
    return Bars(
        title=_TITLES[by],
        subtitle=heading(question),
        labels=[_label(group) for group in groups],
        series={
            action: [values.get(group, 0) for group in groups]
            for action, values in sorted(counted.items(), key=_by_use)
        },
        is_horizontal=by is not By.DAY,
    )


def _days(period: "Period") -> "Iterator[int]":
    return iter(range(period.first, period.last + 1))


def _most_used(by: By, totals: "Sequence[Total]") -> list[object]:
    sums: dict[object, int] = {}
    for total in totals:
        group = _group(by, total)
        sums[group] = sums.get(group, 0) + total.value
    return sorted(sums, key=lambda group: -sums[group])[:_MAX_BARS]


def _by_use(series: tuple[str, dict[object, int]]) -> int:
    return -sum(series[1].values())


def _group(by: By, total: "Total") -> object:
    return total.action if by is By.ACTION else total.group


def _label(group: object) -> str:
    if isinstance(group, Kid):
        return group.text
    return day_of(group).isoformat() if isinstance(group, int) else str(group)
