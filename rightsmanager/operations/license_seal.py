"""Seals a licence: its policy, its encrypted content key and its MAC as an XMR licence.

    bound      the content key and a random integrity key as one point, encrypted by EC ElGamal to
               the device's or domain's key, and that key
    chained    integrity key(16), content key(16), encrypted block by block under the root
               licence's content key; and the root's KID with its AES-CMAC under that key

Source: the published structure of licences; the checksum of the uplink is the project's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.operations.content import FoundKey
from rightsmanager.operations.context import Context
from rightsmanager.operations.domain_binding import Binding
from rightsmanager.policy.grants import Grant, describe
from rightsmanager.policy.licenses import build_policy, policy_objects
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.xmr.objects import (
    Cipher,
    ContentKey,
    DeviceKey,
    KeyMaterial,
    KeyType,
    UplinkKid,
)
from rightsmanager.protocol.wire import Kid

INTEGRITY_KEY_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class ClearKey:
    """A content key with its KID and cipher."""

    kid: Kid
    key_type: KeyType
    key: bytes = field(repr=False)
    """16 bytes."""


@dataclass(frozen=True, slots=True)
class SealedKey:
    """The key material of a licence, and the integrity key that its MAC is made with."""

    material: KeyMaterial
    integrity_key: bytes = field(repr=False)
    """16 bytes."""


@dataclass(frozen=True, slots=True)
class PendingLicense:
    """A licence that is decided and not yet sealed."""

    grant: Grant
    key: FoundKey
    license_id: bytes
    """16 bytes; XMR calls it the rights id."""
    binding: Binding | None = None
    """Its domain; None for a licence that is bound to the device."""

    @property
    def key_type(self) -> KeyType:
        """The cipher that the content key is for."""
        return self.grant.key_type or self.key.key_type or KeyType.AES_CTR

    @property
    def clear(self) -> ClearKey:
        """The content key before it is sealed."""
        return ClearKey(self.grant.kid, self.key_type, self.key.key)

    @property
    def description(self) -> str:
        """The grant as JSON, for the record."""
        grant = self.grant
        return describe(
            grant.policy,
            self.key_type,
            is_root=grant.is_root,
            root_kid=grant.root_kid,
            account_id=grant.account_id,
        )

    @property
    def undated_description(self) -> str:
        """The description without dates."""
        policy = replace(self.grant.policy, begin=None, expiration=None, removal_date=None)
        return replace(self, grant=replace(self.grant, policy=policy)).description


def build_license(
    context: Context,
    license_: PendingLicense,
    roots: Mapping[Kid, ClearKey],
    device_key: p256.PublicKey,
    now: int,
) -> bytes:
    """Return a licence bound to its domain or to `device_key`, or chained to a root of `roots`."""
    root_kid = license_.grant.root_kid
    if root_kid is None:
        key = device_key if license_.binding is None else license_.binding.key
        sealed = bind(license_.clear, key, context.backend, context.rng)
    else:
        sealed = chain(license_.clear, roots[root_kid], context.rng)
    body = _build_policy(context, license_, now) + xmr.build_objects((sealed.material,))
    return xmr.sign_objects(license_.license_id, body, sealed.integrity_key)


def _build_policy(context: Context, license_: PendingLicense, now: int) -> bytes:
    policy, own_mid = license_.grant.policy, context.metering_keys.own_mid
    domain = None if license_.binding is None else license_.binding.domain
    if not policy.secure_stop:
        return build_policy(policy, now, own_mid, domain)
    objects = policy_objects(policy, now, own_mid, domain)
    return xmr.build_objects(
        context.secure_stop_keys.add_key(objects, license_.grant.kid, license_.key.key)
    )


# The same devices return; a checked object need not be checked again.
_device_key_object: Final = lru_cache(maxsize=1024)(DeviceKey)


def bind(clear: ClearKey, device_key: p256.PublicKey, backend: p256.Backend, rng: Rng) -> SealedKey:
    """Encrypt a content key to the public key of a device or a domain."""
    x = p256.point_x_with_tail(clear.key, rng)
    value = backend.encrypt(device_key, x, rng)
    content_key = ContentKey(clear.kid, clear.key_type, Cipher.ECC_256, value)
    material = KeyMaterial((content_key, _device_key_object(device_key.raw)))
    return SealedKey(material, x[:INTEGRITY_KEY_LENGTH])


def chain(clear: ClearKey, root: ClearKey, rng: Rng) -> SealedKey:
    """Encrypt a content key under the content key of a root licence."""
    integrity_key = rng(INTEGRITY_KEY_LENGTH)
    value = aes.ecb_encrypt(root.key, integrity_key + clear.key)
    content_key = ContentKey(clear.kid, clear.key_type, Cipher.CHAINED, value)
    uplink = UplinkKid(root.kid, aes.cmac(root.key, root.kid.raw))
    return SealedKey(KeyMaterial((content_key, uplink)), integrity_key)
