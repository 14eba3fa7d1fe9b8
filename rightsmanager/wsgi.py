"""Gunicorn's door: the settings it runs with and the application it serves.

`rightsmanager serve` starts it from here; an operator who runs gunicorn names
`rightsmanager.wsgi:create()` and `config/gunicorn.conf.py`.
"""

import gc
import mmap
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import _DEFER, ThreadWorker

from rightsmanager.app import Runtime, Wsgi, build
from rightsmanager.environment import passphrase
from rightsmanager.logs import configure_logs
from rightsmanager.settings import Settings, default_settings
from rightsmanager.store.schema import refuse_outdated
from rightsmanager.web.tls import HANDSHAKE_SECONDS, server_context, shown

KEEPALIVE_POLL_MS: Final = 2
"""For how many milliseconds a worker's thread waits for a client's next request."""

ACCEPT_BACKOFF: Final = 0.01
"""For how many seconds a worker leaves a new connection to one that has fewer."""
ACCEPT_POLL: Final = 0.0002
"""After how many seconds it looks again."""
NO_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 45\r\n"
    b"Connection: close\r\n\r\nHTTPS is spoken here: write https in the URL\n"
)
"""What a client is told that speaks HTTP where HTTPS is expected."""

Ready = Callable[[str], None]
"""Is told the address that is listened on, such as `127.0.0.1:8080`."""


def create() -> Wsgi:
    """Return the application of the settings in the environment and its settings file.

    Raises InternalError where the database needs to be upgraded first. One that is away is none of
    that: a worker that starts meanwhile must not end the server.
    """
    settings = default_settings()
    configure_logs(settings.log)
    refuse_outdated(settings.effective_database_url)
    return create_from(settings)


def create_from(settings: Settings) -> Wsgi:
    """Return the application of these settings, its modules out of the garbage collector's way."""
    application = build(settings, Runtime(passphrase=passphrase())).wsgi
    gc.freeze()
    return application


class Connections:
    """How many connections each worker has that takes new ones, in memory that all of them share.

    It is made before the workers are forked. Each writes in a place of its own, which is 0 for a
    worker that takes none and for one that is gone.
    """

    PLACES: Final = 256

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * self.PLACES)).cast("I")

    def record(self, age: int, count: int | None) -> None:
        """Keep how many connections the age-th worker has, None if it takes no new ones."""
        self._counts[age % self.PLACES] = 0 if count is None else count + 1

    def fewest(self) -> int:
        """Return the least that a worker has which takes new connections, 0 if none does."""
        return min(filter(None, self._counts), default=1) - 1


CONNECTIONS: Final = Connections()


class BufferedSocket:
    """A connection whose answer is collected, and sent at once when it is whole.

    Gunicorn sends head and body apart, and each has its price: a wait, a call of the system, a
    packet and its acknowledgement. All but sending is the connection's own.
    """

    MOST: Final = 1 << 16
    """More bytes than these are not collected."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._length = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever a socket has
        return getattr(self._connection, name)

    def sendall(self, data: bytes) -> None:
        """Collect a piece of the answer."""
        self._pieces.append(data)
        self._length += len(data)
        if self._length > self.MOST:
            self.flush()

    def flush(self) -> None:
        """Send what is collected."""
        if self._pieces:
            self._connection.sendall(b"".join(self._pieces))
            self._pieces, self._length = [], 0


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn's threaded worker that stays a moment with a connection it has just answered.

    A client that has the next request ready is served by the same thread, without the way through
    the main thread and its poller, which costs as much as a signature. While other requests wait
    for a thread, none stays.

    A client may stay with its worker for long, so that the worker with the fewest connections is to
    have the next one: whoever has more leaves it a moment, lest one works while another idles.

    Over TLS a browser shakes hands for requests that it may have later. No thread waits for those,
    as gunicorn's own would.
    """

    _count = 0
    _at_once = False
    """Whether it is to end without waiting for who might send another request."""

    @property
    def nr_conns(self) -> int:
        """How many connections are open."""
        return self._count

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._count = count
        self._say()

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 -- gunicorn's own
        """Take new connections from now on, or none."""
        super().set_accept_enabled(enabled)
        self._say()

    def init_process(self) -> None:
        """Run until told to end, with settings that are quick to look up."""
        cache_config(self.cfg)
        super().init_process()

    def handle_quit(self, sig: int, frame: object) -> None:
        """End as soon as the requests that came are answered (SIGINT, SIGQUIT).

        Gunicorn's own raises SystemExit wherever Python is just then: where exceptions are
        swallowed, as they are while an object is freed, the worker would stay, with a traceback.
        """
        self._at_once = True
        self.cfg.worker_int(self)
        self.handle_exit(sig, frame)
        # Its loop may already be waiting for connections that now shall be closed.
        self.method_queue.defer(lambda: None)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 -- gunicorn's own
        """Close the kept connections whose time is over, all of them if in a hurry."""
        super().murder_keepalived(force=force or self._at_once)

    def murder_pending(self) -> None:
        """Close the connections that sent nothing in time, all of them if in a hurry."""
        if self._at_once:
            for conn in self.pending_conns:
                conn.timeout = 0
        super().murder_pending()

    def accept(self, listener: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
        """Take a new connection, unless a worker that has fewer took it meanwhile."""
        until = time.monotonic() + ACCEPT_BACKOFF
        while CONNECTIONS.fewest() < self._count and time.monotonic() < until:
            time.sleep(ACCEPT_POLL)
        super().accept(listener)

    def _say(self) -> None:
        takes = getattr(self, "_accepting", False)
        CONNECTIONS.record(self.age, self._count if takes else None)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 -- gunicorn ships no types
        """Serve a connection's request, and those that follow at once."""
        if self.cfg.is_ssl and not conn.initialized:
            later = self._shake_hands(conn)
            if later is not None:
                return later
        kept = super().handle(conn)
        while kept is True and self._has_next(conn):
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401 -- as above
        """Answer one request, head and body at once."""
        connection = conn.sock
        conn.sock = joined = BufferedSocket(connection)
        try:
            kept = super().handle_request(req, conn)
            joined.flush()
        finally:
            conn.sock = connection
        return kept

    def _shake_hands(self, conn: Any) -> Any:  # noqa: ANN401 -- as above
        """Return None if a request follows the handshake, else what becomes of the connection."""
        if not conn.wait_for_data(HANDSHAKE_SECONDS):
            return _DEFER
        try:
            conn.init()
        except OSError as error:
            self.log.warning("No TLS with %s: %s", conn.client[0], error)
            if getattr(error, "reason", None) == "HTTP_REQUEST":
                # It did not come to TLS, so the answer goes past it.
                socket.socket.sendall(conn.sock, NO_TLS)
            return False
        return None if _holds(conn.sock) or _is_readable(conn.sock) else _DEFER

    def _has_next(self, conn: Any) -> bool:  # noqa: ANN401 -- as above
        # What TLS has decrypted no longer makes the socket readable to gunicorn's poller.
        return _holds(conn.sock) or (self._has_time(conn) and _is_readable(conn.sock))

    def _has_time(self, conn: Any) -> bool:  # noqa: ANN401 -- as above
        others_wait = self.tpool._work_queue.qsize()  # noqa: SLF001 -- it has no other name
        return bool(self.alive) and not others_wait and not conn.parser.unreader.buf.getvalue()


def _holds(connection: socket.socket) -> bool:
    """Return whether bytes were received and decrypted and not yet read."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


def _is_readable(connection: socket.socket) -> bool:
    """Return whether the client sends, or leaves, within a moment."""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(KEEPALIVE_POLL_MS))


def cache_config(config: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Keep what each setting is as a plain attribute.

    Gunicorn asks for two dozen of them a request, each through two functions of its own.
    """
    vars(config).update({name: setting.get() for name, setting in config.settings.items()})


def forget(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Leave no connection to a worker that is gone."""
    CONNECTIONS.record(worker.age, None)


def pin_to_cpu(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Keep a new worker to one processor.

    Its threads share Python's lock, so a second processor gives them nothing; to go from one to the
    other, away from what the caches hold, costs a fifth of a licence.
    """
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[worker.age % len(processors)]})


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings for ours."""
    server = settings.server
    return {
        "bind": server.bind,
        "workers": server.workers,
        "threads": server.threads,
        "worker_class": Worker,
        "child_exit": forget,
        "timeout": server.timeout_seconds,
        "graceful_timeout": server.timeout_seconds,
        "keepalive": server.keepalive_seconds,
        "loglevel": "warning",
        # A long cfg is refused by its own limits, with a fault; gunicorn would answer a page.
        "limit_request_line": 0,
        # Whether a proxy's headers are believed is for server.trust_forwarded to say, in one place.
        # Gunicorn believes whoever asks from this machine, and looks at each address for that.
        "forwarded_allow_ips": "*",
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        # It would lie in the home directory of whoever runs the server.
        "control_socket_disable": True,
        **(
            {"post_fork": pin_to_cpu}
            if server.pin_workers and hasattr(os, "sched_setaffinity")
            else {}
        ),
        **_https_options(settings),
    }


def _https_options(settings: Settings) -> dict[str, Any]:
    files = shown(settings)
    if files is None:
        return {}
    # Made once, before the workers are forked: they know each other's sessions.
    context = server_context(files, passphrase())
    return {
        "certfile": str(files.certificate),
        "keyfile": str(files.key),
        "ssl_context": lambda _settings, _gunicorns_own: context,
    }


class Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn as `rightsmanager serve` runs it, without a command line of its own."""

    def __init__(self, settings: Settings, ready: Ready) -> None:
        self._settings = settings
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        """Take gunicorn's settings from ours alone."""
        for name, value in gunicorn_options(self._settings).items():
            self.cfg.set(name, value)
        self.cfg.set("when_ready", self._when_ready)

    def load(self) -> Wsgi:
        """Return the application; each worker makes its own after the fork."""
        return create_from(self._settings)

    def _when_ready(self, arbiter: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
        host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
        self._ready(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
