"""Wrong tokens are answered with a growing delay."""

import pytest

from rightsmanager.web.token_delays import (
    FORGET_SECONDS,
    FREE_ATTEMPTS,
    MAX_ADDRESSES,
    MAX_DELAY_SECONDS,
    TokenDelays,
)

HERE = "192.0.2.7"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(clock: Clock) -> TokenDelays:
    return TokenDelays(clock)


def fail(delays: TokenDelays, times: int, address: str = HERE) -> float:
    for _ in range(times):
        delays.record(address)
    return delays.remaining(address)


def test_the_delay_doubles_up_to_a_limit(delays: TokenDelays) -> None:
    assert fail(delays, FREE_ATTEMPTS) == 0
    assert [fail(delays, 1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert fail(delays, 5000) == MAX_DELAY_SECONDS


def test_the_delay_ends_with_time_and_with_the_token(delays: TokenDelays, clock: Clock) -> None:
    assert fail(delays, FREE_ATTEMPTS + 3) == 4
    clock.now += 3.5
    assert delays.remaining(HERE) == 0.5
    clock.now += 0.5
    assert delays.remaining(HERE) == 0
    assert fail(delays, 1) == 8
    clock.now += FORGET_SECONDS
    assert fail(delays, FREE_ATTEMPTS) == 0
    assert fail(delays, 1) == 1
    delays.forget(HERE)
    assert delays.remaining(HERE) == 0
    assert delays.record(HERE) == 1


def test_addresses_are_apart_and_few(delays: TokenDelays) -> None:
    fail(delays, FREE_ATTEMPTS + 1)
    assert delays.remaining("192.0.2.8") == 0
    for number in range(MAX_ADDRESSES - 1):
        fail(delays, 1, f"198.51.{number >> 8}.{number & 255}")
    assert delays.remaining(HERE) == 1
    fail(delays, 1, "203.0.113.1")
    assert delays.remaining(HERE) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("no:address", "no:other", False),
        ("", "", True),
    ],
)
def test_a_network_of_ipv6_is_one_client(
    delays: TokenDelays, one: str, other: str, *, same: bool
) -> None:
    fail(delays, FREE_ATTEMPTS + 1, one)
    assert (delays.remaining(other) > 0) is same
