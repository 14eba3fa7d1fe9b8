"""The clock of a world."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from rightsmanager.testing.control import Control, Facts


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of a world's clock."""

    now: datetime
    frozen: bool
    offset_seconds: float
    drift: float
    """Seconds for each second."""

    @classmethod
    def of(cls, facts: Facts) -> Self:
        """Return the state that JSON describes."""
        now = datetime.fromisoformat(str(facts["now"]))
        return cls(now, facts["frozen"], facts["offset_seconds"], facts["drift"])


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of a world; its server and its devices go by it."""

    control: Control = field(repr=False)
    path: str

    def read(self) -> Moment:
        """Return its state."""
        return Moment.of(self.control.get(self.path))

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return self.read().now

    def advance(self, seconds: float | str) -> Moment:
        """Move it forward by seconds, or by an ISO 8601 duration such as `P30D`."""
        return self._put(advance=seconds)

    def freeze(self, at: datetime | str | None = None) -> Moment:
        """Stop it, at a time if one is given."""
        return self._put(freeze=True) if at is None else self._put(now=_time(at), freeze=True)

    def unfreeze(self) -> Moment:
        """Let it run again."""
        return self._put(freeze=False)

    def set(self, at: datetime | str) -> Moment:
        """Set it to a time; it runs on unless it is frozen."""
        return self._put(now=_time(at))

    def offset(self, seconds: float) -> Moment:
        """Let it differ from the machine's clock by seconds."""
        return self._put(offset=seconds)

    def drift(self, rate: float) -> Moment:
        """Let it run at a rate, in seconds for each second."""
        return self._put(drift=rate)

    def _put(self, **change: object) -> Moment:
        return Moment.of(self.control.put(self.path, change))


def _time(at: datetime | str) -> str:
    if isinstance(at, str):
        return at
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
