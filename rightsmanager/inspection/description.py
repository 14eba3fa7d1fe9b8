"""What a thing says, as a tree of facts, and the outcome of every check that was made on it.

    description   name, value, meaning of the value, checks, children
    check         name, outcome (ok, failed, not possible, warning), text

The JSON form has the same names; what is empty is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Value = str | int | bool | tuple[int, ...] | None


class Outcome(StrEnum):
    """What became of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_POSSIBLE = "not possible"
    WARNING = "warning"
    """Nothing is wrong, and yet it is not what was meant."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked of the thing."""

    name: str
    outcome: Outcome
    text: str
    """What holds, what does not, or what is missing to tell."""


@dataclass(frozen=True, slots=True)
class Description:
    """A fact, with the facts it is made of."""

    name: str
    value: Value = None
    """As the format has it: a date is a number here."""
    meaning: str | None = None
    """The value in another spelling or in words."""
    children: tuple["Description", ...] = ()
    checks: tuple[Check, ...] = ()

    def all_checks(self) -> Iterator[Check]:
        """Give every check of the tree, the fact's own first."""
        yield from self.checks
        for child in self.children:
            yield from child.all_checks()

    @property
    def failed(self) -> bool:
        """Whether any check of the tree failed."""
        return any(check.outcome is Outcome.FAILED for check in self.all_checks())


def as_json(description: Description) -> dict[str, Any]:
    """Return the tree as JSON has it."""
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
