"""One entry of the journal: decoded, and sent again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.explain import explanation_facts, find_defaults
from rightsmanager.cli.journal.filters import filter_options
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.printing import (
    Form,
    json_option,
    print_facts,
    print_json,
    print_table,
    print_tree,
    printable,
)
from rightsmanager.cli.show import as_tree, make_context, summary
from rightsmanager.device.http import HttpClient, post_trusting
from rightsmanager.errors import InternalError
from rightsmanager.inspection import as_json
from rightsmanager.journal.decoding import Decoded, decode
from rightsmanager.journal.facts import entry_facts
from rightsmanager.journal.replay import Answer, Replayed, replay
from rightsmanager.policy.masking import mask_custom_data
from rightsmanager.store.journal.entries import Filter

if TYPE_CHECKING:
    from rightsmanager.inspection import Description
    from rightsmanager.store.journal.entries import Entry, StoredEntry

_MAX_SHOWN: Final = 200
"""The bytes that are shown of a body that is not recognised."""
DIFFERENT = 1
"""Exit status of a replay with another outcome."""
_entry_argument = click.argument(
    "entry_id", metavar="[ID]", type=click.IntRange(min=1), required=False
)


@click.command()
@pass_operator
@filter_options
@json_option
@_entry_argument
def show(operator: Operator, wanted: Filter, *, entry_id: int | None, form: Form) -> None:
    """Show a request and its reply, decoded and checked.

    Also prints which licences the request would get by the settings of now, and why. Checks are
    made as of the time of the request. ID is the one that `list` prints; without it, the newest
    entry that the filters let through is shown.

    Example: rightsmanager journal show --outcome fault
    """
    stored = _find(operator, wanted, entry_id)
    decoded = decode(stored, make_context(operator), find_defaults(operator))
    if form == "json":
        print_json(_facts(stored, decoded))
        return
    print_facts(None, _words(stored.entry))
    if decoded.failed_checks:
        click.echo("\nfailed checks:")
        for check in decoded.failed_checks:
            click.echo(f"  {check.name}: {printable(check.text)}")
    if stored.entry.kind == "request":
        _print_body("request", stored.request, decoded.request)
        _print_body("reply", stored.reply, decoded.reply)
    if decoded.explanation is not None:
        left_out = ", without the parameters that are masked" if stored.entry.is_masked else ""
        click.echo(f"\nby the settings of now{left_out}:")
        print_tree(as_tree(decoded.explanation.description))


@click.command(name="replay")
@pass_operator
@filter_options
@click.option("--url", help="Another URL of the service, without a query.")
@click.option(
    "--cafile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM certificates that an https server is trusted by.",
)
@json_option
@_entry_argument
def replay_(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    wanted: Filter,
    *,
    entry_id: int | None,
    url: str | None,
    cafile: Path | None,
    form: Form,
) -> None:
    """Send a recorded request again.

    Prints its outcome then and now. Exit status 0: both are alike, 1: they differ. A request whose
    query or CustomData has a masked key cannot be sent. Without an ID, the newest entry that the
    filters let through is sent.
    """
    client = HttpClient() if cafile is None else post_trusting(cafile)

    def post(target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        return HttpClient(client.context, headers)(target, stored.entry.soap_action, body)

    stored = _find(operator, wanted, entry_id)
    replayed = replay(stored, post, url)
    _print_replayed(stored.entry, replayed, form)
    click.get_current_context().exit(0 if replayed.is_alike else DIFFERENT)


def _find(operator: Operator, wanted: Filter, entry_id: int | None) -> "StoredEntry":
    """Return an entry by its id, else the newest that a filter lets through."""
    if entry_id is not None and wanted != Filter():
        raise click.UsageError("Give an ID or filters, not both.")
    journal = operator.journal
    journal.settle()
    if entry_id is None:
        newest = journal.find(wanted, 1).entries
        if not newest:
            raise InternalError("the journal has no such entry: rightsmanager journal list")
        entry_id = newest[0].id
    stored = journal.get(entry_id)
    if stored is None:
        raise InternalError(
            f"the journal has no entry {entry_id}: it was never there, or was removed since"
        )
    return stored


def _words(entry: "Entry") -> dict[str, object]:
    """Return the facts of an entry for people: without those that are false, zero or missing."""
    stages = ", ".join(f"{name} {ms}" for name, ms in entry.stages_ms.items())
    facts = {**entry_facts(entry), "stages_ms": stages}
    return {name: value or None for name, value in facts.items()}


def _facts(stored: "StoredEntry", decoded: Decoded) -> dict[str, object]:
    return {
        **entry_facts(stored.entry),
        "request": None if decoded.request is None else as_json(decoded.request),
        "reply": None if decoded.reply is None else as_json(decoded.reply),
        "failed_checks": [
            {"name": check.name, "text": check.text} for check in decoded.failed_checks
        ],
        "explanation": None
        if decoded.explanation is None
        else explanation_facts(decoded.explanation),
    }


def _print_body(name: str, body: bytes, description: "Description | None") -> None:
    if description is not None:
        click.echo(f"\n{name}:")
        print_tree(as_tree(description))
        click.echo(summary(description))
    elif body:
        begin = mask_custom_data(body[:_MAX_SHOWN].decode("utf-8", "replace"))
        click.echo(f"\n{name}: not recognised, it begins with\n{printable(begin)}")
    else:
        click.echo(f"\n{name}: not stored")


def _print_replayed(entry: "Entry", replayed: Replayed, form: Form) -> None:
    sides = {"then": replayed.before, "now": replayed.after}
    if form == "json":
        answers = {name: _answer_facts(each) for name, each in sides.items()}
        print_json({"id": entry.id, **answers})
        return
    # One below the other: texts of refusals are longer than half a line.
    print_table(
        (f"entry {entry.id}", "outcome", "bytes", "reason"),
        [(name, each.outcome, len(each.body), each.reason) for name, each in sides.items()],
    )


def _answer_facts(answer: Answer) -> dict[str, object]:
    return {"outcome": answer.outcome, "reason": answer.reason, "bytes": len(answer.body)}
