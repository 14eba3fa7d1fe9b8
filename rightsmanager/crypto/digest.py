"""Keys derived from a secret.

Source: RFC 5869 (HKDF).
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def hkdf_sha256(secret: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes, at most 8160, derived from the secret for the purpose `info`."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)
