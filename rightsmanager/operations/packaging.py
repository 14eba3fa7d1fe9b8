"""AcquirePackagingData: a packager gets content keys, and PlayReady Objects that name them.

Every program has one key in each key period: the period is the one in which the offset from the
program's start lies, and asked again the answer is the same. An interval that reaches into several
periods gets the key of each. The keys are stored: AcquireLicense issues licences for them.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Final, NamedTuple

from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.access import Access
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.request import Request
from rightsmanager.protocol.formats.durations import Duration
from rightsmanager.protocol.formats.pssh import SYSTEM_ID, build_object, object_of
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version, checksum
from rightsmanager.protocol.messages.packaging import (
    OPERATION,
    PackagingRequest,
    ProtectionSystem,
    StreamInformation,
    StreamProtection,
    build_packaging_response,
    parse_packaging_request,
)
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, Kid
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.sources import PACKAGER, Source

MAX_KEYS: Final = 1000
"""How many keys one reply holds."""
WITHOUT_DATA: Final = {
    uuid.UUID("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"): "Common PSSH",
    uuid.UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"): "Widevine",
}
"""Systems that are known, and for which the server has no data."""
ALGIDS: Final = {"aesctr": Algid.AESCTR, "aescbc": Algid.AESCBC}
"""The ALGID of a stored key's type."""


class Slot(NamedTuple):
    """What has one key."""

    program: str
    period: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a program that lies in one key period."""

    slot: Slot
    offset: Duration
    interval: Duration | None


@dataclass(frozen=True, slots=True)
class PackagingKey:
    """A content key in the clear, on its way to a packager."""

    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    key_type: str
    """A spelling of KEY_TYPES."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How keys are made, and how headers say so."""

    key_period: int = 0
    """Seconds; 0 for one key for all of a program."""
    header_version: Version = Version.V4_0
    key_type: str = "aesctr"
    checksum: bool = True


@dataclass(frozen=True, slots=True)
class PackagingService:
    """Gives keys to packagers."""

    access: Access
    content_keys: ContentKeys
    packing: Packing
    store: Store
    clock: Callable[[], int]
    rng: Rng
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))

    def acquire_packaging_data(self, request: Request) -> bytes:
        """Return the reply to an AcquirePackagingData request, its keys stored.

        Raises a Refusal, before which nothing is stored.
        """
        self.access.refuse_stranger(OPERATION, request)
        asked = parse_packaging_request(request.envelope)
        self._refuse(asked, request.url)
        parts = self._decide(asked.streams)
        keys = self._record([part.slot for part in parts])
        self.hooks.on_event(Event(OPERATION, kids=tuple(key.kid for key in keys.values())))
        return self._seal(parts, keys, asked, request.url)

    def _refuse(self, asked: PackagingRequest, url: str) -> None:
        refuse_systems(asked.systems)
        # What cannot be sealed must not be recorded: the URL may not fit.
        unknown = bytes(CONTENT_KEY_LENGTH)
        for key_type in ALGIDS:
            build_playready_object(PackagingKey(Kid(unknown), unknown, key_type), self.packing, url)

    def _decide(self, streams: Sequence[StreamInformation]) -> tuple[Part, ...]:
        """Return the parts whose keys are wanted."""
        parts: list[Part] = []
        for stream in streams:
            periods = _periods(stream, self.packing.key_period)
            if len(parts) + len(periods) > MAX_KEYS:
                raise InvalidMessage(
                    f"the request is for more than {MAX_KEYS} keys: each key period of a stream "
                    f"has one, and a period is {self.packing.key_period} seconds"
                )
            parts += _parts(stream, periods, self.packing.key_period)
        return tuple(parts)

    def _record(self, slots: Sequence[Slot]) -> Mapping[Slot, PackagingKey]:
        """Return the key of each slot; the ones that have none get one."""
        now = self.clock()
        with self.store.transaction() as transaction:
            # All in the same order: so no two requests wait for each other.
            return {slot: self._key(transaction, slot, now) for slot in sorted(set(slots))}

    def _key(self, transaction: Transaction, slot: Slot, now: int) -> PackagingKey:
        kid = transaction.sources.find_kid(*slot) or self._make(transaction, slot, now)
        stored = transaction.content_keys.find(kid)
        if stored is None:
            raise InternalError(f"KID {kid.text} of a program has no stored content key")
        return PackagingKey(kid, self.content_keys.open(stored), stored.key_type)

    def _make(self, transaction: Transaction, slot: Slot, now: int) -> Kid:
        """Return the KID of a key that is new, or of the one that another request just made."""
        kid = Kid(uuid.UUID(bytes=self.rng(CONTENT_KEY_LENGTH), version=4).bytes_le)
        if not transaction.sources.record(kid, Source(PACKAGER, *slot)):
            made = transaction.sources.find_kid(*slot)
            if made is None:
                raise InternalError(f"KID {kid.text} has been drawn before")
            return made
        key = self.rng(CONTENT_KEY_LENGTH)
        transaction.content_keys.record(
            self.content_keys.seal(kid, key, self.packing.key_type, now, self.rng)
        )
        return kid

    def _seal(
        self,
        parts: Sequence[Part],
        keys: Mapping[Slot, PackagingKey],
        asked: PackagingRequest,
        url: str,
    ) -> bytes:
        systems = {
            key: _systems(asked.systems, build_playready_object(key, self.packing, url))
            for key in keys.values()
        }
        return build_packaging_response(
            tuple(
                StreamProtection(
                    program=part.slot.program,
                    offset=part.offset,
                    interval=part.interval,
                    kid=keys[part.slot].kid,
                    key=keys[part.slot].key,
                    systems=systems[keys[part.slot]],
                )
                for part in parts
            )
        )


def refuse_systems(systems: Sequence[uuid.UUID]) -> None:
    """Refuse systems that are not known, and a request that does not ask for PlayReady's."""
    for system in systems:
        if system != SYSTEM_ID and system not in WITHOUT_DATA:
            known = (f"{each} ({name})" for each, name in WITHOUT_DATA.items())
            raise InvalidMessage(
                f"ProtectionSystemId {system} is not known, expected {SYSTEM_ID} (PlayReady) "
                f"and beside it {' or '.join(known)}"
            )
    if SYSTEM_ID not in systems:
        raise InvalidMessage(
            f"ProtectionSystems does not have {SYSTEM_ID} (PlayReady), expected it: "
            "there is no data for other systems alone"
        )


def build_playready_object(key: PackagingKey, packing: Packing, url: str) -> bytes:
    """Return the PlayReady Object of a key, at most 15 KiB, with `url` as its LA_URL.

    A key for AES-CBC has a header of version 4.3 whatever is set: no other one can tell.
    Raises InvalidMessage where the URL is too long.
    """
    algid = ALGIDS[key.key_type]
    version = Version.V4_3 if algid is Algid.AESCBC else packing.header_version
    digest = checksum(algid, key.key, key.kid) if packing.checksum else None
    header = Header(version, (HeaderKid(key.kid, algid, digest),), la_url=url)
    return build_object(object_of(header))


def _systems(asked: Sequence[uuid.UUID], data: bytes) -> tuple[ProtectionSystem, ...]:
    """Return what each system gets; PlayReady's is the first, which packagers take for theirs."""
    others = (system for system in asked if system != SYSTEM_ID)
    return (
        ProtectionSystem(SYSTEM_ID, data),
        *(ProtectionSystem(system, b"") for system in others),
    )


def _periods(stream: StreamInformation, key_period: int) -> range:
    if key_period == 0:
        return range(1)
    start = stream.offset.seconds
    end = start + (stream.interval.seconds if stream.interval else 0)
    first = floor(start / key_period)
    return range(first, max(first + 1, ceil(end / key_period)))


def _parts(stream: StreamInformation, periods: range, key_period: int) -> Iterator[Part]:
    """Give the part of each period, the only one as it was asked for."""
    if stream.interval is None or len(periods) == 1:
        yield Part(Slot(stream.program, periods[0]), stream.offset, stream.interval)
        return
    end = stream.offset.seconds + stream.interval.seconds
    for period in periods:
        start = max(stream.offset.seconds, Fraction(period * key_period))
        length = min(end, Fraction((period + 1) * key_period)) - start
        offset = stream.offset if period == periods[0] else Duration.of(start)
        yield Part(Slot(stream.program, period), offset, Duration.of(length))
