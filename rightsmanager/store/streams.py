"""Streams in the store: the open ones of each holder, and the ends of the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Update,
    bindparam,
    delete,
    func,
    select,
    update,
)

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.component import Component, insert_once, values_of
from rightsmanager.store.paging import Cut, Order, Page, map_page
from rightsmanager.store.tables import BATCH_ROWS, STREAM_HOLDERS, STREAMS

_STREAM: Final = STREAMS.c
_NOT_ENDED: Final = _STREAM.ended_at.is_(None)
# `of_` and `new_`: SQLAlchemy reserves the names of columns for their new values.
_OF_SLOT: Final = (
    _STREAM.holder == bindparam("of_holder"),
    _STREAM.device == bindparam("of_device"),
    _STREAM.kid == bindparam("of_kid"),
)
"""Conditions for the streams of which one at a time is open."""


def _end_open(*conditions: ColumnElement[bool]) -> Update:
    """Return the update that ends the open streams that meet conditions."""
    return (
        update(STREAMS)
        .where(_NOT_ENDED, _STREAM.expires_at > bindparam("now"), *conditions)
        .values(ended_at=bindparam("now"), ended_by=bindparam("new_ended_by"))
    )


_RECORD_HOLDER: Final = insert_once(STREAM_HOLDERS)
_LOCK_HOLDER: Final = (
    select(STREAM_HOLDERS).where(STREAM_HOLDERS.c.holder == bindparam("holder")).with_for_update()
)
_FIND: Final = select(STREAMS).where(_STREAM.stream_id == bindparam("stream_id"))
_FIND_ALL: Final = select(STREAMS).order_by(_STREAM.opened_at, _STREAM.stream_id)
_ORDER: Final = Order((_STREAM.opened_at, _STREAM.stream_id))
_IS_OPEN: Final = (_NOT_ENDED, _STREAM.expires_at > bindparam("now"))
_FIND_OPEN: Final = _FIND_ALL.where(*_IS_OPEN)
_COUNT_OPEN: Final = (
    select(func.count())
    .select_from(STREAMS)
    .where(_STREAM.holder == bindparam("holder"), *_IS_OPEN)
)
_RECORD: Final = insert_once(STREAMS)
_END: Final = _end_open(_STREAM.stream_id == bindparam("of_stream_id"))
_END_ALL: Final = _end_open(_STREAM.holder == bindparam("of_holder"))
_END_RENEWED: Final = _end_open(*_OF_SLOT)
_END_STOPPED: Final = _end_open(
    _STREAM.device == bindparam("of_device"),
    _STREAM.kid == bindparam("of_kid"),
    _STREAM.client_time <= bindparam("update_time"),
)
_END_EXPIRED: Final = (
    update(STREAMS)
    .where(_NOT_ENDED, *_OF_SLOT, _STREAM.expires_at <= bindparam("now"))
    .values(ended_at=_STREAM.expires_at, ended_by=bindparam("new_ended_by"))
)
_EXTEND: Final = (
    update(STREAMS)
    .where(
        _NOT_ENDED,
        _STREAM.stream_id == bindparam("of_stream_id"),
        _STREAM.expires_at > bindparam("now"),
        _STREAM.expires_at < bindparam("new_expires_at"),
    )
    .values(expires_at=bindparam("new_expires_at"))
)
_REMOVE_OLD: Final = delete(STREAMS).where(
    _STREAM.stream_id.in_(
        select(_STREAM.stream_id)
        .where(func.coalesce(_STREAM.ended_at, _STREAM.expires_at) < bindparam("before"))
        .limit(BATCH_ROWS)
    )
)


class EndedBy(Enum):
    """The end of a stream."""

    STOP = "stop"
    RENEWAL = "renewal"
    OPERATOR = "operator"
    EXPIRY = "expiry"
    """Recorded where a new stream takes the slot; otherwise `expires_at` is the end."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a holder; times are in Unix seconds."""

    stream_id: Guid
    holder: str
    """`account:` and the account id, or `device:` and the device id."""
    device: str
    """The device id."""
    kid: Kid
    client_time: int
    """By the device's clock, when it requested the licence; below 2^63."""
    opened_at: int
    expires_at: int
    """The end of its licence."""
    ended_at: int | None = None
    ended_by: EndedBy | None = None

    def is_open(self, now: int) -> bool:
        """Return whether it is open at `now`."""
        return self.ended_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class StreamFilter:
    """Conditions on streams; None for no condition."""

    holder: str | None = None
    """As in Stream."""
    device: str | None = None
    """The device id."""
    kid: Kid | None = None
    open_at: int | None = None
    """Streams that are open at this time, Unix seconds; None for ended ones too."""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions of a statement."""
        if self.holder is not None:
            yield _STREAM.holder == self.holder
        if self.device is not None:
            yield _STREAM.device == self.device
        if self.kid is not None:
            yield _STREAM.kid == self.kid
        if self.open_at is not None:
            yield _NOT_ENDED
            yield _STREAM.expires_at > self.open_at


class Streams(Component):
    """Streams by id; of each holder, device and KID one at a time is open."""

    def lock(self, holder: str) -> None:
        """Lock a holder until the transaction ends, to open a stream of it."""
        self._execute(_RECORD_HOLDER, {"holder": holder})
        self._execute(_LOCK_HOLDER, {"holder": holder}).one()

    def find(self, stream_id: Guid) -> Stream | None:
        """Return a stream by its id, or None."""
        row = self._execute(_FIND, {"stream_id": stream_id}).first()
        return None if row is None else _stream(row)

    def find_all(self, now: int, *, ended: bool = False) -> list[Stream]:
        """Return the open streams, or with `ended` all recorded ones, oldest first."""
        rows = self._execute(_FIND_ALL) if ended else self._execute(_FIND_OPEN, {"now": now})
        return [_stream(row) for row in rows]

    def find_page(self, chosen: StreamFilter, cut: Cut) -> Page[Stream]:
        """Return a page of the streams that meet a filter, oldest first."""
        statement = select(STREAMS).where(*chosen.conditions())
        page = _ORDER.page(self._execute(_ORDER.cut(statement, cut)).all(), cut)
        return map_page(page, [_stream(row) for row in page.items])

    def count_open(self, holder: str, now: int) -> int:
        """Return the count of a holder's open streams."""
        count: int = self._execute(_COUNT_OPEN, {"holder": holder, "now": now}).scalar_one()
        return count

    def record(self, stream: Stream) -> None:
        """Record a stream that opens; a repeat changes nothing."""
        ended_by = None if stream.ended_by is None else stream.ended_by.value
        self._execute(_RECORD, {**values_of(stream), "ended_by": ended_by})

    def end_renewed(self, stream: Stream) -> bool:
        """End the open stream that this one replaces; return whether there was one."""
        return self._end(_END_RENEWED, EndedBy.RENEWAL, _slot(stream)) > 0

    def end_expired(self, stream: Stream) -> None:
        """Record as ended the stream that this one replaces after the end of its licence."""
        self._end(_END_EXPIRED, EndedBy.EXPIRY, _slot(stream))

    def extend(self, stream: Stream) -> None:
        """Keep an open stream open until the given one expires, if that is later."""
        values = {
            "of_stream_id": stream.stream_id,
            "now": stream.opened_at,
            "new_expires_at": stream.expires_at,
        }
        self._execute(_EXTEND, values)

    def end_stopped(self, device: str, kid: Kid, update_time: int, now: int) -> int:
        """End a device's streams of a KID that it opened no later than `update_time`.

        `update_time` is by the device's clock. Returns the count.
        """
        values = {"of_device": device, "of_kid": kid, "update_time": update_time, "now": now}
        return self._end(_END_STOPPED, EndedBy.STOP, values)

    def end(self, stream_id: Guid, now: int) -> bool:
        """End an open stream for the operator; return whether there was one."""
        return self._end(_END, EndedBy.OPERATOR, {"of_stream_id": stream_id, "now": now}) > 0

    def end_all(self, holder: str, now: int) -> int:
        """End all open streams of a holder for the operator; return their count."""
        return self._end(_END_ALL, EndedBy.OPERATOR, {"of_holder": holder, "now": now})

    def remove_old(self, before: int) -> int:
        """Remove a batch of streams that ended before a time; return their count."""
        return self._count(_REMOVE_OLD, {"before": before})

    def _end(self, statement: Executable, ended_by: EndedBy, values: Mapping[str, object]) -> int:
        return self._count(statement, {**values, "new_ended_by": ended_by.value})


def _slot(stream: Stream) -> Mapping[str, object]:
    """Return the values of `_OF_SLOT`, at the time when the stream opens."""
    return {
        "of_holder": stream.holder,
        "of_device": stream.device,
        "of_kid": stream.kid,
        "now": stream.opened_at,
    }


def _stream(row: Row[Any]) -> Stream:
    return Stream(
        row.stream_id,
        row.holder,
        row.device,
        row.kid,
        row.client_time,
        row.opened_at,
        row.expires_at,
        row.ended_at,
        None if row.ended_by is None else EndedBy(row.ended_by),
    )
