"""`rightsmanager metering royalty`: the cost of plays, and of a flat rate in their place."""

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from rightsmanager.admin.royalty import Prices, Royalty, money
from rightsmanager.admin.usage import day_of
from rightsmanager.cli.metering.options import MeteringAdmin, question_options
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import Parsed
from rightsmanager.cli.printing import Form, form_options, print_csv, print_json, print_table

if TYPE_CHECKING:
    from datetime import date

    from rightsmanager.admin.usage import UsageQuery


def _parse_price(text: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and price >= 0):
        raise ValueError(f"{text!r} is not a price, expected one such as 0.01")
    return price


PRICE = Parsed("price", _parse_price)


@click.command()
@pass_operator
@question_options
@click.option("--action", default="Play", show_default=True, help="The action that is paid for.")
@click.option("--price-per-play", type=PRICE, help="[default: metering.price_per_play]")
@click.option("--price-per-title", type=PRICE, help="[default: metering.price_per_title]")
@click.option("--currency", help="[default: metering.currency]")
@click.option(
    "--titles",
    type=click.IntRange(min=0),
    help="The titles of the flat rate.  [default: those that were played]",
)
@form_options
def royalty(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    mid: str | None,
    first: "date | None",
    last: "date | None",
    action: str,
    price_per_play: Decimal | None,
    price_per_title: Decimal | None,
    currency: str | None,
    titles: int | None,
    form: Form,
) -> None:
    """Compare pay-per-play with a flat rate.

    Prints the cost of all plays, of a flat rate for each title, and the saving. Days are those of
    UTC.
    """
    metering, settings = MeteringAdmin(operator), operator.settings.metering
    question = metering.question(mid, first, last)
    prices = Prices(settings.price_per_play, settings.price_per_title, settings.currency)
    if price_per_play is not None:
        prices = replace(prices, per_play=price_per_play)
    if price_per_title is not None:
        prices = replace(prices, per_title=price_per_title)
    if currency is not None:
        prices = replace(prices, currency=currency)
    plays = metering.reports.find_plays(question, action)
    result = Royalty(plays, len(plays) if titles is None else titles, prices)
    if form == "json":
        print_json(_facts(question, action, result))
    elif form == "csv":
        print_csv(("kid", "plays", "due"), _rows(result))
    else:
        _print(result)


def _rows(royalty: Royalty) -> list[tuple[str, int, str]]:
    return [
        (kid.text, plays, f"{royalty.due(plays):f}") for kid, plays in royalty.plays_by_kid.items()
    ]


def _print(royalty: Royalty) -> None:
    prices = royalty.prices
    rows = (
        (f"{royalty.plays:,} plays at", money(prices.per_play), money(royalty.metered)),
        (f"{royalty.titles:,} titles at", money(prices.per_title), money(royalty.flat)),
        ("saving", "", money(royalty.saving)),
    )
    print_table(("", "price", f"due ({prices.currency})"), rows)


def _facts(question: "UsageQuery", action: str, royalty: Royalty) -> dict[str, object]:
    prices = royalty.prices
    return {
        "mid": question.mid.text,
        "from": day_of(question.period.first).isoformat(),
        "to": day_of(question.period.last).isoformat(),
        "action": action,
        "currency": prices.currency,
        "plays": royalty.plays,
        "titles": royalty.titles,
        "price_per_play": f"{prices.per_play:f}",
        "price_per_title": f"{prices.per_title:f}",
        "metered": f"{royalty.metered:f}",
        "flat": f"{royalty.flat:f}",
        "saving": f"{royalty.saving:f}",
        "by_kid": [{"kid": kid, "plays": plays, "due": due} for kid, plays, due in _rows(royalty)],
    }
