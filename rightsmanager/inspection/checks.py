"""Checks: a function that raises or returns becomes an outcome with its text."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rightsmanager.errors import Refusal
from rightsmanager.inspection.description import Check, Outcome

P = ParamSpec("P")
T = TypeVar("T")


def attempt(
    name: str, text: str, make: Callable[P, T], /, *arguments: P.args, **named: P.kwargs
) -> tuple[T | None, Check]:
    """Return the result of `make`, or None if it raises, and the check with the outcome.

    Text: the check's text if it does not raise.
    """
    try:
        made = make(*arguments, **named)
    except Refusal as refusal:
        return None, Check(name, Outcome.FAILED, refusal.text)
    return made, Check(name, Outcome.OK, text)


def verified(
    name: str, text: str, verify: Callable[P, object], /, *arguments: P.args, **named: P.kwargs
) -> Check:
    """Return the check of a function that raises if it fails."""
    return attempt(name, text, verify, *arguments, **named)[1]


def unless_refused(make: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T | None:
    """Return the result of `make`, or None if it raises; another check reports that."""
    return attempt("", "", make, *arguments, **named)[0]


def compared(name: str, *, holds: bool, text: str, otherwise: str) -> Check:
    """Return the check of a condition, with a text for either outcome."""
    return Check(name, Outcome.OK, text) if holds else Check(name, Outcome.FAILED, otherwise)


def not_possible(name: str, why: str) -> Check:
    """Return a check that is not possible, with the missing input."""
    return Check(name, Outcome.NOT_POSSIBLE, why)
