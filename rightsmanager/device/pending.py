"""Challenges whose replies can still be accepted: their state, in the device's journal.

A challenge is found by the key that its reply names it by: a nonce, a transaction, a session or
ids. The oldest of an operation are dropped.
"""

import json
from collections.abc import Collection, Mapping
from typing import Final

from rightsmanager.device.acquire import Acknowledgement
from rightsmanager.device.session import DeviceSession
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages import acknowledgement as acknowledgements
from rightsmanager.protocol.messages.secure_stop import Session
from rightsmanager.protocol.wire import Kid, SessionId, TransactionId

MAX_PENDING: Final = 10_000
"""Challenges of one operation whose replies can still be accepted."""


def record_pending(
    session: DeviceSession, operation: str, key: bytes, state: Mapping[str, str] | None = None
) -> None:
    """Store the state of a challenge until its reply is accepted."""
    with session.journal.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO challenges (operation, key, state) VALUES (?, ?, ?)",
            (operation, key, json.dumps(state or {})),
        )
        connection.execute(
            "DELETE FROM challenges WHERE operation = ? AND rowid <= "
            "(SELECT max(rowid) FROM challenges) - ?",
            (operation, MAX_PENDING),
        )


def require_pending(session: DeviceSession, operation: str, key: bytes) -> Mapping[str, str]:
    """Return the state of a challenge; raises InvalidMessage if there is none."""
    state = find_pending(session, operation, key)
    if state is None:
        raise InvalidMessage(
            f"it is a reply of {operation} to no challenge of this device, or to one whose reply "
            "was accepted before"
        )
    return state


def find_pending(session: DeviceSession, operation: str, key: bytes) -> Mapping[str, str] | None:
    """Return the state of a challenge, None if there is none."""
    with session.journal.transaction() as connection:
        row = connection.execute(
            "SELECT state FROM challenges WHERE operation = ? AND key = ?", (operation, key)
        ).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def settle(session: DeviceSession, operation: str, key: bytes) -> None:
    """Forget a challenge whose reply was accepted."""
    with session.journal.transaction() as connection:
        connection.execute(
            "DELETE FROM challenges WHERE operation = ? AND key = ?", (operation, key)
        )


def record_acknowledgement(session: DeviceSession, wanted: Acknowledgement) -> None:
    """Store an acknowledgement that a reply asked for."""
    with session.journal.transaction() as connection:
        connection.executemany(
            "INSERT OR REPLACE INTO acknowledgements VALUES (?, ?, ?)",
            [(wanted.transaction_id.raw, each.kid.raw, each.result) for each in wanted.results],
        )


def find_acknowledgement(
    session: DeviceSession, transaction_id: TransactionId | None = None
) -> Acknowledgement | None:
    """Return the acknowledgement of a transaction, or the oldest, None without one."""
    raw = None if transaction_id is None else transaction_id.raw
    with session.journal.transaction() as connection:
        rows = connection.execute(
            "SELECT transaction_id, kid, result FROM acknowledgements WHERE transaction_id = "
            "coalesce(?, (SELECT transaction_id FROM acknowledgements ORDER BY rowid LIMIT 1)) "
            "ORDER BY rowid",
            (raw,),
        ).fetchall()
    if not rows:
        return None
    results = tuple(acknowledgements.StorageResult(Kid(kid), result) for _, kid, result in rows)
    return Acknowledgement(TransactionId(rows[0][0]), results)


def build_sessions(sessions: Collection[Session]) -> str:
    """Return sessions as the state of their challenge has them."""
    rows = [
        (each.session_id.text, each.kid.text, each.start_time, each.update_time, each.stopped)
        for each in sessions
    ]
    return json.dumps(rows)


def parse_sessions(text: str) -> tuple[Session, ...]:
    """Return the sessions in the state of a challenge."""
    return tuple(
        Session(SessionId.from_text(session_id), Kid.from_text(kid), started, updated, stopped)
        for session_id, kid, started, updated, stopped in json.loads(text)
    )
