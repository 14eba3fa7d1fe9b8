"""Streams: how many licences with secure stop an account, or a device, uses at once.

A licence with secure stop opens a stream of the account that it is bound to, or, without one, of
its device. The stream is open until the device reports a stop of that KID, until a newer licence
for the same KID takes its place, until the licence ends, or until the operator ends it. A licence
that never ends holds its stream for as long as the settings say.

A request that is sent again has the stream of the first time, open or not; one that is open stays
so as long as the licence that is issued anew. A renewal is never
refused, for it makes no more streams than there were.
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
"""The latest time that the store keeps."""
_PURPOSE: Final = b"stream"


FindLimit = Callable[[StreamHolder], int | None]
"""Gives how many streams a holder may have, 0 for no limit, or None to leave it to the settings."""


@dataclass(frozen=True, slots=True)
class StreamOpener:
    """What opens the streams of one reply."""

    limits: Mapping[StreamHolder, int]
    """How many streams each holder may have, 0 for no limit."""
    client_time: int
    """The device's clock when it asked, in Unix seconds."""
    lifetime: int
    """How many seconds the stream of a licence without end lasts."""

    def open(self, transaction: Transaction, issued: Iterable[tuple[IssuedLicense, Grant]]) -> None:
        """Open a stream for each licence with secure stop.

        Raises ServiceSpecific where a holder would have more than its limit.
        """
        # Everybody locks in the same order, so that nobody waits for one who waits for him.
        for holder in sorted(self.limits, key=lambda holder: holder.name):
            transaction.streams.lock(holder.name)
        opening = [(row, grant) for row, grant in issued if grant.policy.secure_stop]
        for row, grant in sorted(opening, key=lambda each: each[0].kid.raw):
            holder = holder_of(grant, row.device)
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
            expires_at=row.issued_at + self.lifetime if end is None else end,
        )


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How many streams there may be, and how long one lasts whose licence never ends."""

    per_account: int = 0
    """0 for no limit."""
    per_device: int = 0
    """0 for no limit."""
    lifetime: int = 12 * 60 * 60
    """Seconds."""

    def opening(
        self, grants: Iterable[Grant], device: str, client_time: int, find_limit: FindLimit
    ) -> StreamOpener:
        """Return what opens the streams of grants, the limit of each holder being known."""
        holders = {holder_of(grant, device) for grant in grants if grant.policy.secure_stop}
        limits = {holder: self._limit(holder, find_limit(holder)) for holder in holders}
        return StreamOpener(limits, client_time, self.lifetime)

    def _limit(self, holder: StreamHolder, own: int | None) -> int:
        if own is not None:
            return own
        return self.per_device if holder.account_id is None else self.per_account


def _open(transaction: Transaction, stream: Stream, holder: StreamHolder, limit: int) -> None:
    if transaction.streams.find(stream.stream_id) is not None:
        # The licence is issued anew, and may end later.
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
    """Return the id of the stream of a licence, by its request's digest and its place there."""
    digest = hashlib.sha256(_PURPOSE + request + ordinal.to_bytes(4, "big")).digest()
    return Guid(digest[:GUID_LENGTH])


def holder_of(grant: Grant, device: str) -> StreamHolder:
    """Return whose stream a licence for a device opens."""
    return StreamHolder(grant.account_id, device)


def _too_many(holder: StreamHolder, kid: Kid, limit: int, count: int) -> ServiceSpecific:
    kind, _, name = holder.name.partition(":")
    facts = {"reason": "streams", kind: name, "limit": limit, "open": count, "kid": kid.text}
    return ServiceSpecific(
        f"open streams of the {kind} {name}: {count}, expected fewer than the limit {limit} for "
        f"another licence with secure stop, for KID {kid.text}",
        custom_data=json.dumps(facts, separators=(",", ":")),
    )
