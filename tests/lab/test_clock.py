"""Clocks of worlds at given real times."""

import json

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.lab.clock import (
    MAX_TIME,
    SEEDED_CLOCK,
    SYSTEM_CLOCK,
    ClockChange,
    ClockSetting,
    WorldClock,
    clock_from,
)

REAL = 1_790_000_000.5


def test_a_world_has_the_time_of_the_system_at_first() -> None:
    assert WorldClock(SYSTEM_CLOCK, lambda: REAL)() == 1_790_000_000
    assert WorldClock(SYSTEM_CLOCK, lambda: REAL).seconds() == REAL


def test_a_clock_that_is_set_goes_on() -> None:
    clock = SYSTEM_CLOCK.change(ClockChange(now=1000), REAL)
    assert clock.read(REAL) == 1000
    assert clock.read(REAL + 60) == 1060


def test_a_frozen_clock_stands_still_until_it_runs_again() -> None:
    clock = SYSTEM_CLOCK.change(ClockChange(now=1000, freeze=True), REAL)
    assert clock.read(REAL + 60) == 1000
    clock = clock.change(ClockChange(advance=5), REAL + 60)
    assert clock.read(REAL + 90) == 1005
    clock = clock.change(ClockChange(freeze=False), REAL + 100)
    assert clock.read(REAL + 101) == 1006


def test_an_offset_is_added_to_each_reading() -> None:
    clock = SYSTEM_CLOCK.change(ClockChange(offset=-60), REAL)
    assert clock.read(REAL + 1) == REAL - 59
    # Another offset replaces it.
    assert clock.change(ClockChange(offset=10), REAL).read(REAL) == REAL + 10
    assert clock.change(ClockChange(now=500), REAL).read(REAL) == 500


def test_a_fast_clock_begins_at_the_present_reading() -> None:
    clock = SYSTEM_CLOCK.change(ClockChange(drift=1.5), REAL)
    assert clock.read(REAL) == REAL
    assert clock.read(REAL + 10) == REAL + 15
    slow = clock.change(ClockChange(drift=0.5), REAL + 10)
    assert slow.read(REAL + 20) == REAL + 20


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (ClockChange(now=-1), "the clock would read 1969-12-31T23:59:59"),
        (ClockChange(now=MAX_TIME + 1), "the clock would read 2106-02-07T06:28:16"),
        (ClockChange(advance=-1e12), "the clock would read -9.9"),
        (ClockChange(advance=float("nan")), "the clock would read nan"),
        (ClockChange(advance=1e300), "the clock would read 1e"),
        (ClockChange(drift=0), "drift is 0, expected more than 0"),
        (ClockChange(drift=86_401), "at most 86400"),
    ],
)
def test_an_impossible_time_is_refused(change: ClockChange, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        SYSTEM_CLOCK.change(change, REAL)


def test_a_running_clock_ends_with_the_32_bits() -> None:
    clock = SYSTEM_CLOCK.change(ClockChange(now=MAX_TIME), REAL)
    assert clock.read(REAL + 100) == MAX_TIME
    assert ClockSetting(at=0, real_at=REAL).read(REAL - 100) == 0


@pytest.mark.parametrize("clock", [SYSTEM_CLOCK, SEEDED_CLOCK, ClockSetting(1.5, 2.5, offset=-3)])
def test_a_setting_is_the_same_from_json(clock: ClockSetting) -> None:
    assert clock_from(json.loads(json.dumps(clock.facts()))) == clock
