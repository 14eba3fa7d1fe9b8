"""The overview: requests a minute, faults by code, latencies, and the newest faults."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rightsmanager.journal.journal import PERCENTILES, Latency, Statistics
from rightsmanager.store.journal.entries import FAULT, Accounting, Entry, Filter
from rightsmanager.web.console.blocks import (
    BAD,
    OFF,
    Act,
    Asked,
    Block,
    Cell,
    Chart,
    Empty,
    Field,
    Notice,
    Table,
    Tiles,
    View,
    filter_form,
    link,
    number,
    time,
)
from rightsmanager.web.console.outcomes import live_act, outcome_cell
from rightsmanager.web.console.parts import Parts

_MINUTE_MS: Final = 60_000
_RANGES: Final = {
    "60": ("hour", 60),
    "15": ("15 minutes", 15),
    "360": ("6 hours", 360),
    "1440": ("day", 1440),
}
_LIVE_SECONDS: Final = 10
_NEWEST: Final = 10
_ALL: Final = ""


def show_overview(parts: Parts, asked: Asked) -> View:
    """Return the page of the last minutes or hours."""
    title, minutes = _RANGES[asked.choose("range", tuple(_RANGES))]
    until_ms = (parts.now_ms // _MINUTE_MS + 1) * _MINUTE_MS
    since_ms = until_ms - minutes * _MINUTE_MS
    found = parts.journal.statistics(since_ms, until_ms)
    accounting = parts.journal.accounting()
    newest = parts.journal.find(Filter(outcome=FAULT, kind="request"), _NEWEST).entries
    is_live = asked.get("live") != "off"
    return View(
        "Overview",
        (
            *_notices(parts, found, accounting),
            _tiles(title, found, accounting),
            _chart(found, since_ms, until_ms),
            _latencies(found.latencies),
            _outcomes(found),
            _newest_faults(newest),
            _range_form(asked),
        ),
        acts=(live_act(asked, "", is_live=is_live),),
        live_seconds=_LIVE_SECONDS if is_live else 0,
    )


def _newest_faults(entries: Sequence[Entry]) -> Table:
    return Table(
        "Newest faults",
        ("Time", "Operation", "Outcome", "Reason"),
        tuple(
            (
                replace(time(each.at_ms / 1000), href=link("journal", str(each.id))),
                Cell(each.operation or "none"),
                outcome_cell(each.outcome),
                Cell(each.reason or ""),
            )
            for each in entries
        ),
        Empty("No request was refused."),
    )


def _notices(parts: Parts, found: Statistics, accounting: Accounting) -> tuple[Block, ...]:
    notices = []
    if parts.recording == "off":
        text = "The journal is off, so that this page shows nothing of new requests: set "
        notices.append(Notice(OFF, f"{text}journal.record to all or faults."))
    elif parts.recording == "faults":
        text = "The journal records refused requests only: all numbers here are theirs. Set "
        notices.append(Notice(OFF, f"{text}journal.record to all to see every request."))
    if not found.is_complete:
        since = time(found.minutes[0].at_ms / 1000).text if found.minutes else "now"
        notices.append(Notice(OFF, f"Requests before {since} are not counted: they are removed."))
    missing = accounting.dropped + accounting.lost
    if missing:
        text = f"{accounting.dropped:,} entries were dropped and {accounting.lost:,} lost"
        notices.append(Notice(OFF, f"{text} since the journal was made."))
    return tuple(notices)


def _tiles(title: str, found: Statistics, accounting: Accounting) -> Tiles:
    requests = sum(each.requests for each in found.minutes)
    faults = sum(each.faults for each in found.minutes)
    share = f"{faults / requests:.1%}" if requests else "none"
    busiest = max(found.latencies, key=lambda each: each.requests, default=None)
    middle = "none" if busiest is None else f"{busiest.percentiles_ms[0]:.1f} ms"
    return Tiles(
        (
            (f"requests in the last {title}", number(requests, "journal")),
            ("faults", Cell(f"{faults:,}", link("journal", outcome=FAULT), state=_tone(faults))),
            ("of all requests", Cell(share)),
            ("median of " + ("all" if busiest is None else busiest.operation), Cell(middle)),
            ("journal entries waiting", number(accounting.waiting)),
        )
    )


def _tone(faults: int) -> str | None:
    return BAD if faults else None


def _chart(found: Statistics, since_ms: int, until_ms: int) -> Chart:
    by_minute = {each.at_ms: each for each in found.minutes}
    times = range(since_ms, until_ms, _MINUTE_MS)
    counts = [by_minute.get(each) for each in times]
    return Chart(
        "Requests a minute",
        tuple(each // 1000 for each in times),
        {
            "requests": tuple(0 if each is None else each.requests for each in counts),
            "faults": tuple(0 if each is None else each.faults for each in counts),
        },
    )


def _latencies(latencies: Sequence[Latency]) -> Table:
    columns = ("Operation", "Requests", *(f"{percent} % below" for percent in PERCENTILES))
    return Table(
        "Time of a request",
        columns,
        tuple(
            (
                Cell(each.operation or "none", link("journal", operation=each.operation)),
                number(each.requests),
                *(Cell(f"{ms:,.1f} ms", is_number=True) for ms in each.percentiles_ms),
            )
            for each in latencies
        ),
        Empty(
            "No request in this time. Send one with a simulated device:",
            "rightsmanager device acquire --device DEVICE --url URL --kid KID",
            Act("Every request", "journal"),
        ),
    )


def _outcomes(found: Statistics) -> Table:
    most = max((count for _, count in found.outcomes), default=1)
    return Table(
        "Outcomes",
        ("Outcome", "Requests"),
        tuple(
            (
                outcome_cell(outcome, link("journal", outcome=outcome)),
                replace(number(count), share=count / most),
            )
            for outcome, count in found.outcomes
        ),
        Empty("No request in this time."),
    )


def _range_form(asked: Asked) -> Block:
    choices = tuple((name, f"last {title}") for name, (title, _) in _RANGES.items())
    given = asked.get("range") or next(iter(_RANGES))
    return filter_form(asked, _ALL, (Field("range", "Time", given, "select", choices=choices),))
