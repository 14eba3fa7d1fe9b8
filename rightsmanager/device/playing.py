"""Plays content: records the counts and sessions that are reported to a server.

Playing needs a licence with the Play right. A play is counted if the licence has a metering id, and
opens a session if it has secure stop. Both are committed in one transaction before the first frame;
a session counts as ended uncleanly until it is stopped.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rightsmanager.crypto.random import Rng
from rightsmanager.device.journal import Journal
from rightsmanager.device.opening import OpenedLicense
from rightsmanager.device.usage import PLAY, count
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr.objects import SecureStop2Key
from rightsmanager.protocol.messages.metering import Usage
from rightsmanager.protocol.messages.secure_stop import unwrap_key
from rightsmanager.protocol.wire import GUID_LENGTH, SessionId

MAX_TIMES: Final = 100_000
"""Of one start: each may be a session."""


@dataclass(frozen=True, slots=True)
class Playback:
    """A started playback."""

    license: OpenedLicense
    times: int
    sessions: tuple[SessionId, ...]
    """One for each play under secure stop, else empty."""


def start(
    license_: OpenedLicense, journal: Journal, *, now: int, rng: Rng, times: int = 1
) -> Playback:
    """Record a playback and return it; `now` is in Unix seconds.

    Raises InvalidMessage for a licence without the Play right, and InternalError if the journal
    cannot be written.
    """
    terms = license_.terms
    if not terms.playable:
        raise InvalidMessage(f"the licence for KID {license_.kid.text} has no right to play")
    sessions = () if terms.secure_stop is None else _session_ids(rng, times)
    with journal.transaction() as connection:
        if terms.persistent:
            connection.execute(
                "INSERT OR IGNORE INTO first_plays VALUES (?, ?)", (license_.license.rights_id, now)
            )
        if terms.metering is not None:
            count(connection, terms.metering, Usage(license_.kid, PLAY, times))
        _open_sessions(connection, license_, sessions, now)
    return Playback(license_, times, sessions)


def stop(sessions: Sequence[SessionId], journal: Journal, now: int) -> None:
    """Record the clean end of sessions, at `now` in Unix seconds."""
    with journal.transaction() as connection:
        connection.executemany(
            "UPDATE sessions SET stopped = 1, updated_at = max(updated_at, ?) WHERE session_id = ?",
            [(now, session.raw) for session in sessions],
        )


def _session_ids(rng: Rng, times: int) -> tuple[SessionId, ...]:
    return tuple(SessionId(rng(GUID_LENGTH)) for _ in range(times))


def _open_sessions(
    connection: sqlite3.Connection,
    license_: OpenedLicense,
    sessions: Sequence[SessionId],
    now: int,
) -> None:
    mid = license_.terms.secure_stop
    if mid is None:
        return
    wrapped = license_.license.find(SecureStop2Key)
    key = None if wrapped is None else unwrap_key(wrapped.wrapped, license_.content_key)
    connection.executemany(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, 0, ?)",
        [(session.raw, mid.raw, license_.kid.raw, now, now, key) for session in sessions],
    )
