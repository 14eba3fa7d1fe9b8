"""Lists and ends streams on behalf of operators."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.admin.times import date_of
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.database import Store
from rightsmanager.store.paging import Cut, Page
from rightsmanager.store.streams import EndedBy, Stream, StreamFilter

OPEN = "open"
"""The state of a stream that has not ended; the others are the reasons of their end."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A stream, with its state and one of account, user and device as its holder."""

    stream_id: Guid
    state: str
    """`open`, or the reason of its end."""
    account: str | None
    """The account id as a GUID."""
    user: str | None
    device: str
    """The device id."""
    kid: Kid
    opened_at: datetime
    expires_at: datetime
    """The end of its licence."""
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class StreamControl:
    """Finds and ends streams."""

    store: Store
    clock: Callable[[], int]

    def find(self, holder: StreamHolder | None, *, ended: bool) -> list[StreamFacts]:
        """Return the open streams, or all with `ended`, oldest first.

        `holder` selects those of one holder, None those of all.
        """
        now = self.clock()
        with self.store.reading() as found:
            streams = found.streams.find_all(now, ended=ended)
        return [
            stream_facts(stream, now)
            for stream in streams
            if holder is None or stream.holder == holder.name
        ]

    def find_page(self, chosen: StreamFilter, cut: Cut) -> Page[StreamFacts]:
        """Return a page of the streams that meet a filter, oldest first."""
        now = self.clock()
        with self.store.reading() as found:
            page = found.streams.find_page(chosen, cut)
        return Page(tuple(stream_facts(each, now) for each in page.items), page.next)

    def find_one(self, stream_id: Guid) -> StreamFacts:
        """Return a stream, open or ended; raises NotFound."""
        with self.store.reading() as found:
            stream = found.streams.find(stream_id)
        if stream is None:
            raise NotFound(f"there is no stream {stream_id.text}")
        return stream_facts(stream, self.clock())

    def end(self, stream_ids: Iterable[Guid]) -> int:
        """End these streams.

        Return their number. Raises Conflict, and ends none, if one of them is not open.
        """
        now, count = self.clock(), 0
        with self.store.transaction() as transaction:
            for stream_id in stream_ids:
                if not transaction.streams.end(stream_id, now):
                    raise Conflict(f"stream {stream_id.text} is not open")
                count += 1
        return count

    def end_all(self, holder: StreamHolder) -> int:
        """End all open streams of an account or a device; return their number."""
        with self.store.transaction() as transaction:
            return transaction.streams.end_all(holder.name, self.clock())


def stream_facts(stream: Stream, now: int) -> StreamFacts:
    """Return the facts of a stream at `now`."""
    kind, _, name = stream.holder.partition(":")
    state, ended_at = _state(stream, now)
    return StreamFacts(
        stream_id=stream.stream_id,
        state=state,
        account=name if kind == "account" else None,
        user=name if kind == "user" else None,
        device=stream.device,
        kid=stream.kid,
        opened_at=date_of(stream.opened_at),
        expires_at=date_of(stream.expires_at),
        ended_at=date_of(ended_at),
    )


def _state(stream: Stream, now: int) -> tuple[str, int | None]:
    if stream.is_open(now):
        return OPEN, None
    if stream.ended_by is None or stream.ended_at is None:
        return EndedBy.EXPIRY.value, stream.expires_at
    return stream.ended_by.value, stream.ended_at
