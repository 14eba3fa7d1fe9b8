"""`rightsmanager metering chart`: what was played, as a picture."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.metering.options import day_of, metering_admin, question, question_options
from rightsmanager.cli.options import data_option
from rightsmanager.errors import InternalError
from rightsmanager.operations.metering_reports import By, UsageQuestion
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.store.metering import Period, Total

if TYPE_CHECKING:
    from rightsmanager.charts import Bars

_MOST: Final = 20
"""How many bars there are beside those of days."""
_TITLES: Final = {
    By.KID: "Usage by content key",
    By.ACTION: "Usage by action",
    By.DAY: "Usage by day",
    By.DEVICE: "Usage by device",
}


class PictureFile(click.Path):
    """A file whose name ends in .png or .svg."""

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """Return the file's path; click shows what is wrong with it."""
        file = Path(str(value))
        if file.suffix.lower() not in {".png", ".svg"}:
            self.fail(f"{file.name!r} ends neither in .png nor in .svg", param, ctx)
        return file


@click.command()
@data_option
@question_options
@click.option("--by", type=click.Choice([by.value for by in By]), default=By.DAY.value)
@click.option("--out", type=PictureFile(), required=True, help="A .png or .svg file.")
def chart(  # noqa: PLR0913 -- the options of a command
    data: Path, mid: Mid | None, first: date | None, last: date | None, *, by: str, out: Path
) -> None:
    """Draw what devices reported: a bar for each day, or for each of the most used of a kind."""
    # It takes half a second to import, and many megabytes.
    from rightsmanager.charts import draw  # noqa: PLC0415

    operated = metering_admin(data)
    asked = question(operated, mid, first, last)
    totals = operated.reports.find(asked, By(by))
    picture = draw(bars_of(asked, By(by), totals), "svg" if out.suffix.lower() == ".svg" else "png")
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise InternalError(f"{out} cannot be written: {error.strerror}") from None
    click.echo(f"The chart is in {out}.")


def bars_of(asked: UsageQuestion, by: By, totals: Sequence[Total]) -> "Bars":
    """Return the chart of totals: days in their order, of all else the most used."""
    from rightsmanager.charts import Bars  # noqa: PLC0415

    groups = list(_days(asked.period)) if by is By.DAY else _most_used(by, totals)
    counted: dict[str, dict[object, int]] = {}
    for total in totals:
        # Where bars are of actions, no piece of one is of another action.
        name = "" if by is By.ACTION else total.action
        counted.setdefault(name, {})[_group(by, total)] = total.value
    return Bars(
        title=_TITLES[by],
        subtitle=_subtitle(asked),
        labels=[_label(group) for group in groups],
        series={
            action: [values.get(group, 0) for group in groups]
            for action, values in sorted(counted.items(), key=_most_first)
        },
        lying=by is not By.DAY,
    )


def _days(period: Period) -> Iterator[int]:
    return iter(range(period.first, period.last + 1))


def _most_used(by: By, totals: Sequence[Total]) -> list[object]:
    sums: dict[object, int] = {}
    for total in totals:
        group = _group(by, total)
        sums[group] = sums.get(group, 0) + total.value
    return sorted(sums, key=lambda group: -sums[group])[:_MOST]


def _most_first(series: tuple[str, dict[object, int]]) -> int:
    return -sum(series[1].values())


def _group(by: By, total: Total) -> object:
    return total.action if by is By.ACTION else total.group


def _label(group: object) -> str:
    if isinstance(group, Kid):
        return group.text
    return day_of(group).isoformat() if isinstance(group, int) else str(group)


def _subtitle(asked: UsageQuestion) -> str:
    first, last = day_of(asked.period.first), day_of(asked.period.last)
    return f"metering id {asked.mid.text}, {first} to {last} (UTC)"
