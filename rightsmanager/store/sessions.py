"""Playback sessions in the store, each in the state of its last report."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, bindparam, delete, select, tuple_, update

from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.store.component import Component, insert_once, record_of, values_of
from rightsmanager.store.paging import Cut, Order, Page, map_page
from rightsmanager.store.tables import BATCH_ROWS, SESSIONS

_SESSION: Final = SESSIONS.c
_RECORD: Final = insert_once(SESSIONS)
_LOCK: Final = (
    select(SESSIONS)
    .where(_SESSION.device == bindparam("device"), _SESSION.session_id == bindparam("session_id"))
    .with_for_update()
)
# `of_` and `new_`: SQLAlchemy reserves the names of columns for their new values.
_CHANGE: Final = (
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
)
_REMOVE_OLD: Final = delete(SESSIONS).where(
    tuple_(_SESSION.device, _SESSION.session_id).in_(
        select(_SESSION.device, _SESSION.session_id)
        .where(_SESSION.changed_at < bindparam("before"))
        .limit(BATCH_ROWS)
    )
)
_FIND_ALL: Final = select(SESSIONS).order_by(
    _SESSION.changed_at, _SESSION.device, _SESSION.session_id
)

_FIND_NEWEST: Final = select(SESSIONS).order_by(
    _SESSION.changed_at.desc(), _SESSION.device, _SESSION.session_id
)


_ORDER: Final = Order((_SESSION.reported_at, _SESSION.device, _SESSION.session_id))


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A recorded session; times are in Unix seconds, the device's own ones below 2^63."""

    device: str
    """The device id."""
    session_id: SessionId
    kid: Kid
    mid: Mid
    start_time: int
    """By the device's clock."""
    update_time: int
    """By the device's clock."""
    stopped: bool
    """Whether it ended cleanly."""
    proven: bool
    """Whether this state of it was proven."""
    reported_at: int
    changed_at: int


class Sessions(Component):
    """Sessions by device and session id."""

    def record(self, session: StoredSession) -> StoredSession | None:
        """Record a new session and return None, or lock and return the recorded one."""
        if self._count(_RECORD, values_of(session)) == 1:
            return None
        key = {"device": session.device, "session_id": session.session_id}
        return record_of(StoredSession, self._execute(_LOCK, key).one())

    def change(self, session: StoredSession) -> None:
        """Set the recorded state of a session to the given one."""
        self._execute(
            _CHANGE,
            {
                "of_device": session.device,
                "of_session_id": session.session_id,
                "new_update_time": session.update_time,
                "new_stopped": session.stopped,
                "new_proven": session.proven,
                "new_changed_at": session.changed_at,
            },
        )

    def remove_old(self, before: int) -> int:
        """Remove a batch of sessions without news since a time; return their count."""
        return self._count(_REMOVE_OLD, {"before": before})

    def find_newest(self, device: str | None, kid: Kid | None, limit: int) -> list[StoredSession]:
        """Return at most `limit` sessions, of a device and KID where given, newest first."""
        statement = _FIND_NEWEST.where(*_conditions(device, kid)).limit(limit)
        return [record_of(StoredSession, row) for row in self._execute(statement)]

    def find_page(self, device: str | None, kid: Kid | None, cut: Cut) -> Page[StoredSession]:
        """Return a page of the sessions, of a device and KID where given, first report first.

        A session keeps its place when it is reported again.
        """
        statement = select(SESSIONS).where(*_conditions(device, kid))
        page = _ORDER.page(self._execute(_ORDER.cut(statement, cut)).all(), cut)
        return map_page(page, [record_of(StoredSession, row) for row in page.items])

    def find_all(self) -> list[StoredSession]:
        """Return every session, the one that changed last at the end."""
        return [record_of(StoredSession, row) for row in self._execute(_FIND_ALL)]


def _conditions(device: str | None, kid: Kid | None) -> list[ColumnElement[bool]]:
    pairs = ((_SESSION.device, device), (_SESSION.kid, kid))
    return [column == value for column, value in pairs if value is not None]
