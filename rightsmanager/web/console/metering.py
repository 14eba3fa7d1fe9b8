"""Metering: what devices reported to have played, with charts, and what is due for it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from rightsmanager.admin.metering_ids import KnownMeteringId
from rightsmanager.admin.royalty import Prices, Royalty, money
from rightsmanager.admin.usage import FIRST_DAY, By, UsageQuery, day_of, number_of
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.store.metering import Period, Total
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    GOOD,
    PLAIN,
    Act,
    Asked,
    Block,
    Cell,
    Chart,
    Empty,
    Facts,
    Field,
    Table,
    View,
    act_cell,
    code,
    device_path,
    filter_form,
    link,
    number,
    state,
    time,
)
from rightsmanager.web.console.lists import offset_table
from rightsmanager.web.console.parts import Parts

_DAYS: Final = 30
_DAY_SECONDS: Final = 86400
_MAX_CHART_DAYS: Final = 3660
_PLAY: Final = "Play"
_BY: Final = (("kid", "title"), ("action", "action"), ("day", "day"), ("device", "device"))
_EMPTY: Final = Empty(
    "No report is stored for these days. A player reports after it played under a licence with a "
    "metering id; the simulated device does it with this command:",
    "rightsmanager device meter --device DEVICE --url URL",
    Act("Metering ids", "metering/ids"),
)


@dataclass(frozen=True, slots=True)
class _Question:
    """The metering id, the days and the prices that a page asks for."""

    usage: UsageQuery
    first: date
    last: date
    by: By
    prices: Prices
    titles: int | None


def show_metering(parts: Parts, asked: Asked) -> View:
    """Return the page of the usage of some days."""
    ids = parts.management.metering_ids.find_all()
    question = _read(parts, asked)
    days = parts.management.usage.find(question.usage, By.DAY)
    totals = (
        days if question.by is By.DAY else parts.management.usage.find(question.usage, question.by)
    )
    plays = parts.management.usage.find_plays(question.usage, _PLAY)
    return View(
        "Metering",
        (
            _filters(asked, ids, question),
            *((_chart(question, days),) if days else ()),
            _table(asked, question, totals),
            *_royalty(question, plays),
        ),
        lead="How often devices reported that they played. Days are those of UTC.",
        acts=(Act("Metering ids", "metering/ids"),),
    )


def show_metering_ids(parts: Parts, asked: Asked) -> View:
    """Return the page of all metering ids."""
    rows = [_id_row(each) for each in parts.management.metering_ids.find_all()]
    columns = ("Metering id", "Name", "State", "Created", "URL for reports", "")
    empty = Empty("There is no metering id.")
    table = Table("Metering ids", columns, (), empty, is_titled=False)
    return View(
        "Metering ids",
        (offset_table(asked, "metering/ids", table, rows),),
        lead="Each one has its own key and certificate, to which devices encrypt their reports.",
        acts=(Act("Create a metering id", "acts/create-metering-id"),),
        up=Act("Metering", "metering"),
    )


def _id_row(known: KnownMeteringId) -> tuple[Cell, ...]:
    mid = known.mid.text
    can_retire = known.retired_at is None and not known.is_own
    return (
        code(mid, link("metering", mid=mid)),
        Cell(known.name),
        state("in use", GOOD) if known.retired_at is None else state("retired", PLAIN),
        time(known.created_at, "with the keyring"),
        Cell(known.certificate.url or ""),
        act_cell("Retire", link("acts/retire-metering-id", mid=mid)) if can_retire else act_cell(),
    )


# --- question -------------------------------------------------------------------------------------


def _read(parts: Parts, asked: Asked) -> _Question:
    today = datetime.fromtimestamp(parts.now, UTC).date()
    last = _day(asked, "to") or today
    first = _day(asked, "from") or last - timedelta(days=_DAYS - 1)
    if first > last:
        raise InvalidMessage(f"the first day is {first}, expected one no later than {last}")
    mid = Mid.parse(asked.get("mid")) if asked.get("mid") else parts.management.metering_ids.own.mid
    prices = parts.management.options.prices
    return _Question(
        UsageQuery(mid, Period(number_of(first), number_of(last))),
        first,
        last,
        By(asked.choose("by", [each for each, _ in _BY])),
        replace(
            prices,
            per_play=_price(asked, "play", prices.per_play),
            per_title=_price(asked, "title", prices.per_title),
        ),
        asked.number("titles"),
    )


def _day(asked: Asked, name: str) -> date | None:
    text = asked.get(name)
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.min
    if day is not None and day < FIRST_DAY:
        raise InvalidMessage(f"{text[:32]!r} is not a day, expected one such as 2026-11-24")
    return day


def _price(asked: Asked, name: str, default: Decimal) -> Decimal:
    text = asked.get(name)
    try:
        price = Decimal(text) if text else default
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and price >= 0):
        raise InvalidMessage(f"{text[:32]!r} is not a price, expected one such as 0.01")
    return price


def _filters(asked: Asked, ids: Sequence[KnownMeteringId], question: _Question) -> Block:
    mids = tuple((each.mid.text, each.name or each.mid.text) for each in ids)
    prices = question.prices
    return filter_form(
        asked,
        "metering",
        (
            Field("mid", "Metering id", question.usage.mid.text, "select", choices=mids),
            Field("from", "From", question.first.isoformat(), "date"),
            Field("to", "To", question.last.isoformat(), "date"),
            Field("by", "Totals by", question.by.value, "select", choices=_BY),
            Field("play", "Price of a play", f"{prices.per_play:f}"),
            Field("title", "Price of a title", f"{prices.per_title:f}"),
            Field("titles", "Titles", asked.get("titles"), "number", "empty: those played"),
        ),
    )


# --- answer ---------------------------------------------------------------------------------------


def _chart(question: _Question, totals: Sequence[Total]) -> Chart:
    counts: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for each in totals:
        if isinstance(each.group, int):
            counts[each.action][each.group] = each.value
    period = question.usage.period
    days = range(max(period.first, period.last - _MAX_CHART_DAYS), period.last + 1)
    # Three colours differ enough; the table has all actions.
    most = sorted(counts, key=lambda action: -sum(counts[action].values()))[:3]
    return Chart(
        "Reported a day",
        tuple(day * _DAY_SECONDS for day in days),
        {action: tuple(counts[action].get(day, 0) for day in days) for action in most},
        shape="bars" if len(most) == 1 else "lines",
    )


def _table(asked: Asked, question: _Question, totals: Sequence[Total]) -> Table:
    titles = dict(_BY)
    highest = max((each.value for each in totals), default=1)
    rows = [
        (
            _group(question, each),
            Cell(each.action),
            replace(number(each.value), share=each.value / (highest or 1)),
        )
        for each in totals
    ]
    title = f"By {titles[question.by.value]}"
    columns: tuple[str, ...] = (titles[question.by.value].capitalize(), "Action", "Count")
    # Totals by action have no group.
    skipped = 1 if question.by is By.ACTION else 0
    cells = [row[skipped:] for row in rows]
    return offset_table(asked, "metering", Table(title, columns[skipped:], (), _EMPTY), cells)


def _group(question: _Question, total: Total) -> Cell:
    group = total.group
    if isinstance(group, Kid):
        return code(group.text)
    if isinstance(group, int):
        return Cell(day_of(group).isoformat())
    device = group or ""
    is_device = question.by is By.DEVICE
    return code(device, link("devices", device_path(device)) if is_device else None)


def _royalty(question: _Question, plays: Mapping[Kid, int]) -> tuple[Block, ...]:
    if not plays:
        return ()
    prices = question.prices
    titles = len(plays) if question.titles is None else question.titles
    royalty = Royalty(plays, titles, prices)
    currency = prices.currency
    return (
        Facts(
            (
                ("Plays", Cell(f"{royalty.plays:,} at {money(prices.per_play)} {currency}")),
                ("Due by plays", Cell(f"{money(royalty.metered)} {currency}")),
                ("Titles", Cell(f"{titles:,} at {money(prices.per_title)} {currency}")),
                ("Due at a flat rate", Cell(f"{money(royalty.flat)} {currency}")),
                ("Saving by plays", Cell(f"{money(royalty.saving)} {currency}")),
            ),
            "Royalty",
        ),
    )


# --- acts -----------------------------------------------------------------------------------------


def _to_ids(_asked: Asked) -> str:
    return "metering/ids"


def _create(parts: Parts, asked: Asked) -> str:
    mid = asked.get("mid")
    parts.management.create_metering_id(
        asked.get("name"), asked.get("url") or None, Mid.parse(mid) if mid else None
    )
    return "metering/ids"


def _retire(parts: Parts, asked: Asked) -> str:
    parts.management.metering_ids.retire(Mid.parse(asked.get("mid")))
    return "metering/ids"


METERING_ACTS: Final = {
    "create-metering-id": OperatorAct(
        "Create a metering id",
        "It gets its own key, which is stored encrypted, and a certificate for devices.",
        "Create",
        "The metering id is created.",
        (
            Field("name", "Name"),
            Field("url", "URL for reports", hint="empty: metering.url"),
            Field("mid", "Metering id", hint="GUID or base64; empty: random"),
        ),
        _create,
        _to_ids,
    ),
    "retire-metering-id": OperatorAct(
        "Retire the metering id?",
        "Its certificate is no longer issued. Reports that are encrypted to it are still counted.",
        "Retire",
        "The metering id is retired.",
        (Field("mid", "Metering id", kind="fixed"),),
        _retire,
        _to_ids,
        is_danger=True,
    ),
}
