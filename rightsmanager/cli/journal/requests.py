"""Lists of requests, for the journals of servers and of worlds."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rightsmanager.cli.printing import Form, print_list

COLUMNS: Final = {
    "id": "id",
    "at": "time",
    "operation": "operation",
    "outcome": "outcome",
    "ms": "ms",
    "device": "device",
    "kids": "KIDs",
    "reason": "reason",
}


def print_requests(form: Form, facts: Sequence[Mapping[str, Any]], *, footer: str = "") -> None:
    """Print entries, by the names that `journal.facts` gives; with faults if any was injected."""
    columns = dict(COLUMNS)
    if any(each["injected"] for each in facts):
        columns["injected"] = "injected"
    if form is None:
        # A dash in place of an operation that the envelope does not name; packagers' requests may
        # have a hundred KIDs.
        facts = [
            {**each, "operation": each["operation"] or None, "kids": first_of(each["kids"])}
            for each in facts
        ]
    print_list(form, facts, columns, footer=footer)


def first_of(kids: Sequence[str]) -> str | None:
    """Return the first KID and the number of others, None without any."""
    if not kids:
        return None
    return f"{kids[0]} +{len(kids) - 1}" if len(kids) > 1 else kids[0]
