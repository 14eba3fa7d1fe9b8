"""The key material of a licence: its content key, encrypted to a device or under a root licence.

    bound      the content key and a random integrity key as one point, encrypted by EC ElGamal to
               the device's key, and that key
    chained    integrity key(16), content key(16), encrypted block by block under the root
               licence's content key; and the root's KID with its AES-CMAC under that key

Source: the published structure of licences; the checksum of the uplink is the project's own.
"""

from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
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
    """A content key on its way into a licence."""

    kid: Kid
    key_type: KeyType
    key: bytes = field(repr=False)
    """16 bytes."""


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A content key in its licence, and the integrity key that signs the licence."""

    material: KeyMaterial
    integrity_key: bytes = field(repr=False)
    """16 bytes."""


def bind(clear: ClearKey, device_key: p256.PublicKey, backend: p256.Backend, rng: Rng) -> SealedKey:
    """Return the key material that the owner of a certificate's key opens."""
    x = p256.point_x_with_tail(clear.key, rng)
    value = backend.encrypt(device_key, x, rng)
    content_key = ContentKey(clear.kid, clear.key_type, Cipher.ECC_256, value)
    material = KeyMaterial((content_key, DeviceKey(device_key.raw)))
    return SealedKey(material, x[:INTEGRITY_KEY_LENGTH])


def chain(clear: ClearKey, root: ClearKey, rng: Rng) -> SealedKey:
    """Return the key material that whoever has the root licence opens."""
    integrity_key = rng(INTEGRITY_KEY_LENGTH)
    value = aes.ecb_encrypt(root.key, integrity_key + clear.key)
    content_key = ContentKey(clear.kid, clear.key_type, Cipher.CHAINED, value)
    uplink = UplinkKid(root.kid, aes.cmac(root.key, root.kid.raw))
    return SealedKey(KeyMaterial((content_key, uplink)), integrity_key)
