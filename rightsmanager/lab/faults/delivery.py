"""Effects on the way of a reply to its client: late, slow, cut.

A late reply keeps a thread of the worker. So at most MAX_DELAYED of a worker wait at once, each for
at most MAX_DELAY_MS, and a client that goes away ends its wait.

A connection is cut by ConnectionResetError, upon which gunicorn closes it; a reset closes it before
with SO_LINGER 0, so that the client's system reports a reset and not an end.
"""

import errno
import math
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import Any, Final

from rightsmanager.crypto.random import Rng
from rightsmanager.lab.faults.altering import kept_bytes
from rightsmanager.lab.faults.choosing import Chosen
from rightsmanager.lab.faults.fault import Fault
from rightsmanager.lab.faults.toxics import MAX_DELAY_MS

MAX_DELAYED: Final = 12
"""The most replies of a worker that are delayed at once."""
DELAYS: Final = frozenset({"latency", "slow-reply"})
"""Toxics that keep a thread."""
CUTS: Final = frozenset({"cut-before", "reply-lost"})
"""Toxics that cut the connection in place of a reply."""
_PIECE_SECONDS: Final = 0.02
"""The time between two pieces of a slow reply."""
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_CLIENT_END: Final = getattr(select, "POLLRDHUP", 0)
"""The event of a client that sends no more; macOS reports the end of the connection alone."""
_SOCKET: Final = "gunicorn.socket"
_HALF_BITS: Final = 1 << 53
_MAX_SECONDS: Final = MAX_DELAY_MS / 1000

DELAYED: Final = BoundedSemaphore(MAX_DELAYED)
"""The places of delayed replies in this process."""

Environ = dict[str, Any]


class Delivery:
    """The body of a reply, sent as the chosen faults say; an iterable of WSGI."""

    def __init__(
        self,
        body: bytes,
        chosen: tuple[Chosen, ...],
        environ: Environ,
        close: Callable[[], None],
    ) -> None:
        self._body = body
        self._faults = {each.fault.kind: each.fault for each in chosen}
        self._environ = environ
        self.close = close
        """Called by the server at the end, however it came."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body; raises ConnectionResetError to cut the connection."""
        faults = self._faults
        if (cut_in := faults.get("cut-in-reply")) is not None:
            yield from self._pieces(self._body[: kept_bytes(cut_in, self._body)])
            self._cut(cut_in)
        yield from self._pieces(self._body)
        if (cut_after := faults.get("cut-after")) is not None:
            self._cut(cut_after)

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        """Yield a body, slowly if a fault says so."""
        fault = self._faults.get("slow-reply")
        if fault is None:
            yield body
            return
        rate = fault.whole("bytes_per_second")
        size = max(1, int(rate * _PIECE_SECONDS))
        until = time.monotonic() + _MAX_SECONDS
        for start in range(0, len(body), size):
            if time.monotonic() >= until:
                yield body[start:]
                return
            yield body[start : start + size]
            _flush(self._environ)
            wait(self._environ, size / rate)

    def _cut(self, fault: Fault) -> None:
        _flush(self._environ)
        cut(self._environ, fault)


def delay_seconds(fault: Fault, rng: Rng) -> float:
    """Return the delay of one reply in seconds, at most that of MAX_DELAY_MS."""
    mean, jitter = fault.number("milliseconds"), fault.number("jitter_ms")
    match fault.text("distribution"):
        case "uniform":
            delay = mean + jitter * (2 * _uniform(rng) - 1)
        case "normal":
            radius = math.sqrt(-2 * math.log(1 - _uniform(rng)))
            delay = mean + jitter * radius * math.cos(2 * math.pi * _uniform(rng))
        case "exponential":
            delay = -mean * math.log(1 - _uniform(rng))
        case _:
            delay = mean
    return min(max(delay, 0), MAX_DELAY_MS) / 1000


def _uniform(rng: Rng) -> float:
    """Return a number from 0 to below 1."""
    return (int.from_bytes(rng(8)) >> 11) / _HALF_BITS


def wait(environ: Environ, seconds: float) -> None:
    """Wait; raises ConnectionResetError if the client goes away meanwhile."""
    connection = environ.get(_SOCKET)
    if connection is None:
        time.sleep(seconds)
        return
    poller = select.poll()
    # Resets and errors are reported too. Not POLLIN: the next request may arrive early.
    poller.register(connection.fileno(), _CLIENT_END)
    if poller.poll(math.ceil(seconds * 1000)):
        raise ConnectionResetError(errno.ECONNRESET, "the client has gone")


def cut(environ: Environ, fault: Fault) -> None:
    """Cut the connection of a request: raises ConnectionResetError."""
    connection = environ.get(_SOCKET)
    if connection is not None and fault.parameters.get("reset"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        connection.close()
    raise ConnectionResetError(errno.ECONNRESET, f"cut by fault {fault.id}")


def _flush(environ: Environ) -> None:
    """Send what the worker has collected of the reply."""
    flush = getattr(environ.get(_SOCKET), "flush", None)
    if flush is not None:
        flush()
