"""Sources of random bytes: the system, or a seed for repeatable runs."""

import os
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Rng = Callable[[int], bytes]
"""Returns that many random bytes."""

system_random: Final[Rng] = os.urandom


def seeded_random(seed: bytes) -> Rng:
    """Return a source whose stream depends on the seed alone, not on the lengths drawn.

    The stream is AES-256-CTR under SHA-256 of the seed. For tests and repeatable runs only:
    the seed reveals every key.
    """
    # The counter may start at zero because each key is used for one stream only.
    stream = Cipher(algorithms.AES(sha256(seed).digest()), modes.CTR(bytes(16))).encryptor()
    lock = Lock()

    def draw(length: int) -> bytes:
        with lock:
            return stream.update(bytes(length))

    return draw
