"""Who asks: which clients are served, and by what each is known."""

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.revocation import Revoked
from rightsmanager.protocol.formats.bcert import (
    Certificate,
    CertificateType,
    Chain,
    ChainVerifier,
    KeyUsage,
)

CLIENT_TYPES: Final = frozenset(
    {
        CertificateType.PC,
        CertificateType.DEVICE,
        CertificateType.SILVERLIGHT,
        CertificateType.APPLICATION,
    }
)
"""Who may ask for licences."""


def refuse_client(
    verifier: ChainVerifier, chains: Sequence[Chain], signer: Chain, revoked: Revoked, now: int
) -> None:
    """Refuse who is no client of the server's, at `now` in Unix seconds.

    chains: all chains of the challenge, each of which must be believed.
    signer: the one among them whose leaf signed it.

    Raises InvalidMessage, and DeviceCertificateRevoked for a certificate that is revoked.
    """
    for chain in chains:
        verifier.verify(chain, now, revoked.digests)
    if signer.leaf.type not in CLIENT_TYPES:
        raise InvalidMessage(
            f"the challenge is signed by a certificate of type {signer.leaf.type.name}, "
            "expected that of a client"
        )


def device_id(leaf: Certificate) -> str:
    """Return by what a device is known: base64 of the SHA-256 of its signing key."""
    key = leaf.key_with_usage(KeyUsage.SIGN)
    if key is None:
        raise InvalidMessage("the leaf certificate has no key with the usage to sign")
    return _id_of(key.raw)


# A device asks more than once, and each time its id is told several times.
@lru_cache(maxsize=1024)
def _id_of(key: bytes) -> str:
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def encryption_key(leaf: Certificate) -> p256.PublicKey:
    """Return the key that licences for a certificate are bound to; raises InvalidMessage."""
    key = leaf.key_with_usage(KeyUsage.ENCRYPT_KEY)
    if key is None:
        raise InvalidMessage("the leaf certificate has no key with the usage to encrypt keys")
    return key
