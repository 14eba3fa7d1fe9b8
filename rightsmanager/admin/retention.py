"""What is removed when it has become old, a batch at a time, so that nobody waits long.

Nothing here touches totals, nor what keeps a repeat from counting twice: a report whose content is
gone is still known by its transaction. A session that is gone and is reported once more is recorded
anew; it ends no stream that was opened since.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Purge:
    """One kind of record that is removed when it is old."""

    name: str
    """As it is told to the operator, in the plural."""
    remove: Callable[[Transaction, int], int]
    """Removes a batch from before a time in Unix seconds, and returns how many rows; 0 if none."""


PURGES: Final = (
    Purge(
        "rows of metering reports",
        lambda done, before: done.metering.remove_usage(before),
    ),
    Purge("days of devices", lambda done, before: done.metering.remove_devices(before)),
    Purge("playback sessions", lambda done, before: done.sessions.remove_old(before)),
    Purge("streams", lambda done, before: done.streams.remove_old(before)),
)
"""Everything that is removed, in this order."""


def purge(store: Store, before: int) -> Iterator[tuple[str, int]]:
    """Remove what is older than a time in Unix seconds; give each kind's name and count."""
    for each in PURGES:
        yield each.name, sum(_batches(store, each, before))


def _batches(store: Store, each: Purge, before: int) -> Iterator[int]:
    while True:
        with store.transaction() as transaction:
            removed = each.remove(transaction, before)
        if not removed:
            return
        yield removed
