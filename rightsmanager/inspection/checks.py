"""How a check is made: something that refuses or returns becomes an outcome with its text."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rightsmanager.errors import Refusal
from rightsmanager.inspection.description import Check, Outcome

P = ParamSpec("P")
T = TypeVar("T")


def attempt(
    name: str, text: str, make: Callable[P, T], /, *arguments: P.args, **named: P.kwargs
) -> tuple[T | None, Check]:
    """Return what `make` returns, or None where it refuses, and the check that says which.

    text: what holds if it does not refuse.
    """
    try:
        made = make(*arguments, **named)
    except Refusal as refusal:
        return None, Check(name, Outcome.FAILED, refusal.text)
    return made, Check(name, Outcome.OK, text)


def verified(
    name: str, text: str, verify: Callable[P, object], /, *arguments: P.args, **named: P.kwargs
) -> Check:
    """Return whether something holds that is refused otherwise."""
    return attempt(name, text, verify, *arguments, **named)[1]


def unless_refused(make: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T | None:
    """Return what `make` returns, or None where it refuses; another check says so."""
    return attempt("", "", make, *arguments, **named)[0]


def compared(name: str, *, holds: bool, text: str, otherwise: str) -> Check:
    """Return whether something holds, with the text for either case."""
    return Check(name, Outcome.OK, text) if holds else Check(name, Outcome.FAILED, otherwise)


def not_possible(name: str, why: str) -> Check:
    """Return a check that could not be made, and what is missing for it."""
    return Check(name, Outcome.NOT_POSSIBLE, why)
