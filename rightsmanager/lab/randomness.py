"""Randomness of a world with a seed: it follows from the seed and the request alone.

    bytes of a request = AES-CTR under (seed, SHA-256 of the request, number of that request)

The number counts earlier requests with exactly the same bytes. So it does not matter which worker
answers a request, and in which order different ones come.
"""

import fcntl
import os
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Lock, local
from typing import Any, Final

from rightsmanager.crypto.random import Rng, seeded_random, system_random

Environ = dict[str, Any]
_TAG: Final = 8
"""Bytes of a request's digest in the log."""
_DESCRIBING: Final = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING")


class RequestLog:
    """Numbers equal requests, for all workers: a file of the digests of all requests."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._read = 0
        self._counts: Counter[bytes] = Counter()

    def count(self, digest: bytes) -> int:
        """Return the number of earlier requests with this digest, and add this one."""
        tag = digest[:_TAG]
        with self._lock:
            opened = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX)
                self._load(opened)
                os.write(opened, tag)
            finally:
                # Closing also unlocks.
                os.close(opened)
            self._read += _TAG
            self._counts[tag] += 1
            return self._counts[tag] - 1

    def _load(self, opened: int) -> None:
        """Count the requests of other workers since the last time."""
        end = os.fstat(opened).st_size
        # A worker that was killed may have left a part of a digest.
        if end % _TAG:
            end -= end % _TAG
            os.truncate(opened, end)
        data = os.pread(opened, end - self._read, self._read)
        self._counts.update(data[at : at + _TAG] for at in range(0, len(data), _TAG))
        self._read = end


class HashedInput:
    """The body of a request, hashed while it is read."""

    def __init__(self, source: Any) -> None:  # noqa: ANN401 -- any server's input
        self._source = source
        self.hash = sha256()

    def read(self, *size: int) -> bytes:
        """Return the next bytes."""
        data: bytes = self._source.read(*size)
        self.hash.update(data)
        return data

    def readline(self, *size: int) -> bytes:
        """Return the next line."""
        data: bytes = self._source.readline(*size)
        self.hash.update(data)
        return data


@dataclass
class _Draw:
    """The request that a thread answers."""

    environ: Environ
    body: HashedInput
    rng: Rng | None = None


@dataclass(frozen=True, slots=True)
class SeededRandom:
    """The randomness of a world with a seed; outside of its requests it is the system's."""

    seed: int
    log: RequestLog
    _thread: local = field(default_factory=local)

    def begin(self, environ: Environ) -> None:
        """Take a request of this thread; its bytes are known when the first ones are drawn."""
        body = HashedInput(environ["wsgi.input"])
        environ["wsgi.input"] = body
        self._thread.draw = _Draw(_describe(environ), body)

    def end(self) -> None:
        """Forget this thread's request."""
        self._thread.draw = None

    def __call__(self, length: int) -> bytes:
        """Return that many bytes."""
        draw: _Draw | None = getattr(self._thread, "draw", None)
        if draw is None:
            return system_random(length)
        if draw.rng is None:
            draw.rng = self._make(draw)
        return draw.rng(length)

    def _make(self, draw: _Draw) -> Rng:
        described = "\0".join(str(draw.environ[name]) for name in _DESCRIBING)
        digest = sha256(described.encode("latin-1", "replace") + draw.body.hash.digest()).digest()
        number = self.log.count(digest)
        return seeded_random(f"{self.seed}\0{digest.hex()}\0{number}".encode())


def _describe(environ: Environ) -> Environ:
    return {name: environ.get(name, "") for name in _DESCRIBING}
