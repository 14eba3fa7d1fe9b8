"""Waits for entries of a journal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rightsmanager.admin.refusals import Conflict, TimedOut
from rightsmanager.journal.journal import Journal
from rightsmanager.lab import watching
from rightsmanager.lab.watching import MAX_WAITS, Bounds, Wanted, wait
from rightsmanager.store.journal.database import JournalDatabase


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal."""
    return Journal(JournalDatabase.in_file(tmp_path / "journal.db"), tmp_path / "counts")


def test_a_wait_in_vain_says_what_came_instead(journal: Journal) -> None:
    @contextmanager
    def using() -> Iterator[Journal]:
        yield journal

    with pytest.raises(TimedOut, match=r"0 entries matched within 0 s, expected 2; .* has none"):
        wait(using, Wanted(), 2, 0)
    with pytest.raises(Conflict, match="0 entries match, expected at least 1"):
        watching.count(using, Wanted(), Bounds(at_least=1))
    assert watching.count(using, Wanted(), Bounds(at_most=1)) == 0


def test_waits_leave_threads_for_requests(journal: Journal) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    @contextmanager
    def using() -> Iterator[Journal]:
        entered.release()
        release.wait(30)
        yield journal

    def hold() -> None:
        with pytest.raises(TimedOut):
            wait(using, Wanted(), 1, 0)

    threads = [threading.Thread(target=hold) for _ in range(MAX_WAITS)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=30)
    with pytest.raises(Conflict, match="12 others wait in this worker, expected fewer"):
        wait(using, Wanted(), 1, 0)
    release.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("bounds", "fitting", "text"),
    [
        (Bounds(2, 2), [2], "2"),
        (Bounds(2), [2, 3], "at least 2"),
        (Bounds(None, 2), [0, 1, 2], "at most 2"),
        (Bounds(1, 2), [1, 2], "at least 1 and at most 2"),
    ],
)
def test_bounds_are_inclusive(bounds: Bounds, fitting: list[int], text: str) -> None:
    assert [count for count in range(4) if bounds.has(count)] == fitting
    assert bounds.text == text
