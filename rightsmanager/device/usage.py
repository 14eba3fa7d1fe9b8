"""A device's metering store: plays, until a server has answered the report of them.

counted     added up by metering id, KID and action
frozen      moved into the one transaction of its metering id, which is committed before it is sent
            and unchanged until it is answered; later plays are for the next one
cleared     removed with its transaction, after the server's answer
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
    """Add to the counts, in a transaction of the journal."""
    connection.execute(
        "INSERT INTO usage VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (mid.raw, usage.kid.raw, usage.action, usage.value),
    )


@dataclass(frozen=True, slots=True)
class MeteringStore:
    """The counts in a journal."""

    journal: Journal
    max_records: int = MAX_RECORDS
    """The most KIDs of one report."""

    def mids(self) -> tuple[Mid, ...]:
        """Return the metering ids with counts to report."""
        with self.journal.transaction() as connection:
            rows = connection.execute(
                "SELECT mid FROM usage UNION SELECT mid FROM transactions ORDER BY mid"
            ).fetchall()
        return tuple(Mid(mid) for (mid,) in rows)

    def total(self) -> int:
        """Return the sum of all unanswered counts."""
        with self.journal.transaction() as connection:
            (total,) = connection.execute(
                "SELECT coalesce(sum(value), 0) FROM "
                "(SELECT value FROM usage UNION ALL SELECT value FROM transaction_usage)"
            ).fetchone()
        return int(total)

    def freeze(self, mid: Mid, rng: Rng) -> MeteringReport | None:
        """Return the report to send now, committed; None without counts.

        It is the unanswered one, if there is any, else a new one of at most `max_records` KIDs.
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
        """Remove an answered report."""
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
    """Move counts into a transaction."""
    for each in usage:
        key = (mid.raw, each.kid.raw, each.action)
        connection.execute(
            "DELETE FROM usage WHERE mid = ? AND kid = ? AND action = ? AND value = ?",
            (*key, each.value),
        )
        # A count above the highest value of a report stays for the next one.
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
