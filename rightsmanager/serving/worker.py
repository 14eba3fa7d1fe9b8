"""Gunicorn's threaded worker with fewer waits and system calls a request.

Read against gunicorn 27.0.1 (`gunicorn.workers.gthread`, `gunicorn.workers.base`); the methods and
attributes of its classes that are used here are its own, so another version is to be read first.
The setting `server.worker = "gthread"` serves with the stock worker: about a third more CPU for a
licence over a connection that is kept alive.
"""

import mmap
import os
import select
import socket
import ssl
import time
from typing import Any, Final

from gunicorn.workers.gthread import _DEFER, ThreadWorker

from rightsmanager.web.tls import HANDSHAKE_SECONDS

KEEPALIVE_POLL_MS: Final = 2
"""Wait of a thread for the next request of the client that it has just answered."""
ACCEPT_BACKOFF: Final = 0.01
"""Longest time, in seconds, that a worker leaves a new connection to less busy workers."""
ACCEPT_POLL: Final = 0.0002
"""Interval, in seconds, at which it looks whether one of them has accepted."""
MAX_BUFFER: Final = 1 << 16
"""Longest reply, in bytes, that is collected before it is sent."""
PLAIN_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 45\r\n"
    b"Connection: close\r\n\r\nHTTPS is spoken here: write https in the URL\n"
)
"""The reply to plain HTTP where HTTPS is expected."""


class ConnectionCounts:
    """The number of connections of each accepting worker, in memory that all workers share.

    It is made before the workers are forked. Each worker writes to a slot of its own; the slot of a
    worker that does not accept, or has ended, is 0.
    """

    SLOTS: Final = 256

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * self.SLOTS)).cast("I")

    def record(self, age: int, count: int | None) -> None:
        """Store the connections of the age-th worker, None unless it accepts new ones."""
        self._counts[age % self.SLOTS] = 0 if count is None else count + 1

    def find_fewest(self) -> int:
        """Return the fewest connections of an accepting worker, 0 without one."""
        return min(filter(None, self._counts), default=1) - 1


CONNECTION_COUNTS: Final = ConnectionCounts()


class BufferedSocket:
    """A connection that collects a reply and sends it at once."""

    # Gunicorn sends head and body by two calls: two system calls, two packets, and a wait between
    # them where the client delays its acknowledgement.

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._length = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any attribute of a socket
        return getattr(self._connection, name)

    def sendall(self, data: bytes) -> None:
        """Collect a piece of the reply."""
        self._pieces.append(data)
        self._length += len(data)
        if self._length > MAX_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Send the collected pieces."""
        if self._pieces:
            self._connection.sendall(b"".join(self._pieces))
            self._pieces, self._length = [], 0


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn's threaded worker with the changes that the methods describe."""

    _count = 0
    _is_quitting = False
    """Whether to end without waiting for further requests on open connections."""

    @property
    def nr_conns(self) -> int:
        """The number of open connections."""
        return self._count

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._count = count
        self._publish_count()

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 -- gunicorn's own
        """Start or stop accepting connections."""
        super().set_accept_enabled(enabled)
        self._publish_count()

    def init_process(self) -> None:
        """Run until told to end."""
        cache_config(self.cfg)
        super().init_process()

    def handle_quit(self, sig: int, frame: object) -> None:
        """End once the received requests are answered (SIGINT, SIGQUIT)."""
        # Gunicorn's own raises SystemExit wherever Python is at that moment. Where exceptions are
        # swallowed, such as while an object is freed, the worker would stay and print a traceback.
        self._is_quitting = True
        self.cfg.worker_int(self)
        self.handle_exit(sig, frame)
        # The loop may be waiting for connections that are to be closed now.
        self.method_queue.defer(lambda: None)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 -- gunicorn's own
        """Close idle connections after their time, all of them while quitting."""
        super().murder_keepalived(force=force or self._is_quitting)

    def murder_pending(self) -> None:
        """Close connections without a request after their time, all of them while quitting."""
        if self._is_quitting:
            for conn in self.pending_conns:
                conn.timeout = 0
        super().murder_pending()

    def accept(self, listener: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
        """Accept a connection, after a while in which a less busy worker may accept it."""
        # A client stays with its worker while it keeps its connection, so an uneven start would
        # leave one processor idle. All workers wake up for a new connection; the first one gets it.
        until = time.monotonic() + ACCEPT_BACKOFF
        while CONNECTION_COUNTS.find_fewest() < self._count and time.monotonic() < until:
            time.sleep(ACCEPT_POLL)
        super().accept(listener)

    def _publish_count(self) -> None:
        is_accepting = getattr(self, "_accepting", False)
        CONNECTION_COUNTS.record(self.age, self._count if is_accepting else None)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 -- gunicorn ships no types
        """Serve a request, and those that follow at once on the same connection."""
        if self.cfg.is_ssl and not conn.initialized:
            deferred = self._shake_hands(conn)
            if deferred is not None:
                return deferred
        kept = super().handle(conn)
        # The way through the main thread and its poller costs as much as a signature.
        while kept is True and self._has_next(conn):
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401 -- as above
        """Serve one request; head and body of the reply are sent at once."""
        connection = conn.sock
        conn.sock = buffered = BufferedSocket(connection)
        try:
            kept = super().handle_request(req, conn)
            buffered.flush()
        finally:
            conn.sock = connection
        return kept

    def _shake_hands(self, conn: Any) -> Any:  # noqa: ANN401 -- as above
        """Return None if a request follows the handshake, else the connection's state."""
        if not conn.wait_for_data(HANDSHAKE_SECONDS):
            return _DEFER
        try:
            conn.init()
        except OSError as error:
            self.log.warning("No TLS with %s: %s", conn.client[0], error)
            if getattr(error, "reason", None) == "HTTP_REQUEST":
                # TLS has not begun, so the reply goes past the SSLSocket.
                socket.socket.sendall(conn.sock, PLAIN_HTTP)
            return False
        # Browsers shake hands for requests that they may send later: no thread waits for those.
        return None if _holds(conn.sock) or _is_readable(conn.sock) else _DEFER

    def _has_next(self, conn: Any) -> bool:  # noqa: ANN401 -- as above
        # Bytes that TLS has decrypted no longer make the socket readable to the poller.
        return _holds(conn.sock) or (self._has_time(conn) and _is_readable(conn.sock))

    def _has_time(self, conn: Any) -> bool:  # noqa: ANN401 -- as above
        """Return whether no other request waits for a thread."""
        waiting = self.tpool._work_queue.qsize()  # noqa: SLF001 -- it has no public name
        return bool(self.alive) and not waiting and not conn.parser.unreader.buf.getvalue()


def _holds(connection: socket.socket) -> bool:
    """Return whether TLS has decrypted bytes that are not yet read."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


def _is_readable(connection: socket.socket) -> bool:
    """Return whether the client sends or closes within KEEPALIVE_POLL_MS."""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(KEEPALIVE_POLL_MS))


def cache_config(config: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Keep each of gunicorn's settings as a plain attribute."""
    # Gunicorn reads two dozen of them a request through two functions each: 15 µs a request.
    vars(config).update({name: setting.get() for name, setting in config.settings.items()})


def clear_count(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Clear the slot of a worker that has ended."""
    CONNECTION_COUNTS.record(worker.age, None)


def pin_to_cpu(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Keep a new worker on one processor."""
    # Its threads share Python's lock, so a second processor gives them nothing. A change of
    # processor, away from the warm caches, costs a fifth of a licence.
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[worker.age % len(processors)]})
