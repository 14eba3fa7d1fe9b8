"""A circuit breaker: a back end that fails is left alone for a while.

closed       each call is made; after `max_failures` in a row it opens
open         no call is made for `retry_seconds`
half open    one call is made: a success closes, a failure opens again
"""

import threading
from collections.abc import Callable
from enum import StrEnum

from rightsmanager.errors import InternalError


class CallOutcome(StrEnum):
    """The outcomes of a call, as the metrics name them."""

    ANSWERED = "answered"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not made, since the breaker was open."""


CountCall = Callable[[CallOutcome], None]
"""Counts a call."""


def count_nothing(_outcome: CallOutcome) -> None:
    """Count no call."""


class CircuitBreaker:
    """Counts the failures of a back end; thread-safe."""

    def __init__(
        self,
        max_failures: int,
        retry_seconds: float,
        clock: Callable[[], float],
        count: CountCall = count_nothing,
    ) -> None:
        self._max_failures = max_failures
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._count = count
        self._lock = threading.Lock()
        self._failures = 0
        self._last = ""
        self._retry_at = 0.0

    def refuse_open(self) -> None:
        """Raise InternalError while it is open; a call that may pass is to be recorded."""
        with self._lock:
            if self._failures < self._max_failures:
                return
            now = self._clock()
            if now < self._retry_at:
                self._count(CallOutcome.SKIPPED)
                raise InternalError(
                    f"the hooks' back end is not asked for {self._retry_at - now:.1f} s, since "
                    f"{self._failures} calls failed, the last because it {self._last}"
                )
            # This call is the trial; others wait for its outcome.
            self._retry_at = now + self._retry_seconds

    def record_success(self) -> None:
        """Close."""
        self._count(CallOutcome.ANSWERED)
        with self._lock:
            self._failures = 0

    def record_failure(self, reason: str) -> None:
        """Count a failure; `reason` such as "did not answer within 3 s"."""
        self._count(CallOutcome.FAILED)
        with self._lock:
            self._failures += 1
            self._last = reason
            self._retry_at = self._clock() + self._retry_seconds
