"""Lists of the journal's entries: as a table, as JSON lines, and as they come."""

import json
import time
from collections.abc import Iterable
from typing import Final

import click

from rightsmanager.cli.journal.filters import filter_options
from rightsmanager.cli.journal.requests import COLUMNS, first_of, print_requests
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import limit_option
from rightsmanager.cli.printing import (
    Form,
    counted,
    form_options,
    json_option,
    print_list,
    print_result,
    printable,
)
from rightsmanager.journal.facts import entry_facts, stored_facts
from rightsmanager.store.journal.entries import Accounting, Entry, Filter
from rightsmanager.store.journal.reading import matches

POLL_SECONDS: Final = 0.3
_WIDTHS: Final = {
    "id": 7,
    "at": 29,
    "operation": 23,
    "outcome": 10,
    "ms": 9,
    "device": 44,
    "kids": 36,
}
"""The widths of the columns that `follow` prints; a longer text moves the rest of its line."""
_ACT_COLUMNS: Final = {
    "id": "id",
    "at": "time",
    "operation": "act",
    "subject": "subject",
    "actor": "operator",
    "outcome": "outcome",
    "reason": "reason",
}


@click.command(name="list")
@pass_operator
@form_options
@filter_options
@click.option("--before", type=click.IntRange(min=1), help="Only entries before this id.")
@limit_option
def list_(
    operator: Operator, wanted: Filter, *, before: int | None, limit: int, form: Form
) -> None:
    """List requests, newest first.

    Example: rightsmanager journal list --outcome fault --since 15m
    """
    journal = operator.journal
    journal.settle()
    page = journal.find(wanted, limit, before)
    footer = "" if form else _counts(journal.accounting(), page.next)
    facts = [entry_facts(each) for each in page.entries]
    if wanted.kind == "act":
        print_list(form, facts, _ACT_COLUMNS, footer=footer)
    else:
        print_requests(form, facts, footer=footer)


@click.command()
@pass_operator
@filter_options
@click.option("--limit", type=click.IntRange(min=1), help="End after so many.")
@json_option
def follow(operator: Operator, wanted: Filter, *, limit: int | None, form: Form) -> None:
    """Print requests as they come.

    Ends with Ctrl-C. With --json, each line is an object.
    """
    journal = operator.journal
    last, left = journal.newest_id(), limit
    if not form:
        click.echo(_in_columns(COLUMNS.values()))
    try:
        while True:
            entries = journal.newer(last)
            for entry in entries:
                last = entry.id
                if matches(wanted, entry):
                    click.echo(json.dumps(entry_facts(entry)) if form else _line(entry))
                    left = None if left is None else left - 1
                    if left == 0:
                        return
            if not entries:
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return


@click.command()
@pass_operator
@filter_options
@click.option("--no-bodies", is_flag=True, help="Leave out the bodies of requests and replies.")
def export(operator: Operator, wanted: Filter, *, no_bodies: bool) -> None:
    """Print requests with their bodies as JSON lines.

    Newest first, one object a line; docs/journal.md has the format.
    """
    journal = operator.journal
    journal.settle()
    for stored in journal.stored(wanted):
        facts = entry_facts(stored.entry) if no_bodies else stored_facts(stored)
        click.echo(json.dumps(facts))


@click.command()
@pass_operator
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def clear(operator: Operator, *, yes: bool, form: Form) -> None:
    """Remove all recorded requests.

    Licences, reports and all other records stay.
    """
    journal = operator.journal
    if not yes:
        click.confirm("Remove all entries of the journal?", abort=True, err=True)
    removed = journal.clear()
    print_result(form, {"removed": removed}, f"{counted(removed, 'entry', 'entries')} removed")


def _counts(counts: Accounting, before: int | None) -> str:
    """Return the last line of a list."""
    if counts == Accounting():
        return "nothing was recorded yet; the setting journal.record says what is"
    parts = [f"{counts.written} written"]
    parts += [
        f"{count} {name}"
        for name, count in (
            ("waiting", counts.waiting),
            ("dropped", counts.dropped),
            ("lost with a worker", counts.lost),
        )
        if count
    ]
    more = f"; older entries: --before {before}" if before else ""
    return f"{', '.join(parts)} since the journal was made{more}"


def _line(entry: Entry) -> str:
    facts = entry_facts(entry)
    last = (
        entry.subject or "",
        f"injected {entry.injected}" if entry.injected else "",
        entry.reason or "",
    )
    return _in_columns(
        (
            str(entry.id),
            facts["at"],
            entry.operation,
            entry.outcome,
            str(entry.total_ms),
            entry.device or entry.actor or "",
            first_of(facts["kids"]) or "",
            "  ".join(word for word in last if word),
        )
    )


def _in_columns(texts: Iterable[str]) -> str:
    """Return a line of texts at fixed places, with a dash for a missing one."""
    widths = (*_WIDTHS.values(), 0)
    cells = [f"{text or '-':{width}}" for text, width in zip(texts, widths, strict=True)]
    return printable("  ".join(cells).rstrip())
