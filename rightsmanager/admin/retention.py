"""Removes old records, a batch in each transaction, so that no other writer waits long.

Totals stay, and so do the records that keep a repeat from counting twice: a report without its
contents is still known by its transaction id. Exceptions: a removed session that is reported again
is recorded again, and ends no stream that was opened since; a removed licence that is requested
again by the same challenge gets another license id.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Purge:
    """One kind of old record."""

    name: str
    """The operator's name for it, in the plural."""
    batches: Callable[[Store, int], Iterator[int]]
    """Removes what is older than a time in Unix seconds; yields the rows of each batch."""


def purge(store: Store, before: int) -> Iterator[tuple[str, int]]:
    """Remove what is older than a time in Unix seconds; yield each kind's name and count."""
    for each in PURGES:
        yield each.name, sum(each.batches(store, before))


def _until_empty(
    remove: Callable[[Transaction, int], int], store: Store, before: int
) -> Iterator[int]:
    """Remove batches until one is empty; yield their counts."""
    while True:
        with store.transaction() as transaction:
            removed = remove(transaction, before)
        if not removed:
            return
        yield removed


def _until_end(
    remove: Callable[[Transaction, int, bytes], tuple[int, bytes | None]],
    store: Store,
    before: int,
) -> Iterator[int]:
    """Remove batches until the end of the table; yield their counts."""
    after: bytes | None = b""
    while after is not None:
        with store.transaction() as transaction:
            removed, after = remove(transaction, before, after)
        yield removed


PURGES: Final = (
    Purge(
        "rows of metering reports",
        partial(_until_empty, lambda done, before: done.metering.remove_usage(before)),
    ),
    Purge(
        "days of devices",
        partial(_until_empty, lambda done, before: done.metering.remove_devices(before)),
    ),
    Purge(
        "playback sessions",
        partial(_until_empty, lambda done, before: done.sessions.remove_old(before)),
    ),
    Purge("streams", partial(_until_empty, lambda done, before: done.streams.remove_old(before))),
    Purge("nonces", partial(_until_empty, lambda done, before: done.nonces.remove_old(before))),
    Purge(
        "licences",
        partial(_until_end, lambda done, before, after: done.licenses.remove_old(before, after)),
    ),
    # After the licences: a transaction is removed with the last of its own.
    Purge(
        "transactions",
        partial(_until_end, lambda done, _, after: done.acknowledgements.remove_orphans(after)),
    ),
)
"""Everything that is removed, in this order."""
