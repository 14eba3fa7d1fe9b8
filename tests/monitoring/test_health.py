"""Readiness: checks in threads, a timeout, results that are used again for a while."""

from __future__ import annotations

import threading
import time

import pytest

from rightsmanager.monitoring import health
from rightsmanager.monitoring.health import CheckResult, NotReady, Readiness

DEADLINE = 30.0


class Checked:
    """A check that counts its runs and fails when it is to."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None

    def __call__(self) -> str:
        self.runs += 1
        if self.error is not None:
            raise self.error
        return "well"


@pytest.fixture
def changes() -> list[CheckResult]:
    return []


@pytest.fixture
def _never_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)


def shown(results: tuple[CheckResult, ...]) -> list[tuple[str, bool, str]]:
    return [(each.name, each.is_ok, each.text) for each in results]


def test_each_check_has_its_own_result(changes: list[CheckResult]) -> None:
    one, two = Checked(), Checked()
    two.error = NotReady("no room", "on /srv")
    results = Readiness({"one": one, "two": two}, DEADLINE, changes.append).check()
    assert shown(results) == [("one", True, "well"), ("two", False, "no room")]
    assert all(0 <= each.ms < 1000 * DEADLINE for each in results)
    assert [(each.name, each.detail) for each in changes] == [("two", "on /srv")]


def test_a_check_that_breaks_has_failed_without_its_text(changes: list[CheckResult]) -> None:
    check = Checked()
    check.error = ValueError("a secret")
    (result,) = Readiness({"one": check}, DEADLINE, changes.append).check()
    assert (result.is_ok, result.text, result.detail) == (False, "the check failed", "ValueError")


def test_a_result_is_used_again_while_it_is_fresh(
    changes: list[CheckResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", DEADLINE)
    check = Checked()
    readiness = Readiness({"one": check}, DEADLINE, changes.append)
    assert readiness.check() == readiness.check()
    assert check.runs == 1


@pytest.mark.usefixtures("_never_fresh")
def test_only_changes_are_reported(changes: list[CheckResult]) -> None:
    check = Checked()
    readiness = Readiness({"one": check}, DEADLINE, changes.append)
    for error in (None, NotReady("no"), NotReady("still no"), None, None):
        check.error = error
        readiness.check()
    assert [(each.is_ok, each.text) for each in changes] == [(False, "no"), (True, "well")]


@pytest.mark.usefixtures("_never_fresh")
def test_a_check_that_hangs_fails_in_time_and_runs_once(changes: list[CheckResult]) -> None:
    released, entered = threading.Event(), []

    def hang() -> str:
        entered.append(1)
        released.wait(DEADLINE)
        return "well"

    readiness = Readiness({"hung": hang, "one": Checked()}, 0.05, changes.append)
    for _ in range(3):
        hung, one = readiness.check()
        assert not hung.is_ok
        assert hung.text.startswith("no answer within ")
        assert hung.ms >= 50
        assert one.is_ok
    assert len(entered) == 1
    # Only the first caller waits.
    slow = Readiness({"hung": hang}, DEADLINE, changes.append)
    slow._probes[0].start()
    slow._probes[0]._begun -= DEADLINE
    begun = time.monotonic()
    assert not slow._probes[0].wait(DEADLINE).is_ok
    assert time.monotonic() - begun < DEADLINE / 2
    released.set()
    # The thread has to end first.
    for thread in threading.enumerate():
        if thread.name == "check-hung":
            thread.join(DEADLINE)
    assert shown(readiness.check())[0] == ("hung", True, "well")
    assert [(each.name, each.is_ok) for each in changes] == [("hung", False), ("hung", True)]
