"""Signed request tokens for the hooks of `rightsmanager.hooks.token`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.crypto.random import Rng
from rightsmanager.files import keep_file
from rightsmanager.hooks.token import SECRET_FILE, sign
from rightsmanager.protocol.wire import Kid

SECRET_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class RequestTokens:
    """Signs request tokens with the secret of a data folder, which the first one makes."""

    data: Path
    clock: Callable[[], int]
    rng: Rng

    def sign(self, subject: str, seconds: int, kids: Sequence[Kid] = ()) -> str:
        """Return a token for a subject that is valid for some seconds, for all KIDs by default."""
        secret = keep_file(self.data / SECRET_FILE, lambda: self.rng(SECRET_LENGTH))
        return sign(secret, subject, self.clock() + seconds, tuple(kids))
