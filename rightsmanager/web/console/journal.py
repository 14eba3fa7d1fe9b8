"""The journal: a live list of requests with filters, and each request as a page."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from rightsmanager.admin.domains import parse_device
from rightsmanager.errors import InvalidMessage, StatusCode
from rightsmanager.hooks.facts import KEY_PROTOCOLS
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import AccountId, Kid
from rightsmanager.store.journal.entries import FAULT, KINDS, OK, Entry, EntryPage, Filter
from rightsmanager.web.console.blocks import (
    BAD,
    GOOD,
    OFF,
    Act,
    Asked,
    Cell,
    Empty,
    Field,
    Notice,
    Table,
    View,
    device_path,
    filter_form,
    link,
    short,
    state,
    time,
)
from rightsmanager.web.console.lists import AFTER, FILTERED, MAX_ROWS, NOT_FILTERS
from rightsmanager.web.console.outcomes import live_act
from rightsmanager.web.console.parts import Parts

_LIVE_SECONDS: Final = 3
_COLUMNS: Final = ("Time", "Operation", "Outcome", "Reason", "Device", "KIDs", "ms")
_OUTCOMES: Final = (
    ("", "any"),
    (OK, "ok"),
    (FAULT, "refused"),
    *((each.hex, f"{each.hex} {each.name.replace('_', ' ').lower()}") for each in StatusCode),
)
_OPERATIONS: Final = (("", "any"), *((each, each) for each in (*OPERATIONS, *KEY_PROTOCOLS)))
_KINDS: Final = (("", "requests and acts"), *((each, f"{each}s") for each in KINDS))
_EMPTY: Final = Empty(
    "No request has arrived yet. Point a player at the service, or send a request with a "
    "simulated device:",
    "rightsmanager device acquire --device DEVICE --url URL --kid KID",
    Act("The service's address", "../"),
)
_NOTES: Final = {
    "off": "The journal is off: set journal.record to all or faults to record requests.",
    "faults": "The journal records refused requests only: set journal.record to all to see all.",
}


def show_journal(parts: Parts, asked: Asked) -> View:
    """Return the page of the entries that a filter lets through, newest first."""
    wanted = read_filter(asked)
    page = parts.journal.find(wanted, MAX_ROWS, asked.number(AFTER))
    # An older page does not change, so that it need not be loaded again.
    is_live = asked.get("live") != "off" and not asked.get(AFTER)
    note = _NOTES.get(parts.recording)
    notices = () if note is None else (Notice(OFF, note),)
    return View(
        "Journal",
        (*notices, filter_form(asked, "journal", _fields(asked)), _table(asked, page)),
        lead="Every request to the service and every act of an operator, newest first.",
        acts=(
            live_act(asked, "journal", is_live=is_live),
            Act("Only faults", link("journal", outcome=FAULT)),
            Act("Clear", "acts/clear-journal"),
        ),
        live_seconds=_LIVE_SECONDS if is_live else 0,
    )


def read_filter(asked: Asked) -> Filter:
    """Return the filter of a query; raises InvalidMessage."""
    device, kid, account = asked.get("device"), asked.get("kid"), asked.get("account")
    kind = asked.choose("kind", tuple(each for each, _ in _KINDS))
    return Filter(
        operation=asked.get("operation") or None,
        outcome=asked.get("outcome") or None,
        device=parse_device(device) if device else None,
        kid=Kid.parse(kid) if kid else None,
        account=AccountId.parse(account) if account else None,
        text=asked.get("text") or None,
        since_ms=_moment(asked, "since"),
        until_ms=_moment(asked, "until"),
        kind=next((each for each in KINDS if each == kind), None),
    )


def _moment(asked: Asked, name: str) -> int | None:
    """Return a time of the query in Unix milliseconds, UTC if it names no zone."""
    text = asked.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidMessage(
            f"{name} is {text[:32]!r}, expected a time such as 2026-11-24T12:00"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _fields(asked: Asked) -> tuple[Field, ...]:
    return (
        Field("operation", "Operation", asked.get("operation"), "select", choices=_OPERATIONS),
        Field("outcome", "Outcome", asked.get("outcome"), "select", choices=_OUTCOMES),
        Field("text", "Text", asked.get("text"), hint="any part"),
        Field("device", "Device", asked.get("device"), hint="id, base64"),
        Field("kid", "KID", asked.get("kid"), hint="GUID or base64"),
        Field("account", "Account", asked.get("account"), hint="GUID or base64"),
        Field("since", "Since (UTC)", asked.get("since"), "datetime-local"),
        Field("until", "Until (UTC)", asked.get("until"), "datetime-local"),
        Field("kind", "Kind", asked.get("kind"), "select", choices=_KINDS),
    )


def _table(asked: Asked, page: EntryPage) -> Table:
    is_filtered = any(asked.get(name) for name in asked.query.keys() - NOT_FILTERS)
    return Table(
        "Entries",
        _COLUMNS,
        tuple(_row(each) for each in page.entries),
        FILTERED if is_filtered else _EMPTY,
        older=None if page.next is None else asked.link("journal", after=str(page.next), done=""),
        first=asked.link("journal", after="", done="") if asked.get(AFTER) else None,
        is_titled=False,
    )


def _summary(entry: Entry) -> str:
    text = entry.reason or entry.subject or ""
    return text if entry.injected is None else f"injected {entry.injected}; {text}".rstrip("; ")


def _row(entry: Entry) -> tuple[Cell, ...]:
    device = entry.device
    more = len(entry.kids) - 1
    kid = short(entry.kids[0].text) if entry.kids else Cell("")
    return (
        replace(time(entry.at_ms / 1000), href=link("journal", str(entry.id))),
        Cell(entry.operation or "none"),
        _outcome(entry),
        Cell(_summary(entry)),
        Cell("") if device is None else short(device, link("devices", device_path(device))),
        replace(kid, text=f"{kid.text} and {more} more") if more > 0 else kid,
        Cell(f"{entry.total_ms:.1f}" if entry.stages_ms else "", is_number=True),
    )


def _outcome(entry: Entry) -> Cell:
    if entry.kind == "act" and entry.outcome == OK:
        return state("done", GOOD)
    return state(OK, GOOD) if entry.outcome == OK else state(entry.outcome, BAD)
