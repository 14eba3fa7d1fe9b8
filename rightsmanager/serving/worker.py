"""Gunicorn's threaded worker with fewer waits and system calls a request.

Read against gunicorn 27.0.1 (`gunicorn.workers.gthread`, `gunicorn.workers.base`); the methods and
attributes of its classes that are used here are its own, so another version is to be read first.
The setting `server.worker = "gthread"` serves with the stock worker: about a third more CPU for a
licence over a connection that is kept alive, no deadline for a request as a whole, and each slow
client occupies a thread.
"""

import mmap
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

from rightsmanager.monitoring.layout import CONNECTION_CELLS
from rightsmanager.monitoring.shared_cells import SHARED_CELLS
from rightsmanager.serving.connection import (
    PLAIN_HTTP,
    RECEIVE_SIZE,
    BufferedSocket,
    Connection,
    build_headers,
)
from rightsmanager.serving.framing import RequestBuffer, find_cross_origin
from rightsmanager.web.http import CrossOrigin

ACCEPT_BACKOFF: Final = 0.01
"""Longest time, in seconds, that a worker leaves a new connection to less busy workers."""
ACCEPT_POLL: Final = 0.0002
"""Interval, in seconds, at which it looks whether one of them has accepted."""
LINGER_SECONDS: Final = 2.0
"""Time for a client to close a connection after the last reply."""
SWEEP_SECONDS: Final = 0.5
"""Interval at which connections are checked for their deadlines."""


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


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of the worker that gunicorn has no settings for."""

    request_seconds: float = 10.0
    """Time for a request's head and body, and for the client to take the reply."""
    min_bytes_per_second: int = 1000
    """Rate at which the bytes that came extend this time."""
    max_head: int = 1 << 20
    max_body: int = 1 << 20
    max_bodies: Mapping[bytes, int] = field(default_factory=dict)
    """Other limits of the body, by a word in the head."""
    cross_origin: CrossOrigin = field(default_factory=CrossOrigin)


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn's threaded worker with the changes that the methods describe.

    The main thread shakes hands, receives requests, sends what clients did not take at once, and
    closes connections, all without waiting. A thread gets a request when it is complete, so that
    slow and silent clients occupy none.
    """

    options = WorkerOptions()
    _count = 0
    _is_quitting = False
    """Whether to end without waiting for further requests on open connections."""
    _next_sweep = 0.0

    def __init__(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 -- gunicorn's own
        super().__init__(*arguments, **keywords)
        self._waiting: dict[Connection, None] = {}
        """The connections in the poller."""

    @property
    def nr_conns(self) -> int:
        """The number of open connections."""
        return self._count

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._count = count
        SHARED_CELLS.own[CONNECTION_CELLS.start] = count
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

    def murder_pending(self) -> None:
        """Close the connections whose time is over."""
        now = time.monotonic()
        if now >= self._next_sweep or self._is_quitting:
            self._next_sweep = now + SWEEP_SECONDS
            for conn in [each for each in self._waiting if self._deadline(each) <= now]:
                self._expire(conn)

    def accept(self, listener: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
        """Accept a connection, after a while in which a less busy worker may accept it."""
        self._wait_for_others()
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        limits = self.options
        buffer = RequestBuffer(limits.max_head, limits.max_body, limits.max_bodies)
        conn = Connection(self.cfg, client, (address, listener.getsockname()), buffer)
        if self._count >= self.worker_connections:
            self._close_longest_idle()
        try:
            if conn.is_shaking_hands:
                conn.start_tls()
        except OSError:
            self._drop(conn)
            return
        self._watch(conn, EVENT_READ)

    def _wait_for_others(self) -> None:
        # A client stays with its worker while it keeps its connection, so an uneven start would
        # leave one processor idle. All workers wake up for a new connection; the first one gets it.
        until = time.monotonic() + ACCEPT_BACKOFF
        while CONNECTION_COUNTS.find_fewest() < self._count and time.monotonic() < until:
            time.sleep(ACCEPT_POLL)

    def handle(self, conn: Connection) -> bool:
        """Serve a complete request, and those that follow at once on the same connection."""
        while True:
            conn.take_request()
            is_kept = super().handle(conn) and conn.is_kept
            if not conn.sock.flush() or not is_kept:
                return is_kept
            # The way through the main thread and its poller costs as much as a signature.
            if not self._has_time() or not conn.is_readable() or not conn.receive():
                return True

    def handle_request(self, req: Any, conn: Connection) -> Any:  # noqa: ANN401 -- gunicorn ships no types
        """Serve one request; say that the connection closes if it has to."""
        if not conn.is_kept:
            req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: BufferedSocket, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Answer with gunicorn's page for an invalid request, with the cross-origin headers."""
        super().handle_error(req, client, addr, exc)
        if (status := client.collected_status()) >= "4":
            SHARED_CELLS.count_refusal(status)
        client.add_headers(self._cross_origin(client.request))

    def finish_request(self, conn: Connection, fs: Any) -> None:  # noqa: ANN401 -- as above
        """Continue with a connection that a thread has served."""
        conn.is_served = True
        try:
            conn.is_kept = fs.result()
        except Exception:  # noqa: BLE001 -- as gunicorn's own: a broken connection ends nothing
            self._drop(conn)
            return
        self._advance(conn)

    def _advance(self, conn: Connection) -> None:
        """Send what is unsent, else close the connection, else wait for the next request."""
        if conn.sock.unsent:
            self._watch(conn, EVENT_WRITE)
        elif not conn.is_kept:
            self._linger(conn)
        elif conn.buffer.is_complete():
            self.enqueue_req(conn)
        else:
            conn.invite_body()
            self._watch(conn, EVENT_READ)

    def _watch(self, conn: Connection, events: int) -> None:
        """Wait for the client without a thread."""
        conn.begun = time.monotonic()
        self._waiting[conn] = None
        self.poller.register(conn.sock, events, partial(self._continue, conn))

    def _unwatch(self, conn: Connection) -> None:
        del self._waiting[conn]
        self.poller.unregister(conn.sock)

    def _continue(self, conn: Connection, _socket: object) -> None:
        """Continue with a connection that is readable or writable."""
        try:
            if conn.is_closing:
                self._discard(conn)
            elif conn.sock.unsent:
                if conn.sock.flush():
                    self._unwatch(conn)
                    self._advance(conn)
            elif not conn.is_shaking_hands or self._shake_hands(conn):
                self._receive(conn)
        except OSError:
            self._unwatch(conn)
            self._drop(conn)

    def _shake_hands(self, conn: Connection) -> bool:
        try:
            return conn.shake_hands()
        except OSError as error:
            self.log.warning("No TLS with %s: %s", conn.remote, error)
            if getattr(error, "reason", None) == "HTTP_REQUEST":
                # TLS has not begun, so the reply goes past the SSLSocket. It has taken the bytes
                # of the request, so its Origin is unknown.
                headers = build_headers(self._cross_origin(b""))
                socket.socket.send(conn.sock.connection, PLAIN_HTTP % headers)
                SHARED_CELLS.count_refusal("400")
            self._unwatch(conn)
            self._linger(conn)
            return False

    def _receive(self, conn: Connection) -> None:
        is_first = not conn.buffer.data
        if conn.receive():
            self._unwatch(conn)
            self.enqueue_req(conn)
        elif conn.buffer.is_head_too_long:
            self._refuse(conn, "431 Request Header Fields Too Large")
        else:
            if is_first:
                conn.begun = time.monotonic()
            conn.invite_body()

    def _deadline(self, conn: Connection) -> float:
        """Return the time at which to give up waiting for a client."""
        options = self.options
        if conn.is_closing:
            return conn.begun + LINGER_SECONDS
        if not conn.buffer.data and not conn.sock.unsent:
            seconds = self.cfg.keepalive if conn.is_served else options.request_seconds
            if not self.alive:
                seconds = 0 if self._is_quitting else min(seconds, LINGER_SECONDS)
            return conn.begun + float(seconds)
        length = len(conn.buffer.data) + len(conn.sock.unsent)
        return conn.begun + options.request_seconds + length / options.min_bytes_per_second

    def _expire(self, conn: Connection) -> None:
        if conn.buffer.data and not conn.is_closing:
            self._refuse(conn, "408 Request Timeout")
        else:
            self._unwatch(conn)
            self._drop(conn)

    def _refuse(self, conn: Connection, status: str) -> None:
        """Answer a request that is not complete, and close the connection."""
        SHARED_CELLS.count_refusal(status)
        self._unwatch(conn)
        self.log.warning("%s for %s", status, conn.remote)
        conn.sock.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\n".encode())
        conn.sock.sendall(b"Content-Length: 0\r\n\r\n")
        conn.sock.add_headers(self._cross_origin(conn.buffer.data))
        try:
            conn.sock.flush()
        except OSError:
            self._drop(conn)
            return
        self._linger(conn)

    def _cross_origin(self, request: bytes | bytearray) -> list[tuple[str, str]]:
        """Return the cross-origin headers of a reply to what came of a request."""
        return self.options.cross_origin.headers(find_cross_origin(request))

    def _linger(self, conn: Connection) -> None:
        """Say that no more is sent, and wait for the client to close."""
        # A connection that is closed with unread bytes is reset, which can destroy the reply.
        # Gunicorn waits for the client on its main thread.
        conn.is_closing = True
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        self._watch(conn, EVENT_READ)

    def _discard(self, conn: Connection) -> None:
        connection = conn.sock.connection
        # Past TLS: what comes is not read.
        if not socket.socket.recv(connection, RECEIVE_SIZE):
            raise ConnectionResetError

    def _drop(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _close_longest_idle(self) -> None:
        """Close an idle connection, so that as many idle clients do not keep others out."""
        idle = (each for each in self._waiting if each.is_served and not each.buffer.data)
        if (conn := next(idle, None)) is not None:
            self._unwatch(conn)
            self._drop(conn)

    def _publish_count(self) -> None:
        is_accepting = getattr(self, "_accepting", False)
        CONNECTION_COUNTS.record(self.age, self._count if is_accepting else None)

    def _has_time(self) -> bool:
        """Return whether no other request waits for a thread."""
        waiting = self.tpool._work_queue.qsize()  # noqa: SLF001 -- it has no public name
        return bool(self.alive) and not waiting


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
