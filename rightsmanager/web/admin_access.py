"""Access to the admin API: a bearer token.

Its replies have no cross-origin headers: pages of other origins can neither send the requests nor
read the replies.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

_BEARER: Final = re.compile(r"(?i:bearer) +([!-~]+)")


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """The path and the token of the admin API; raises ValueError for an empty token."""

    path: str
    """Such as `/admin`."""
    token: str = field(repr=False)
    body_seconds: float = 20.0
    """Longest wait for the next bytes of a body."""

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("the token of the admin API is empty")

    def covers(self, path: str) -> bool:
        """Return whether a path belongs to the admin API."""
        return path == self.path or path.startswith(f"{self.path}/")

    def has_token(self, header: str) -> bool:
        """Return whether an Authorization header contains the token."""
        match = _BEARER.fullmatch(header.strip())
        # Digests have one length, so that the time tells nothing about the token's.
        return match is not None and hmac.compare_digest(_digest(match[1]), _digest(self.token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
