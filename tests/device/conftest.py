"""A device of fixed keys, and licences as a server would make them for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.device import Device, LicenseOpener
from rightsmanager.operations.license_seal import ClearKey, SealedKey, bind, chain
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.xmr.objects import (
    GlobalPolicy,
    IssueDate,
    KeyType,
    PlaybackPolicy,
    RightsSettings,
    XmrObject,
)
from tests.operations.subject import PORTABLE, private_key, public_key
from tests.second import world

if TYPE_CHECKING:
    from rightsmanager.crypto.p256 import PublicKey
    from rightsmanager.protocol.wire import Kid

NOW = world.NOW


@dataclass(frozen=True)
class Issuer:
    """Makes licences, bound or chained."""

    rng: Rng = field(default_factory=lambda: seeded_random(b"issuer"))

    def bound(
        self,
        kid: Kid,
        *terms: XmrObject,
        key: bytes | None = None,
        to: PublicKey | None = None,
        persistent: bool = True,
        play: bool = True,
        issued: int = NOW,
    ) -> bytes:
        clear = ClearKey(kid, KeyType.AES_CTR, key or self.rng(16))
        target = to or public_key(world.DEVICE_ENCRYPTION)
        sealed = bind(clear, target, PORTABLE, self.rng)
        return self._signed(sealed, terms, persistent=persistent, play=play, issued=issued)

    def leaf(self, kid: Kid, root: Kid, root_key: bytes, *terms: XmrObject) -> bytes:
        clear = ClearKey(kid, KeyType.AES_CTR, self.rng(16))
        sealed = chain(clear, ClearKey(root, KeyType.AES_CTR, root_key), self.rng)
        return self._signed(sealed, terms, persistent=True, play=True, issued=NOW)

    def _signed(
        self,
        sealed: SealedKey,
        terms: tuple[XmrObject, ...],
        *,
        persistent: bool,
        play: bool,
        issued: int,
    ) -> bytes:
        settings = () if persistent else (RightsSettings(),)
        rights = (PlaybackPolicy(),) if play else ()
        policy = GlobalPolicy((*settings, IssueDate(issued), *terms))
        objects = (policy, *rights, sealed.material)
        return xmr.build_signed(self.rng(16), objects, sealed.integrity_key)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="session")
def opening() -> LicenseOpener:
    device = Device(
        parse_chain(world.DEVICE_CHAIN),
        private_key(world.DEVICE_SIGNING),
        private_key(world.DEVICE_ENCRYPTION),
    )
    return LicenseOpener(device, ChainVerifier((public_key(world.ROOT),)), PORTABLE)
