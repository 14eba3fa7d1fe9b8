"""Where random bytes come from: the system, or a seed when a run is to be repeated."""

import os
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Rng = Callable[[int], bytes]
"""Gives as many random bytes as it is asked for."""

system_random: Final[Rng] = os.urandom


def seeded_random(seed: bytes) -> Rng:
    """Return a source that gives the same bytes for the same seed, whatever the portions.

    The stream is AES-256-CTR under SHA-256 of the seed. It is for tests and repeatable runs:
    whoever knows the seed knows every key.
    """
    # CTR needs a block to count in; a key is used for one stream only, so it may start at zero.
    stream = Cipher(algorithms.AES(sha256(seed).digest()), modes.CTR(bytes(16))).encryptor()
    lock = Lock()

    def draw(length: int) -> bytes:
        with lock:
            return stream.update(bytes(length))

    return draw
