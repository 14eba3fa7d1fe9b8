"""A row of the table of parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rightsmanager.policy.brackets import build_value
from rightsmanager.policy.kinds import ValueType
from rightsmanager.policy.raw import quote


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row: how a parameter is named, what values it has, and what it sets."""

    name: str
    kind: ValueType
    meaning: str
    sets: str
    """`policy.`, `levels.`, `grant.` or `reply.`, and the name of a field there."""
    default: str = "not set"
    aliases: tuple[str, ...] = ()
    legacy: str | None = None
    adds: Callable[[Any], tuple[Any, ...]] | None = None
    """What a value adds to a field that holds several; None where it is the field."""
    repeats: bool = False
    """Whether it may be given more than once."""
    needs_play: bool = False
    """Whether it says nothing where the Play right is not granted."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name outside the legacy spelling."""
        return self.name, *self.aliases

    def spell(self, value: Any) -> str:  # noqa: ANN401 -- of its kind
        """Return a value as refusals quote it."""
        return "a secret" if self.kind.secret else quote(build_value(self.kind.write(value)))
