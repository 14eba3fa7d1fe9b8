"""A growing delay after wrong tokens from one address, against guesses."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from threading import Lock
from typing import Final

FREE_ATTEMPTS: Final = 3
"""Wrong tokens without a delay, for typing errors."""
MAX_DELAY_SECONDS: Final = 60
FORGET_SECONDS: Final = 900
"""Time without a wrong token after which an address has no delay."""
MAX_ADDRESSES: Final = 1024

# One client has a whole network of IPv6 addresses.
_CLIENT_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class _Failures:
    """The wrong tokens of one address."""

    count: int
    at: float

    @property
    def delay(self) -> int:
        if self.count <= FREE_ATTEMPTS:
            return 0
        # The exponent is limited too: the count grows for ever.
        return min(MAX_DELAY_SECONDS, 1 << min(self.count - FREE_ATTEMPTS - 1, 16))


class TokenDelays:
    """The delay of each client address after wrong tokens; it doubles with each.

    Nothing waits: a request that comes before the delay is over is refused unread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The last to fail is at the end.
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = Lock()

    def remaining(self, address: str) -> float:
        """Return the seconds until the next attempt is read, 0 for none."""
        with self._lock:
            found = self._find(_client(address))
            return 0.0 if found is None else max(0.0, found.at + found.delay - self._clock())

    def record(self, address: str) -> int:
        """Count a wrong token and return how many the address has sent."""
        client = _client(address)
        with self._lock:
            found = self._find(client)
            count = 1 if found is None else found.count + 1
            self._failures[client] = _Failures(count, self._clock())
            self._failures.move_to_end(client)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)
            return count

    def forget(self, address: str) -> None:
        """Drop the delay of an address, which sent the token."""
        with self._lock:
            self._failures.pop(_client(address), None)

    def _find(self, client: str) -> _Failures | None:
        found = self._failures.get(client)
        is_old = found is not None and self._clock() - found.at >= FORGET_SECONDS
        return None if is_old else found


def _client(address: str) -> str:
    if ":" not in address:
        return address
    try:
        # An IPv4 address may be written as an IPv6 one, and all of those share one network.
        mapped = IPv6Address(address).ipv4_mapped
        return str(mapped or IPv6Network((address, _CLIENT_BITS), strict=False))
    except ValueError:
        return address
