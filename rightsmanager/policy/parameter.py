"""A row of the table of parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rightsmanager.policy.brackets import build_value
from rightsmanager.policy.parsed_values import quote
from rightsmanager.policy.value_types import ValueType


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row: the names of a parameter, its type of value, and the field it sets."""

    name: str
    value_type: ValueType
    meaning: str
    sets: str
    """`policy.`, `levels.`, `grant.` or `reply.`, and the name of a field there."""
    default: str = "not set"
    aliases: tuple[str, ...] = ()
    legacy: str | None = None
    adds: Callable[[Any], tuple[Any, ...]] | None = None
    """Turns a value into items of a field that holds several; None for a field of one value."""
    repeats: bool = False
    """True if the parameter may be given more than once."""
    needs_play: bool = False
    """True if the parameter has no effect without the Play right."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name outside the legacy spelling."""
        return self.name, *self.aliases

    def spell(self, value: Any) -> str:  # noqa: ANN401 -- of the row's type
        """Return a value as refusals quote it."""
        if self.value_type.secret:
            return "a secret"
        return quote(build_value(self.value_type.write(value)))
