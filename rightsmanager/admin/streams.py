"""Lists and ends streams on behalf of operators."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import Guid
from rightsmanager.store.database import Store
from rightsmanager.store.streams import EndedBy, Stream


@dataclass(frozen=True, slots=True)
class StreamControl:
    """Finds and ends streams."""

    store: Store
    clock: Callable[[], int]

    def find(self, holder: StreamHolder | None, *, ended: bool) -> list[dict[str, Any]]:
        """Return the facts of the open streams, or of all with `ended`, oldest first.

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

    def end(self, stream_ids: Iterable[Guid]) -> int:
        """End these streams.

        Return their number. Raises ServiceSpecific, and ends none, if one of them is not open.
        """
        now, count = self.clock(), 0
        with self.store.transaction() as transaction:
            for stream_id in stream_ids:
                if not transaction.streams.end(stream_id, now):
                    raise ServiceSpecific(f"stream {stream_id.text} is not open")
                count += 1
        return count

    def end_all(self, holder: StreamHolder) -> int:
        """End all open streams of an account or a device; return their number."""
        with self.store.transaction() as transaction:
            return transaction.streams.end_all(holder.name, self.clock())


def stream_facts(stream: Stream, now: int) -> dict[str, Any]:
    """Return the facts of a stream, with `state` "open" or the reason of its end, for JSON."""
    kind, _, name = stream.holder.partition(":")
    state, ended_at = _state(stream, now)
    return {
        "stream_id": stream.stream_id.text,
        "state": state,
        "account": name if kind == "account" else None,
        "user": name if kind == "user" else None,
        "device": stream.device,
        "kid": stream.kid.text,
        "opened_at": _date(stream.opened_at),
        "expires_at": _date(stream.expires_at),
        "ended_at": None if ended_at is None else _date(ended_at),
    }


def _state(stream: Stream, now: int) -> tuple[str, int | None]:
    if stream.is_open(now):
        return "open", None
    if stream.ended_by is None or stream.ended_at is None:
        return EndedBy.EXPIRY.value, stream.expires_at
    return stream.ended_by.value, stream.ended_at


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
