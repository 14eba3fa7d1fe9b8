"""Waits for entries of a world's journal, and compares their number with an expected one."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Final

from rightsmanager.admin.refusals import Conflict, TimedOut
from rightsmanager.journal.journal import Journal
from rightsmanager.store.journal.entries import Entry, Filter

FIRST_POLL_SECONDS: Final = 0.005
MAX_POLL_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 2.0
"""The longest wait for entries of a world that workers have yet to write."""
PAGE: Final = 200
MAX_SEEN: Final = 8
"""The most kinds of entries in the text of a wait that ended in vain."""

MAX_WAITS: Final = 12
"""The most waits at once in a process: each has a thread, and requests need some too."""
_SLOTS: Final = BoundedSemaphore(MAX_WAITS)

Using = Callable[[], AbstractContextManager[Journal]]
"""Opens the journal, which a reset replaces by another one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entries that are asked for."""

    filter: Filter = field(default_factory=Filter)
    after: int = 0
    """The id of the entry that they come after."""

    def find(self, journal: Journal) -> tuple[Entry, ...]:
        """Return the entries, oldest first; raises InvalidMessage for an invalid filter."""
        found: list[Entry] = []
        before: int | None = None
        while True:
            page = journal.find(self.filter, PAGE, before)
            found += (each for each in page.entries if each.id > self.after)
            before = page.next
            if before is None or before <= self.after:
                return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The number of entries that is expected; None for no bound."""

    at_least: int | None = None
    at_most: int | None = None

    def has(self, count: int) -> bool:
        """Return whether a number is within the bounds."""
        is_enough = self.at_least is None or count >= self.at_least
        return is_enough and (self.at_most is None or count <= self.at_most)

    @property
    def text(self) -> str:
        """The bounds in words."""
        if self.at_least == self.at_most:
            return f"{self.at_least}"
        parts = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{name} {bound}" for name, bound in parts if bound is not None)


def wait(using: Using, wanted: Wanted, count: int, seconds: float) -> tuple[Entry, ...]:
    """Return the entries as soon as there are this many.

    Raises TimedOut after some seconds, and Conflict if too many others wait.
    """
    if not _SLOTS.acquire(blocking=False):
        raise Conflict(f"{MAX_WAITS} others wait in this worker, expected fewer: try again")
    try:
        return _wait(using, wanted, count, seconds)
    finally:
        _SLOTS.release()


def _wait(using: Using, wanted: Wanted, count: int, seconds: float) -> tuple[Entry, ...]:
    until = time.monotonic() + seconds
    pause = FIRST_POLL_SECONDS
    while True:
        with using() as journal:
            found = wanted.find(journal)
            if len(found) >= count:
                return found
            if time.monotonic() >= until:
                seen = describe(Wanted(after=wanted.after).find(journal))
                entries = "entry" if len(found) == 1 else "entries"
                raise TimedOut(
                    f"{len(found)} {entries} matched within {seconds:g} s, expected {count}; {seen}"
                )
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
        pause = min(1.5 * pause, MAX_POLL_SECONDS)


def count(using: Using, wanted: Wanted, bounds: Bounds) -> int:
    """Return the number of entries; raises Conflict unless it is within the bounds."""
    with using() as journal:
        journal.settle(SETTLE_SECONDS)
        found = wanted.find(journal)
        if not bounds.has(len(found)):
            seen = describe(Wanted(after=wanted.after).find(journal))
            matching = "1 entry matches" if len(found) == 1 else f"{len(found)} entries match"
            raise Conflict(f"{matching}, expected {bounds.text}; {seen}")
        return len(found)


def describe(entries: tuple[Entry, ...]) -> str:
    """Return a text of how many entries of which operations and outcomes there are."""
    kinds = Counter(f"{each.operation or 'no operation'} {each.outcome}" for each in entries)
    shown = [f"{number} {name}" for name, number in kinds.most_common(MAX_SEEN)]
    more = ", …" if len(kinds) > MAX_SEEN else ""
    return f"the journal has {', '.join(shown) + more if shown else 'none'}"
