"""A device's metering store: what was played, kept until a server has answered for it.

counted     added up by metering id, KID and action
frozen      moved into the one transaction of its metering id: id and content are on the disk before
            the server hears of them and stay as they are until it has answered; what is counted
            meanwhile is for the next one
cleared     gone with its transaction, when the server has answered for that
"""

import sqlite3
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rightsmanager.crypto.random import Rng
from rightsmanager.device.journal import Journal
from rightsmanager.protocol.messages.metering import MAX_RECORDS, MAX_VALUE, MeteringReport, Usage
from rightsmanager.protocol.wire import GUID_LENGTH, Kid, Mid, TransactionId

PLAY: Final = "Play"
"""The action of playing."""


def count(connection: sqlite3.Connection, mid: Mid, usage: Usage) -> None:
    """Add to what is counted, as a part of a transaction of the journal."""
    connection.execute(
        "INSERT INTO usage VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (mid.raw, usage.kid.raw, usage.action, usage.value),
    )


@dataclass(frozen=True, slots=True)
class MeteringStore:
    """What a journal has counted."""

    journal: Journal
    max_records: int = MAX_RECORDS
    """How many KIDs one report may have."""

    def mids(self) -> tuple[Mid, ...]:
        """Return the metering ids that there is something to report for."""
        with self.journal.transaction() as connection:
            rows = connection.execute(
                "SELECT mid FROM usage UNION SELECT mid FROM transactions ORDER BY mid"
            ).fetchall()
        return tuple(Mid(mid) for (mid,) in rows)

    def total(self) -> int:
        """Return how much is counted and not answered yet, of all metering ids and actions."""
        with self.journal.transaction() as connection:
            (total,) = connection.execute(
                "SELECT coalesce(sum(value), 0) FROM "
                "(SELECT value FROM usage UNION ALL SELECT value FROM transaction_usage)"
            ).fetchone()
        return int(total)

    def freeze(self, mid: Mid, rng: Rng) -> MeteringReport | None:
        """Return the report that is to be sent now, or None; it is on the disk.

        It is the one that was not answered yet, if there is one, else a new one of what was
        counted, of at most `max_records` KIDs.
        """
        with self.journal.transaction() as connection:
            pending = _pending(connection, mid)
            if pending is not None:
                return pending
            usage = _counted(connection, mid, self.max_records)
            if not usage:
                return None
            return _freeze(connection, mid, TransactionId(rng(GUID_LENGTH)), usage)

    def find_pending(self, mid: Mid) -> MeteringReport | None:
        """Return the report of a metering id that was not answered yet, None without one."""
        with self.journal.transaction() as connection:
            return _pending(connection, mid)

    def clear(self, report: MeteringReport) -> None:
        """Keep a report no longer: the server has answered for it."""
        transaction_id = (report.transaction_id.raw,)
        with self.journal.transaction() as connection:
            connection.execute("DELETE FROM transactions WHERE transaction_id = ?", transaction_id)
            connection.execute(
                "DELETE FROM transaction_usage WHERE transaction_id = ?", transaction_id
            )


def _pending(connection: sqlite3.Connection, mid: Mid) -> MeteringReport | None:
    row = connection.execute(
        "SELECT transaction_id, partial FROM transactions WHERE mid = ?", (mid.raw,)
    ).fetchone()
    if row is None:
        return None
    usage = connection.execute(
        "SELECT kid, action, value FROM transaction_usage WHERE transaction_id = ? "
        "ORDER BY kid, action",
        (row[0],),
    )
    return MeteringReport(mid, TransactionId(row[0]), tuple(map(_usage, usage)), bool(row[1]))


def _counted(connection: sqlite3.Connection, mid: Mid, max_records: int) -> tuple[Usage, ...]:
    kids = connection.execute(
        "SELECT DISTINCT kid FROM usage WHERE mid = ? ORDER BY kid", (mid.raw,)
    )
    last = [kid for (kid,) in islice(kids, max_records)][-1:]
    rows = connection.execute(
        "SELECT kid, action, min(value, ?) FROM usage WHERE mid = ? AND kid <= ? "
        "ORDER BY kid, action",
        (MAX_VALUE, mid.raw, *(last or [b""])),
    )
    return tuple(map(_usage, rows))


def _usage(row: tuple[bytes, str, int]) -> Usage:
    return Usage(Kid(row[0]), row[1], row[2])


def _freeze(
    connection: sqlite3.Connection,
    mid: Mid,
    transaction_id: TransactionId,
    usage: tuple[Usage, ...],
) -> MeteringReport:
    """Move what was counted into a transaction."""
    for each in usage:
        key = (mid.raw, each.kid.raw, each.action)
        connection.execute(
            "DELETE FROM usage WHERE mid = ? AND kid = ? AND action = ? AND value = ?",
            (*key, each.value),
        )
        # More than a report can say stays for the next one.
        connection.execute(
            "UPDATE usage SET value = value - ? WHERE mid = ? AND kid = ? AND action = ?",
            (each.value, *key),
        )
    left = connection.execute("SELECT 1 FROM usage WHERE mid = ? LIMIT 1", (mid.raw,)).fetchone()
    partial = left is not None
    connection.execute(
        "INSERT INTO transactions VALUES (?, ?, ?)", (mid.raw, transaction_id.raw, partial)
    )
    connection.executemany(
        "INSERT INTO transaction_usage VALUES (?, ?, ?, ?)",
        [(transaction_id.raw, each.kid.raw, each.action, each.value) for each in usage],
    )
    return MeteringReport(mid, transaction_id, usage, partial)
