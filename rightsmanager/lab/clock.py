"""The clock of a world: the system's, set to another time, stopped, shifted or faster.

    reading = at + (real - real_at) * drift + offset      while it runs
    reading = at + offset                                 while it is frozen

Times are in seconds since 1970. PlayReady has them in 32 bits, so a clock reads from 1970 to 2106.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from rightsmanager.errors import InvalidMessage

MAX_TIME: Final = 0xFFFFFFFF
"""2106-02-07T06:28:15Z."""
MAX_DRIFT: Final = 86_400
"""The most seconds of a world in a second: a day."""
SEEDED_TIME: Final = 1_893_456_000
"""2030-01-01T00:00:00Z, at which a world with a seed is frozen unless its options say otherwise."""

RealTime = Callable[[], float]
"""Returns the system's time in Unix seconds."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """The parts of a clock to change; None for those that stay."""

    now: int | None = None
    """The time that it reads, in Unix seconds."""
    advance: float | None = None
    """Seconds to add to the time that it reads."""
    freeze: bool | None = None
    offset: int | None = None
    """Seconds that are added to every reading."""
    drift: float | None = None
    """Seconds of the world in a second."""


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """A state of a clock, from which its reading follows at any real time."""

    at: float = 0.0
    """The reading without the offset at `real_at`."""
    real_at: float = 0.0
    is_frozen: bool = False
    offset: int = 0
    drift: float = 1.0

    def read(self, real: float) -> float:
        """Return the reading at a real time; at the ends of the range it stands still."""
        at = self.at if self.is_frozen else self.at + (real - self.real_at) * self.drift
        return min(max(at + self.offset, 0.0), float(MAX_TIME))

    def change(self, change: ClockChange, real: float) -> "ClockSetting":
        """Return the setting after a change; raises InvalidMessage.

        Of several parts, `offset` comes first, then `now`, then `advance`.
        """
        offset = self.offset if change.offset is None else change.offset
        at = self.read(real) - self.offset
        if change.now is not None:
            at = float(change.now - offset)
        at += change.advance or 0
        _refuse_outside(at + offset)
        drift = self.drift if change.drift is None else change.drift
        if not 0 < drift <= MAX_DRIFT:
            raise InvalidMessage(f"drift is {drift:g}, expected more than 0, at most {MAX_DRIFT}")
        is_frozen = self.is_frozen if change.freeze is None else change.freeze
        return replace(self, at=at, real_at=real, is_frozen=is_frozen, offset=offset, drift=drift)

    def facts(self) -> dict[str, float | int | bool]:
        """Return the setting as JSON has it."""
        return {
            "at": self.at,
            "real_at": self.real_at,
            "is_frozen": self.is_frozen,
            "offset": self.offset,
            "drift": self.drift,
        }


SYSTEM_CLOCK: Final = ClockSetting()
"""Reads the system's time."""
SEEDED_CLOCK: Final = ClockSetting(at=float(SEEDED_TIME), is_frozen=True)


def clock_from(facts: Mapping[str, float | int | bool]) -> ClockSetting:
    """Return the setting of `ClockSetting.facts`."""
    return ClockSetting(
        at=float(facts["at"]),
        real_at=float(facts["real_at"]),
        is_frozen=bool(facts["is_frozen"]),
        offset=int(facts["offset"]),
        drift=float(facts["drift"]),
    )


class WorldClock:
    """Returns the time of a world; its setting may be replaced while requests read it."""

    __slots__ = ("_real", "setting")

    def __init__(self, setting: ClockSetting, real: RealTime = time.time) -> None:
        self.setting = setting
        self._real = real

    def __call__(self) -> int:
        """Return the time in Unix seconds."""
        return int(self.setting.read(self._real()))

    def seconds(self) -> float:
        """Return the time in Unix seconds with its fraction."""
        return self.setting.read(self._real())


def _refuse_outside(reading: float) -> None:
    if 0 <= reading <= MAX_TIME:
        return
    try:
        text = datetime.fromtimestamp(reading, UTC).isoformat()
    except (ValueError, OverflowError):
        text = f"{reading:g} seconds since 1970"
    raise InvalidMessage(
        f"the clock would read {text}, expected 1970-01-01T00:00:00+00:00 to "
        "2106-02-07T06:28:15+00:00"
    )
