"""Content keys derived from a key seed.

    s = the first 30 bytes of the seed, k = the KID
    A = SHA-256(s ‖ k)    B = SHA-256(s ‖ k ‖ s)    C = SHA-256(s ‖ k ‖ s ‖ k)
    key = the exclusive or of the six halves of A, B and C

Source: the published page on the PlayReady key seed.
"""

from base64 import b64decode
from functools import lru_cache
from hashlib import sha256
from typing import Final

from rightsmanager.errors import InvalidMessage

SEED_LENGTH: Final = 30
KID_LENGTH: Final = 16
KEY_LENGTH: Final = 16
_MASK: Final = (1 << 8 * KEY_LENGTH) - 1

TEST_KEY_SEED: Final = b64decode("XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I")
"""The published seed of test content, 30 bytes; everything encrypted under it is public."""


# Many clients request the same content. The cache exposes nothing: the seed is in memory as well.
@lru_cache(maxsize=1024)
def content_key(seed: bytes, kid: bytes) -> bytes:
    """Return the content key of a KID (16 bytes, binary order), 16 bytes.

    Uses the seed's first 30 bytes. Raises InvalidMessage for a shorter seed or another length of
    KID.
    """
    if len(seed) < SEED_LENGTH:
        raise InvalidMessage(f"key seed has {len(seed)} bytes, expected at least {SEED_LENGTH}")
    if len(kid) != KID_LENGTH:
        raise InvalidMessage(f"KID has {len(kid)} bytes, expected {KID_LENGTH}")
    s = seed[:SEED_LENGTH]
    a, b, c = (
        int.from_bytes(sha256(data).digest()) for data in (s + kid, s + kid + s, s + kid + s + kid)
    )
    whole = a ^ b ^ c
    return ((whole >> 8 * KEY_LENGTH ^ whole) & _MASK).to_bytes(KEY_LENGTH)
