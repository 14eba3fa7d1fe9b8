"""`rightsmanager metering royalty`: what the plays cost, and what a flat rate would have."""

import json
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from rightsmanager.admin.royalty import Prices, Royalty, money
from rightsmanager.cli.metering.options import (
    day_of,
    metering_admin,
    question,
    question_options,
)
from rightsmanager.cli.options import data_option, json_option
from rightsmanager.cli.printing import csv_option, print_csv, print_table
from rightsmanager.operations.metering_reports import UsageQuestion
from rightsmanager.protocol.wire import Mid


class PriceParameter(click.ParamType[Decimal]):
    """A price such as 0.01."""

    name = "price"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Return the price; click shows what is wrong with it."""
        try:
            price = Decimal(str(value))
        except InvalidOperation:
            price = Decimal(-1)
        if not (price.is_finite() and price >= 0):
            self.fail(f"{value!r} is no price, expected one such as 0.01", param, ctx)
        return price


@click.command()
@data_option
@question_options
@click.option("--action", default="Play", show_default=True, help="What is paid for.")
@click.option("--price-per-play", type=PriceParameter(), help="[default: as the settings say]")
@click.option("--price-per-title", type=PriceParameter(), help="[default: as the settings say]")
@click.option("--currency", help="[default: as the settings say]")
@click.option(
    "--titles",
    type=click.IntRange(min=0),
    help="How many titles the flat rate is paid for.  [default: those that were played]",
)
@csv_option
@json_option
def royalty(  # noqa: PLR0913 -- the options of a command
    data: Path,
    *,
    mid: Mid | None,
    first: date | None,
    last: date | None,
    action: str,
    price_per_play: Decimal | None,
    price_per_title: Decimal | None,
    currency: str | None,
    titles: int | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Tell what plays cost by the play, what a flat rate for each title would, and the saving.

    The days are those of UTC.
    """
    operated = metering_admin(data)
    asked = question(operated, mid, first, last)
    usual = operated.settings.metering
    prices = Prices(
        usual.price_per_play if price_per_play is None else price_per_play,
        usual.price_per_title if price_per_title is None else price_per_title,
        usual.currency if currency is None else currency,
    )
    plays = operated.reports.find_plays(asked, action)
    counted = Royalty(plays, len(plays) if titles is None else titles, prices)
    if as_json:
        click.echo(json.dumps(_facts(asked, action, counted), indent=2))
    elif as_csv:
        print_csv(("kid", "plays", "due"), _rows(counted))
    else:
        _print(counted)


def _rows(counted: Royalty) -> list[list[str]]:
    return [
        [kid.text, str(plays), f"{counted.due(plays):f}"]
        for kid, plays in counted.plays_by_kid.items()
    ]


def _print(counted: Royalty) -> None:
    prices = counted.prices
    rows = (
        (f"{counted.plays:,} plays at", prices.per_play, counted.metered),
        (f"{counted.titles:,} titles at", prices.per_title, counted.flat),
        ("saving", None, counted.saving),
    )
    print_table(
        ("", "price", f"due ({prices.currency})"),
        [[what, "" if price is None else money(price), money(due)] for what, price, due in rows],
    )


def _facts(asked: UsageQuestion, action: str, counted: Royalty) -> dict[str, Any]:
    prices = counted.prices
    return {
        "mid": asked.mid.text,
        "from": day_of(asked.period.first).isoformat(),
        "to": day_of(asked.period.last).isoformat(),
        "action": action,
        "currency": prices.currency,
        "plays": counted.plays,
        "titles": counted.titles,
        "price_per_play": f"{prices.per_play:f}",
        "price_per_title": f"{prices.per_title:f}",
        "metered": f"{counted.metered:f}",
        "flat": f"{counted.flat:f}",
        "saving": f"{counted.saving:f}",
        "by_kid": [
            {"kid": kid, "plays": int(plays), "due": due} for kid, plays, due in _rows(counted)
        ],
    }
