"""Streams: limits on the licences with secure stop that an account or a device uses at once.

A licence with secure stop opens a stream of the account that it is bound to, or else of its device.
The stream is open until the device reports a stop of that KID, a newer licence for the same KID
replaces it, the licence expires, or the operator ends it. A licence without an end date stops
counting as a stream after the seconds of the settings.

A request that is sent again has the stream of the first time, open or closed; an open one is
extended to the end of the new licence. A renewal is never refused: it adds no stream.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import GUID_LENGTH, Guid, Kid
from rightsmanager.store.database import Transaction
from rightsmanager.store.licenses import IssuedLicense
from rightsmanager.store.streams import Stream

LATEST: Final = 2**63 - 1
"""The latest time that the store holds, in Unix seconds."""
_PURPOSE: Final = b"stream"


FindLimit = Callable[[StreamHolder], int | None]
"""Returns the stream limit of a holder, 0 for no limit, or None for that of the settings."""


@dataclass(frozen=True, slots=True)
class StreamOpener:
    """Opens the streams of one reply."""

    holders: Mapping[Grant, StreamHolder]
    """The holder of each grant with secure stop."""
    limits: Mapping[StreamHolder, int]
    """The limit of each holder, 0 for no limit."""
    client_time: int
    """The device's clock at the request, in Unix seconds."""
    lifetime_seconds: int
    """Lifetime of the stream of a licence without an end date."""

    def open(self, transaction: Transaction, issued: Iterable[tuple[IssuedLicense, Grant]]) -> None:
        """Open a stream for each licence with secure stop.

        Raises ServiceSpecific if a holder would exceed its limit.
        """
        # In a fixed order, to avoid deadlock.
        for holder in sorted(self.limits, key=lambda holder: holder.name):
            transaction.streams.lock(holder.name)
        opening = [(row, grant) for row, grant in issued if grant.policy.secure_stop]
        for row, grant in sorted(opening, key=lambda each: each[0].kid.raw):
            holder = self.holders[grant]
            _open(transaction, self._stream(row, grant, holder), holder, self.limits[holder])

    def _stream(self, row: IssuedLicense, grant: Grant, holder: StreamHolder) -> Stream:
        end = grant.policy.end(row.issued_at)
        return Stream(
            stream_id=stream_id_of(row.request, row.ordinal),
            holder=holder.name,
            device=row.device,
            kid=row.kid,
            client_time=min(self.client_time, LATEST),
            opened_at=row.issued_at,
            expires_at=row.issued_at + self.lifetime_seconds if end is None else end,
        )


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Limits on streams, and the lifetime of one whose licence has no end date."""

    max_per_account: int = 0
    """0 for no limit."""
    max_per_device: int = 0
    """0 for no limit."""
    lifetime_seconds: int = 12 * 60 * 60

    def opener(
        self, holders: Mapping[Grant, StreamHolder], client_time: int, find_limit: FindLimit
    ) -> StreamOpener:
        """Return the opener of the streams of grants, with the limit of each holder."""
        limits = {
            holder: self._limit(holder, find_limit(holder))
            for holder in dict.fromkeys(holders.values())
        }
        return StreamOpener(holders, limits, client_time, self.lifetime_seconds)

    def _limit(self, holder: StreamHolder, own: int | None) -> int:
        if own is not None:
            return own
        is_device = holder.account_id is None and holder.user is None
        return self.max_per_device if is_device else self.max_per_account


def _open(transaction: Transaction, stream: Stream, holder: StreamHolder, limit: int) -> None:
    if transaction.streams.find(stream.stream_id) is not None:
        # The licence is issued again, and may expire later.
        transaction.streams.extend(stream)
        return
    transaction.streams.end_expired(stream)
    is_renewal = transaction.streams.end_renewed(stream)
    if limit and not is_renewal:
        count = transaction.streams.count_open(stream.holder, stream.opened_at)
        if count >= limit:
            raise _too_many(holder, stream.kid, limit, count)
    transaction.streams.record(stream)


def stream_id_of(request: bytes, ordinal: int) -> Guid:
    """Return the stream id of a licence, by its request's digest and its ordinal."""
    digest = hashlib.sha256(_PURPOSE + request + ordinal.to_bytes(4, "big")).digest()
    return Guid(digest[:GUID_LENGTH])


def _too_many(holder: StreamHolder, kid: Kid, limit: int, count: int) -> ServiceSpecific:
    kind, _, name = holder.name.partition(":")
    facts = {"reason": "streams", kind: name, "limit": limit, "open": count, "kid": kid.text}
    return ServiceSpecific(
        f"open streams of the {kind} {name}: {count}, expected fewer than the limit {limit} for "
        f"another licence with secure stop, for KID {kid.text}",
        custom_data=json.dumps(facts, separators=(",", ":")),
    )
