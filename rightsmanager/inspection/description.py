"""A description: a tree of facts, with the outcome of every check.

    description   name, value, meaning of the value, checks, children
    check         name, outcome (ok, failed, not possible, warning), text

The JSON form has the same names; empty values are omitted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

REST: Final = "…"
"""The name of a fact that stands for others, which are left out."""

Value = str | int | bool | tuple[int, ...] | None


class Outcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_POSSIBLE = "not possible"
    WARNING = "warning"
    """Valid, but probably not intended."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check and its outcome."""

    name: str
    outcome: Outcome
    text: str
    """The confirmed fact, the error, or the missing input."""


@dataclass(frozen=True, slots=True)
class Description:
    """A fact, with its parts."""

    name: str
    value: Value = None
    """The value as in the format: a date is a number here."""
    meaning: str | None = None
    """The value in another spelling or in words."""
    children: tuple["Description", ...] = ()
    checks: tuple[Check, ...] = ()

    def all_checks(self) -> Iterator[Check]:
        """Yield every check of the tree, the fact's own first."""
        yield from self.checks
        for child in self.children:
            yield from child.all_checks()

    @property
    def failed(self) -> bool:
        """True if a check of the tree failed."""
        return any(check.outcome is Outcome.FAILED for check in self.all_checks())


def as_json(description: Description) -> dict[str, Any]:
    """Return the tree for JSON."""
    facts: dict[str, Any] = {
        "name": description.name,
        "value": list(description.value)
        if isinstance(description.value, tuple)
        else description.value,
        "meaning": description.meaning,
        "checks": [
            {"name": check.name, "outcome": check.outcome.value, "text": check.text}
            for check in description.checks
        ],
        "children": [as_json(child) for child in description.children],
    }
    return {name: fact for name, fact in facts.items() if fact is not None and fact != []}
