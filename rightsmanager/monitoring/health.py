"""Readiness: checks that run in threads of their own, so that none can make a caller wait."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

FRESH_SECONDS: Final = 1.0
"""Time for which a result is used again: anybody may ask, and each check costs something."""


class NotReady(Exception):  # noqa: N818 -- a result, not a mistake
    """A check that failed.

    text     for everybody that may ask
    detail   for the log, such as the address of a database
    """

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.detail = detail


Check = Callable[[], str]
"""Returns a text on what is well; raises NotReady."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check."""

    name: str
    is_ok: bool
    text: str
    ms: float
    """The time that the check took, in milliseconds."""
    detail: str = ""


OnChange = Callable[[CheckResult], None]
"""Called with a result that differs from the one before in whether it is well."""


class Readiness:
    """The checks of a process; thread-safe."""

    def __init__(
        self, checks: Mapping[str, Check], timeout_seconds: float, on_change: OnChange
    ) -> None:
        """Take the checks by name, and the time after which one that goes on has failed."""
        self._probes = [_Probe(name, check) for name, check in checks.items()]
        self._timeout_seconds = timeout_seconds
        self._on_change = on_change
        self._failed: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def check(self) -> tuple[CheckResult, ...]:
        """Return the result of each check, within the timeout."""
        for probe in self._probes:
            probe.start()
        results = tuple([probe.wait(self._timeout_seconds) for probe in self._probes])
        self._report(results)
        return results

    def _report(self, results: Iterable[CheckResult]) -> None:
        with self._lock:
            before = self._failed
            self._failed = frozenset(each.name for each in results if not each.is_ok)
        for result in results:
            if result.is_ok == (result.name in before):
                self._on_change(result)


class _Probe:
    """Runs a check in a thread, one at a time."""

    def __init__(self, name: str, check: Check) -> None:
        self._name = name
        self._check = check
        self._lock = threading.Lock()
        self._is_running = False
        self._done = threading.Event()
        self._result = CheckResult(name, is_ok=False, text="not checked", ms=0.0)
        self._fresh_until = 0.0
        self._begun = 0.0

    def start(self) -> None:
        """Start the check, unless it is running or its result is fresh."""
        with self._lock:
            now = time.monotonic()
            if self._is_running or now < self._fresh_until:
                return
            self._is_running, self._begun = True, now
            self._done.clear()
        # A daemon: a check that hangs does not keep the process from ending.
        threading.Thread(target=self._run, name=f"check-{self._name}", daemon=True).start()

    def wait(self, timeout_seconds: float) -> CheckResult:
        """Return the result, or that there is none within this time of the check's begin."""
        # Not of the call: requests would wait, and occupy threads, as long as a check hangs.
        if self._done.wait(max(0.0, self._begun + timeout_seconds - time.monotonic())):
            return self._result
        seconds = time.monotonic() - self._begun
        text = f"no answer within {seconds:.1f} seconds"
        return CheckResult(self._name, is_ok=False, text=text, ms=round(1000 * seconds, 3))

    def _run(self) -> None:
        begun = time.perf_counter()
        try:
            is_ok, text, detail = True, self._check(), ""
        except NotReady as error:
            is_ok, text, detail = False, error.text, error.detail
        except Exception as error:  # noqa: BLE001 -- a check that breaks is a failed check
            is_ok, text, detail = False, "the check failed", type(error).__name__
        ms = round(1000 * (time.perf_counter() - begun), 3)
        with self._lock:
            self._result = CheckResult(self._name, is_ok, text, ms, detail)
            self._fresh_until = time.monotonic() + FRESH_SECONDS
            self._is_running = False
            self._done.set()
