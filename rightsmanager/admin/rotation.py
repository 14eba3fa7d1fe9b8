"""Key rotation: the keys of a program's periods, made before the packager needs them.

DASH-IF knows three ways to signal them, and each key comes with what one of them needs:

    keys by period      the PSSH box of a key, for the manifest's Period
    in-band             the same box, for the media's moof
    root and leaf       a box with a leaf licence, for the moof; the root's box, for the manifest

The root key of a program is that of the program `PROGRAM#root`. Its box names a URL by which
devices request a root licence. A leaf licence has the policy of its key's track or the usual one.

Source: DASH-IF Implementation Guidelines, Content Protection and Security, on key rotation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.leaf_licenses import LeafIssuer, root_url
from rightsmanager.operations.packaging_keys import (
    PackagingKey,
    PackagingOptions,
    build_playready_object,
)
from rightsmanager.operations.program_keys import (
    MAX_KEYS,
    Slot,
    WantedKey,
    record_keys,
    refuse_long_url,
    refuse_program,
)
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.protocol.formats.embedded import embed_licenses
from rightsmanager.protocol.formats.keylists.entry import LAST_PERIOD, ROOT_SUFFIX
from rightsmanager.protocol.formats.pssh import PlayReadyObject, Pssh, build_pssh, parse_object
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.store.database import Store


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A key with the PSSH box that signals it."""

    program: str
    period: int
    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    is_new: bool
    pssh: bytes


@dataclass(frozen=True, slots=True)
class Rotated:
    """The keys of a rotation."""

    periods: tuple[RotatedKey, ...]
    root: RotatedKey | None = None
    """The key that the leaf licences in the boxes of the periods are chained to."""


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """Creates the keys of periods. The same request later returns the same keys."""

    store: Store
    content_keys: ContentKeys
    options: PackagingOptions
    defaults: LicenseDefaults
    own_mid: Mid
    """The server's metering id."""
    clock: Callable[[], int]
    """Returns the time in Unix seconds."""
    rng: Rng

    def find_next(self, program: str, count: int) -> tuple[int, ...]:
        """Return the numbers of the next periods, after the last one that has a key.

        Raises InvalidMessage for more than one rotation creates.
        """
        _refuse_count(count)
        with self.store.reading() as found:
            last = found.sources.find_last_period(program)
        first = 0 if last is None else last + 1
        return tuple(range(first, first + count))

    def rotate(
        self,
        program: str,
        periods: Sequence[int],
        *,
        url: str = "",
        scheme: str | None = None,
        has_root: bool = False,
    ) -> Rotated:
        """Return the keys of periods, creating those that are missing.

        url: of the service, for headers; empty for none. scheme: of new keys; None for the
        settings' key type. has_root: whether the boxes bring leaf licences.
        """
        refuse_program(program)
        _refuse_periods(periods)
        refuse_long_url(self.options, root_url(url))
        wanted = [WantedKey(Slot(program, each), scheme=scheme) for each in periods]
        if not has_root:
            keys = self._record(wanted)
            return Rotated(tuple(_signal(each, self._build_object(each, url)) for each in keys))
        # A root's key encrypts keys, not content: its type does not depend on the content's.
        root_slot = Slot(program + ROOT_SUFFIX, 0)
        refuse_program(root_slot.program)
        *below, root = self._record([*wanted, WantedKey(root_slot, scheme="cenc")])
        root_object = self._build_object(root, root_url(url))
        leaves = (_signal(each, self._build_leaf(each, root, url)) for each in below)
        return Rotated(tuple(leaves), _signal(root, root_object))

    def _record(self, wanted: Sequence[WantedKey]) -> "tuple[_Recorded, ...]":
        slots = [each.slot for each in wanted if each.slot is not None]
        with self.store.reading() as found:
            known = {slot for slot in slots if found.sources.find_kid(*slot) is not None}
        keys = record_keys(self, self.options, wanted)
        pairs = zip(slots, keys, strict=True)
        return tuple(_Recorded(slot, key, is_new=slot not in known) for slot, key in pairs)

    def _build_object(self, recorded: "_Recorded", url: str) -> PlayReadyObject:
        return parse_object(build_playready_object(recorded.key, self.options, url or None))

    def _build_leaf(self, leaf: "_Recorded", root: "_Recorded", url: str) -> PlayReadyObject:
        """Return the object of a key with its leaf licence."""
        issuer = LeafIssuer(self.defaults, self.own_mid, self.clock, self.rng)
        return embed_licenses(self._build_object(leaf, url), [issuer.issue(leaf.key, root.key)])


class _Recorded(NamedTuple):
    slot: Slot
    key: PackagingKey
    is_new: bool


def _signal(recorded: _Recorded, playready_object: PlayReadyObject) -> RotatedKey:
    slot, key, is_new = recorded
    box = build_pssh(Pssh(playready_object))
    return RotatedKey(slot.program, slot.period, key.kid, key.key, is_new=is_new, pssh=box)


def _refuse_count(count: int) -> None:
    if not 0 < count < MAX_KEYS:
        raise InvalidMessage(f"{count} key periods, expected 1 to {MAX_KEYS - 1}")


def _refuse_periods(periods: Sequence[int]) -> None:
    _refuse_count(len(periods))
    if not (min(periods) >= 0 and max(periods) <= LAST_PERIOD):
        raise InvalidMessage(f"the key periods end at {max(periods)}, expected 0 to {LAST_PERIOD}")
