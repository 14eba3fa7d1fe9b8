"""The content keys of programs, for all protocols by which packagers request them.

Each program has one key in each key period. The first request creates and stores it, later ones get
the same KID and key, whatever the protocol. A request may name the KID, the key or the scheme: it
is refused if a stored one contradicts that.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.context import Context
from rightsmanager.operations.leaf_licenses import LeafIssuer, root_url
from rightsmanager.operations.packaging_keys import (
    ALGIDS,
    PackagingKey,
    PackagingOptions,
    build_playready_object,
)
from rightsmanager.protocol.formats.embedded import embed_licenses
from rightsmanager.protocol.formats.keylists.entry import SCHEMES
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import build_object, parse_object
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, MAX_PROGRAM_LENGTH, Kid, find_track
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.sources import PACKAGER, Source

MAX_KEYS: Final = 1000
"""Keys in one reply."""
_USUAL_SCHEMES: Final = {"aesctr": "cenc", "aescbc": "cbcs"}
"""The scheme of a key whose client names none."""


class Slot(NamedTuple):
    """The key period of a program, which has one key."""

    program: str
    period: int


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A requested key: of a program's period, or of a KID alone."""

    slot: Slot | None
    """None for a key that belongs to no program; then there is a KID."""
    kid: Kid | None = None
    """The KID that the client has chosen."""
    scheme: str | None = None
    """One of SCHEMES, if the client names it."""
    key: bytes | None = field(default=None, repr=False)
    """The key that the client brings, 16 bytes."""
    iv: bytes | None = None
    """The explicit IV that the client brings."""
    track: str | None = None
    """The kind of streams that it encrypts; None for that after # in the program, if any."""
    is_kid_replaced: bool = False
    """Whether the client takes another KID than its own, if the program has one already."""


class ContradictingKey(ServiceSpecific):
    """A request that contradicts a stored key."""


class KeyContext(Protocol):
    """The parts of a server that create keys."""

    @property
    def store(self) -> Store:
        """The store."""

    @property
    def content_keys(self) -> ContentKeys:
        """Encrypts keys for the store."""

    @property
    def clock(self) -> Callable[[], int]:
        """Returns the time in Unix seconds."""

    @property
    def rng(self) -> Rng:
        """The source of keys and KIDs."""


def record_keys(
    context: KeyContext, options: PackagingOptions, wanted: Sequence[WantedKey]
) -> tuple[PackagingKey, ...]:
    """Return the keys in the order of the request, creating those that are missing."""
    refuse_many(len(wanted))
    with context.store.transaction() as transaction:
        keys = {
            each: _find_key(context, transaction, options, each)
            # In a fixed order, to avoid deadlock.
            for each in sorted(set(wanted), key=_order)
        }
        # In the transaction: a refused request must not create a key.
        if len({key.kid for key in keys.values()}) < len(keys):
            raise InvalidMessage("two requested keys are one stored key, expected each its own")
    return tuple(keys[each] for each in wanted)


def refuse_many(count: int) -> None:
    """Raise InvalidMessage for more keys than a reply may have."""
    if count > MAX_KEYS:
        raise InvalidMessage(f"the request is for more than {MAX_KEYS} keys")


def _order(wanted: WantedKey) -> tuple[Slot, bytes]:
    return wanted.slot or Slot("", -1), b"" if wanted.kid is None else wanted.kid.raw


def _find_key(
    context: KeyContext, transaction: Transaction, options: PackagingOptions, wanted: WantedKey
) -> PackagingKey:
    kid = _find_kid(transaction, wanted)
    if kid is None:
        kid = _create_key(context, transaction, options, wanted)
    stored = transaction.content_keys.find(kid)
    if stored is None:
        raise InternalError(f"KID {kid.text} of a program has no stored content key")
    clear = context.content_keys.open(stored)
    found = PackagingKey(kid, clear, stored.key_type, stored.track)
    _refuse_contradiction(found, wanted, options)
    return found


def _find_kid(transaction: Transaction, wanted: WantedKey) -> Kid | None:
    if wanted.slot is not None:
        return transaction.sources.find_kid(*wanted.slot)
    known = wanted.kid is not None and transaction.content_keys.find(wanted.kid) is not None
    return wanted.kid if known else None


def _create_key(
    context: KeyContext, transaction: Transaction, options: PackagingOptions, wanted: WantedKey
) -> Kid:
    """Return the KID of a new key, or of the one that another request has just created."""
    drawn = Kid(uuid.UUID(bytes=context.rng(CONTENT_KEY_LENGTH), version=4).bytes_le)
    kid = wanted.kid or drawn
    if wanted.kid is not None:
        _refuse_swapped(transaction, kid)
    program, period = wanted.slot or (None, None)
    source = Source(PACKAGER, program, period, wanted.scheme, wanted.iv)
    if not transaction.sources.record(kid, source):
        return _find_created(transaction, wanted, kid)
    key = wanted.key or context.rng(CONTENT_KEY_LENGTH)
    key_type = SCHEMES[wanted.scheme] if wanted.scheme else options.key_type
    sealed = context.content_keys.seal(kid, key, key_type, context.clock(), context.rng)
    # The key of a KID that an operator added before stays as it is.
    transaction.content_keys.record(replace(sealed, track=wanted.track or _track_of(program)))
    return kid


def _track_of(program: str | None) -> str | None:
    """Return the track that follows # in the name of a program, if any."""
    _, separator, name = (program or "").rpartition("#")
    return find_track(name) if separator else None


def _find_created(transaction: Transaction, wanted: WantedKey, kid: Kid) -> Kid:
    """Return the KID that another request has recorded meanwhile."""
    created = transaction.sources.find_kid(*wanted.slot) if wanted.slot else kid
    if created is not None:
        return created
    if wanted.kid is None:
        raise InternalError(f"KID {kid.text} has been drawn before")
    raise ContradictingKey(f"KID {kid.text} belongs to another program or key period already")


def _refuse_swapped(transaction: Transaction, kid: Kid) -> None:
    stored, swapped = transaction.content_keys.find_pair(kid)
    if stored is None and swapped is not None:
        raise ContradictingKey(
            f"KID {kid.text} has no stored content key, but {swapped.kid.text} has one, which is "
            "the same KID with its first three fields byte-swapped: expected that spelling"
        )


def _refuse_contradiction(
    found: PackagingKey, wanted: WantedKey, options: PackagingOptions
) -> None:
    kid = found.kid.text
    if wanted.kid not in {None, found.kid} and not wanted.is_kid_replaced:
        text = f"the KID is {wanted.kid}, expected {kid}, which the program has in this key period"
        if wanted.kid == found.kid.swapped:
            text = f"{text}; it is the same with its first three fields byte-swapped"
        raise ContradictingKey(text)
    if wanted.key not in {None, found.key}:
        raise ContradictingKey(f"KID {kid} has another content key already")
    named = f"algid is {options.key_type.upper()}" if options.is_key_type_named else ""
    key_type = options.key_type
    if wanted.scheme is not None:
        named, key_type = f"the scheme is {wanted.scheme}", SCHEMES[wanted.scheme]
    if named and found.key_type != key_type:
        of = "" if wanted.slot is None else f" of program {wanted.slot.program[:64]!r}"
        raise ContradictingKey(
            f"{named}, expected {found.key_type.upper()}, which the "
            f"stored key{of} is for (KID {kid})"
        )


@dataclass(frozen=True, slots=True)
class WantedTrack:
    """A requested key and its use in the reply."""

    key: WantedKey
    track: str = ""
    """The name of the tracks that it encrypts, empty for all."""
    root: Kid | None = None
    """The requested KID of the root that it depends on; then its box brings a leaf licence."""


def issue_protected_keys(
    context: Context, options: PackagingOptions, tracks: Sequence[WantedTrack], url: str
) -> tuple[ProtectedKey, ...]:
    """Return the keys with their PlayReady Objects, which name `url`; they are stored."""
    refuse_long_url(options, root_url(url))
    keys = record_keys(context, options, tuple(each.key for each in tracks))
    objects = {key: build_playready_object(key, options, url) for key in set(keys)}
    objects |= _build_hierarchy(context, options, dict(zip(tracks, keys, strict=True)), url)
    return tuple(
        ProtectedKey(
            kid=key.kid,
            key=key.key,
            playready_object=objects[key],
            scheme=each.key.scheme or _USUAL_SCHEMES[key.key_type],
            iv=each.key.iv,
            track=each.track,
            period=None if each.key.slot is None else each.key.slot.period,
        )
        for each, key in zip(tracks, keys, strict=True)
    )


def _build_hierarchy(
    context: Context,
    options: PackagingOptions,
    keys: Mapping[WantedTrack, PackagingKey],
    url: str,
) -> Mapping[PackagingKey, bytes]:
    """Return the PlayReady Objects of the keys that depend on others, and of those others."""
    defaults, own_mid = context.options.defaults, context.metering_keys.own_mid
    issuer = LeafIssuer(defaults, own_mid, context.clock, context.rng)
    by_kid = {wanted.key.kid: key for wanted, key in keys.items()}
    objects = {}
    for wanted, key in keys.items():
        if wanted.root is None:
            continue
        root = by_kid[wanted.root]
        objects[root] = build_playready_object(root, options, root_url(url))
        plain = parse_object(build_playready_object(key, options, url))
        objects[key] = build_object(embed_licenses(plain, [issuer.issue(key, root)]))
    return objects


def refuse_long_url(options: PackagingOptions, url: str) -> None:
    """Raise InvalidMessage for a URL that makes PlayReady Objects too long."""
    # A reply that cannot be built must not be recorded.
    unknown = bytes(CONTENT_KEY_LENGTH)
    for key_type in ALGIDS:
        build_playready_object(PackagingKey(Kid(unknown), unknown, key_type), options, url)


def refuse_program(program: str) -> None:
    """Raise InvalidMessage unless a text can be the name of a program."""
    if not 0 < len(program) <= MAX_PROGRAM_LENGTH or not program.isprintable():
        raise InvalidMessage(
            f"the program is {program[:64]!r}, expected 1 to {MAX_PROGRAM_LENGTH} printable "
            "characters"
        )
