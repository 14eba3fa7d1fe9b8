"""Streams in the store: who has how many, which are open, and what ended the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, func, literal_column, select, update

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.session_tables import STREAM_HOLDERS, STREAMS
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import BATCH_ROWS


class EndedBy(Enum):
    """What ended a stream."""

    STOP = "stop"
    RENEWAL = "renewal"
    OPERATOR = "operator"
    EXPIRY = "expiry"
    """Noted where a new stream takes the place; else see when it expires."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a holder; times are in Unix seconds."""

    stream_id: Guid
    holder: str
    """`account:` and the account id, or `device:` and the device."""
    device: str
    kid: Kid
    client_time: int
    """By the device's clock, when it asked for the licence; below 2^63."""
    opened_at: int
    expires_at: int
    """When its licence ends."""
    ended_at: int | None = None
    ended_by: EndedBy | None = None

    def is_open(self, now: int) -> bool:
        """Return whether nothing has ended it yet."""
        return self.ended_at is None and now < self.expires_at


class Streams(Queries):
    """The part of a transaction that is about streams."""

    def lock(self, holder: str) -> None:
        """Have all others wait who would open a stream of this holder."""
        self._run("record stream holder", {"holder": holder})
        self._run("lock stream holder", {"holder": holder}).fetchone()

    def find(self, stream_id: Guid) -> Stream | None:
        """Return a stream by its id, or None."""
        row = self._run("find stream", {"stream_id": stream_id.raw}).fetchone()
        return None if row is None else _stream(row)

    def count_open(self, holder: str, now: int) -> int:
        """Return how many streams of a holder are open."""
        row = self._run("count open streams", {"holder": holder, "now": now}).fetchone()
        return int(row[0])

    def record(self, stream: Stream) -> None:
        """Record a stream that opens; a repeat changes nothing."""
        self._run("record stream", _row(stream))

    def end_renewed(self, stream: Stream) -> bool:
        """End the open stream that this one takes the place of; return whether there was one."""
        return (
            self._end("end renewed stream", _place(stream), EndedBy.RENEWAL, stream.opened_at) > 0
        )

    def end_expired(self, stream: Stream) -> None:
        """Note that the stream in whose place this one comes had ended with its licence."""
        expiry = {"new_ended_by": EndedBy.EXPIRY.value}
        self._run("set expired stream aside", {**_place(stream), **expiry})

    def extend(self, stream: Stream) -> None:
        """Keep a stream that is open so until the given one would end, if that is later."""
        self._run(
            "extend stream",
            {
                "of_stream_id": stream.stream_id.raw,
                "before": stream.opened_at,
                "new_expires_at": stream.expires_at,
            },
        )

    def end_stopped(self, device: str, kid: Kid, update_time: int, now: int) -> int:
        """End a device's streams of a KID that it opened no later than `update_time`, its own."""
        key = {"of_device": device, "of_kid": kid.raw, "update_time": update_time, "before": now}
        return self._end("end stopped streams", key, EndedBy.STOP, now)

    def end(self, stream_id: Guid, now: int) -> bool:
        """End an open stream as the operator wishes; return whether there was one."""
        key = {"of_stream_id": stream_id.raw, "before": now}
        return self._end("end stream", key, EndedBy.OPERATOR, now) > 0

    def end_all(self, holder: str, now: int) -> int:
        """End all open streams of a holder as the operator wishes; return how many there were."""
        key = {"of_holder": holder, "before": now}
        return self._end("end holder's streams", key, EndedBy.OPERATOR, now)

    def find_all(self, now: int, *, ended: bool = False) -> list[Stream]:
        """Return the open streams, or with `ended` all that are recorded, oldest first."""
        rows = self._run("find streams") if ended else self._run("find open streams", {"now": now})
        return [_stream(row) for row in rows]

    def remove_old(self, before: int) -> int:
        """Remove a batch of streams that were over before a time; return how many."""
        return self._count("remove streams", {"end": before})

    def _end(self, name: str, key: Mapping[str, object], ended_by: EndedBy, now: int) -> int:
        return self._count(name, {**key, "new_ended_at": now, "new_ended_by": ended_by.value})


def _place(stream: Stream) -> Mapping[str, object]:
    """Return what there is one open stream for."""
    return {
        "of_holder": stream.holder,
        "of_device": stream.device,
        "of_kid": stream.kid.raw,
        "before": stream.opened_at,
    }


def _row(stream: Stream) -> Mapping[str, object]:
    return {
        "stream_id": stream.stream_id.raw,
        "holder": stream.holder,
        "device": stream.device,
        "kid": stream.kid.raw,
        "client_time": stream.client_time,
        "opened_at": stream.opened_at,
        "expires_at": stream.expires_at,
        "ended_at": stream.ended_at,
        "ended_by": None if stream.ended_by is None else stream.ended_by.value,
    }


def _stream(row: Sequence[Any]) -> Stream:
    stream_id, holder, device, kid, client_time, opened_at, expires_at, ended_at, ended_by = row
    return Stream(
        Guid(bytes(stream_id)),
        holder,
        device,
        Kid(bytes(kid)),
        client_time,
        opened_at,
        expires_at,
        ended_at,
        None if ended_by is None else EndedBy(ended_by),
    )


_STREAM = STREAMS.c
_NOT_ENDED: Final = _STREAM.ended_at.is_(None)
_OF_PLACE: Final = (
    _STREAM.holder == bindparam("of_holder"),
    _STREAM.device == bindparam("of_device"),
    _STREAM.kid == bindparam("of_kid"),
)


def _ending(*of: ColumnElement[bool]) -> Clause:
    """Return what ends the streams that nothing has ended, of those that are meant."""
    return lambda _: (
        update(STREAMS)
        .where(_NOT_ENDED, *of)
        .values(ended_at=bindparam("new_ended_at"), ended_by=bindparam("new_ended_by"))
    )


STREAM_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record stream holder": lambda dialect: insert_once(STREAM_HOLDERS, dialect),
    "lock stream holder": lambda _: (
        select(STREAM_HOLDERS)
        .where(STREAM_HOLDERS.c.holder == bindparam("holder"))
        .with_for_update()
    ),
    "find stream": lambda _: select(STREAMS).where(_STREAM.stream_id == bindparam("stream_id")),
    "count open streams": lambda _: (
        select(func.count())
        .select_from(STREAMS)
        .where(
            _STREAM.holder == bindparam("holder"),
            _NOT_ENDED,
            _STREAM.expires_at > bindparam("now"),
        )
    ),
    "record stream": lambda dialect: insert_once(STREAMS, dialect),
    "end renewed stream": _ending(*_OF_PLACE, _STREAM.expires_at > bindparam("before")),
    "set expired stream aside": lambda _: (
        update(STREAMS)
        .where(_NOT_ENDED, *_OF_PLACE, _STREAM.expires_at <= bindparam("before"))
        .values(ended_at=_STREAM.expires_at, ended_by=bindparam("new_ended_by"))
    ),
    "extend stream": lambda _: (
        update(STREAMS)
        .where(
            _NOT_ENDED,
            _STREAM.stream_id == bindparam("of_stream_id"),
            _STREAM.expires_at > bindparam("before"),
            _STREAM.expires_at < bindparam("new_expires_at"),
        )
        .values(expires_at=bindparam("new_expires_at"))
    ),
    "end stopped streams": _ending(
        _STREAM.device == bindparam("of_device"),
        _STREAM.kid == bindparam("of_kid"),
        _STREAM.client_time <= bindparam("update_time"),
        _STREAM.expires_at > bindparam("before"),
    ),
    "end stream": _ending(
        _STREAM.stream_id == bindparam("of_stream_id"), _STREAM.expires_at > bindparam("before")
    ),
    "end holder's streams": _ending(
        _STREAM.holder == bindparam("of_holder"), _STREAM.expires_at > bindparam("before")
    ),
    "remove streams": lambda _: delete(STREAMS).where(
        _STREAM.stream_id.in_(
            select(_STREAM.stream_id)
            .where(func.coalesce(_STREAM.ended_at, _STREAM.expires_at) < bindparam("end"))
            .limit(literal_column(str(BATCH_ROWS)))
            .offset(literal_column("0"))
        )
    ),
    "find streams": lambda _: select(STREAMS).order_by(_STREAM.opened_at, _STREAM.stream_id),
    "find open streams": lambda _: (
        select(STREAMS)
        .where(_NOT_ENDED, _STREAM.expires_at > bindparam("now"))
        .order_by(_STREAM.opened_at, _STREAM.stream_id)
    ),
}
"""Every statement about streams, by what it does."""
