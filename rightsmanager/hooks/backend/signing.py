"""Signatures of the documents that server and back end exchange.

    request     RightsManager-Timestamp    Unix seconds
                RightsManager-Nonce        32 hexadecimal digits, new for each request
                RightsManager-Signature    of "request", timestamp, nonce and body
    answer      RightsManager-Signature    of "answer", the request's nonce and body

A signature is the HMAC-SHA-256 of these parts, joined by line feeds, in hexadecimal digits. Its key
is the text of the secret's file without white space at its ends.

A back end refuses an old timestamp and a repeated nonce. An answer belongs to one request, so that
a recorded one is worthless, as is one of another service at the same address.
"""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError, InvalidMessage

SIGNATURE: Final = "RightsManager-Signature"
TIMESTAMP: Final = "RightsManager-Timestamp"
NONCE: Final = "RightsManager-Nonce"
NONCE_LENGTH: Final = 16
MIN_SECRET: Final = 32
"""Bytes."""


def read_secret(file: Path) -> bytes:
    """Return the secret in a file; raises InternalError for a missing or a short one."""
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise InternalError(
            f"hooks.secret_file {file} cannot be read: {error.strerror}; create it with "
            "python3 -c 'import secrets; print(secrets.token_hex(32))'"
        ) from None
    if len(secret) < MIN_SECRET:
        raise InternalError(
            f"hooks.secret_file {file} has {len(secret)} bytes, expected at least {MIN_SECRET}"
        )
    return secret


def sign_request(secret: bytes, timestamp: int, nonce: str, body: bytes) -> str:
    """Return the signature of a request; `timestamp` in Unix seconds."""
    return _sign(secret, b"request", str(timestamp).encode(), nonce.encode(), body)


def sign_answer(secret: bytes, nonce: str, body: bytes) -> str:
    """Return the signature of the answer to the request with that nonce."""
    return _sign(secret, b"answer", nonce.encode(), body)


def verify_answer(secret: bytes, nonce: str, body: bytes, signature: str) -> None:
    """Verify the signature of an answer; raises InvalidMessage."""
    if not signature:
        raise InvalidMessage(f"has no {SIGNATURE}")
    expected = sign_answer(secret, nonce, body)
    if not hmac.compare_digest(expected.encode(), signature.strip().lower().encode()):
        raise InvalidMessage(f"has a wrong {SIGNATURE}")


def _sign(secret: bytes, *parts: bytes) -> str:
    return hmac.new(secret, b"\n".join(parts), hashlib.sha256).hexdigest()
