"""An authenticated device: the one that signed a challenge and whose certificates verified."""

import base64
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import Certificate, Chain, KeyUsage


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the server, its policy and its hooks see it."""

    id: str
    """Base64 of the SHA-256 of the device's signing key."""
    chain: Chain
    """The chain whose leaf signed the challenge."""
    chains: tuple[Chain, ...] = field(default=(), repr=False)
    """All chains of the challenge: the device's and those of its domains."""
    client_version: str = ""
    """Of an AcquireLicense challenge, empty otherwise."""
    client_time: int = 0
    """The device's clock in Unix seconds, as an AcquireLicense challenge states it."""
    features: tuple[str, ...] = ()
    """Names of the features in an AcquireLicense challenge, empty otherwise."""

    @property
    def leaf(self) -> Certificate:
        """The device's own certificate."""
        return self.chain.leaf


def device_id(leaf: Certificate) -> str:
    """Return the device id of a leaf certificate; raises InvalidMessage without a signing key."""
    key = leaf.key_with_usage(KeyUsage.SIGN)
    if key is None:
        raise InvalidMessage("the leaf certificate has no key with the usage to sign")
    return _hash_key(key.raw)


def encryption_key(leaf: Certificate) -> p256.PublicKey:
    """Return the key that licences for a certificate are bound to; raises InvalidMessage."""
    key = leaf.key_with_usage(KeyUsage.ENCRYPT_KEY)
    if key is None:
        raise InvalidMessage("the leaf certificate has no key with the usage to encrypt keys")
    return key


# The same devices return, and hashing and encoding cost as much as a dozen calls.
@lru_cache(maxsize=1024)
def _hash_key(key: bytes) -> str:
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
