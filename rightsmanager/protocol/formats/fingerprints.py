"""Fingerprints: short texts by which people compare public keys."""

import hashlib

from rightsmanager.protocol.wire import encode_base64


def fingerprint(point: bytes) -> str:
    """Return `SHA256:` and base64 of the SHA-256 of a 64-byte public key."""
    return "SHA256:" + encode_base64(hashlib.sha256(point).digest()).rstrip("=")
