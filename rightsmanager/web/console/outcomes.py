"""Outcomes of requests, and the links that more than one page of the journal has."""

from dataclasses import replace

from rightsmanager.errors import StatusCode
from rightsmanager.store.journal.entries import OK
from rightsmanager.web.console.blocks import BAD, GOOD, Act, Asked, Cell, state


def outcome_cell(outcome: str, href: str | None = None) -> Cell:
    """Return an outcome as a state: `ok`, or the status code with its name."""
    if outcome == OK:
        return replace(state(OK, GOOD), href=href)
    return replace(state(f"{outcome} {outcome_name(outcome)}".strip(), BAD), href=href)


def outcome_name(outcome: str) -> str:
    """Return the name of a status code in words, empty for an unknown one."""
    known = {each.hex: each.name.replace("_", " ").lower() for each in StatusCode}
    return known.get(outcome, "")


def live_act(asked: Asked, path: str, *, is_live: bool) -> Act:
    """Return the link that stops or starts the reloading of a page."""
    changed = asked.link(path, live="off" if is_live else "", done="")
    return Act("Pause" if is_live else "Reload by itself", changed)
