"""Playback sessions in the store, each as its device last reported it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, literal_column, select, tuple_, update

from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.store.session_tables import SESSIONS
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import BATCH_ROWS


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it stands recorded; the times of the device are below 2^63."""

    device: str
    session_id: SessionId
    kid: Kid
    mid: Mid
    start_time: int
    update_time: int
    stopped: bool
    """Whether it ended cleanly."""
    proven: bool
    """Whether this very state was proven."""
    reported_at: int
    changed_at: int


class Sessions(Queries):
    """The part of a transaction that is about playback sessions."""

    def record(self, session: StoredSession) -> StoredSession | None:
        """Record a session that is new; return None, or the one that stands recorded.

        Nobody else changes that one until the transaction ends.
        """
        if self._count("record session", _row(session)) == 1:
            return None
        key = {"device": session.device, "session_id": session.session_id.raw}
        return _session(self._run("find session", key).fetchone())

    def change(self, session: StoredSession) -> None:
        """Put what is given in place of what stands recorded of a session."""
        changed = ("update_time", "stopped", "proven", "changed_at")
        row = _row(session)
        values = {f"new_{name}": row[name] for name in changed}
        key = {f"of_{name}": row[name] for name in ("device", "session_id")}
        self._run("change session", {**key, **values})

    def remove_old(self, before: int) -> int:
        """Remove a batch of sessions of which nothing new was told since a time in Unix seconds.

        Returns how many.
        """
        return self._count("remove sessions", {"end": before})

    def find_all(self) -> list[StoredSession]:
        """Return every session, the one that changed last at the end."""
        return [_session(row) for row in self._run("find sessions")]


def _row(session: StoredSession) -> Mapping[str, object]:
    return {
        "device": session.device,
        "session_id": session.session_id.raw,
        "kid": session.kid.raw,
        "mid": session.mid.raw,
        "start_time": session.start_time,
        "update_time": session.update_time,
        "stopped": session.stopped,
        "proven": session.proven,
        "reported_at": session.reported_at,
        "changed_at": session.changed_at,
    }


def _session(row: Sequence[Any]) -> StoredSession:
    device, session_id, kid, mid, start_time, update_time, stopped, proven, reported, changed = row
    return StoredSession(
        device,
        SessionId(bytes(session_id)),
        Kid(bytes(kid)),
        Mid(bytes(mid)),
        start_time,
        update_time,
        bool(stopped),
        bool(proven),
        reported,
        changed,
    )


_SESSION = SESSIONS.c

SESSION_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record session": lambda dialect: insert_once(SESSIONS, dialect),
    "find session": lambda _: (
        select(SESSIONS)
        .where(
            _SESSION.device == bindparam("device"), _SESSION.session_id == bindparam("session_id")
        )
        .with_for_update()
    ),
    "change session": lambda _: (
        update(SESSIONS)
        .where(
            _SESSION.device == bindparam("of_device"),
            _SESSION.session_id == bindparam("of_session_id"),
        )
        .values(
            update_time=bindparam("new_update_time"),
            stopped=bindparam("new_stopped"),
            proven=bindparam("new_proven"),
            changed_at=bindparam("new_changed_at"),
        )
    ),
    "remove sessions": lambda _: delete(SESSIONS).where(
        tuple_(_SESSION.device, _SESSION.session_id).in_(
            select(_SESSION.device, _SESSION.session_id)
            .where(_SESSION.changed_at < bindparam("end"))
            .limit(literal_column(str(BATCH_ROWS)))
            .offset(literal_column("0"))
        )
    ),
    "find sessions": lambda _: select(SESSIONS).order_by(
        _SESSION.changed_at, _SESSION.device, _SESSION.session_id
    ),
}
"""Every statement about sessions, by what it does."""
