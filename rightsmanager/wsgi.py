"""Gunicorn's door: the settings it runs with and the application it serves.

`rightsmanager serve` starts it from here; an operator who runs gunicorn names
`rightsmanager.wsgi:create()` and `config/gunicorn.conf.py`.
"""

import gc
import os
import select
import socket
from collections.abc import Callable
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from rightsmanager.app import Surroundings, Wsgi, build
from rightsmanager.logs import configure_logs
from rightsmanager.settings import Settings, default_settings, passphrase
from rightsmanager.store.schema import refuse_outdated

MOMENT: Final = 2
"""For how many milliseconds a worker's thread waits for a client's next request."""

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
    application = build(settings, Surroundings(passphrase=passphrase())).wsgi
    gc.freeze()
    return application


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn's threaded worker that stays a moment with a connection it has just answered.

    A client that has the next request ready is served by the same thread, without the way through
    the main thread and its poller, which costs as much as a signature. While other requests wait
    for a thread, none stays.
    """

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 -- gunicorn ships no types
        """Serve a connection's request, and those that follow at once."""
        kept = super().handle(conn)
        while kept is True and self._has_time(conn) and _is_readable(conn.sock):
            kept = super().handle(conn)
        return kept

    def _has_time(self, conn: Any) -> bool:  # noqa: ANN401 -- as above
        others_wait = self.tpool._work_queue.qsize()  # noqa: SLF001 -- it has no other name
        return bool(self.alive) and not others_wait and not conn.parser.unreader.buf.getvalue()


def _is_readable(connection: socket.socket) -> bool:
    """Return whether the client sends, or leaves, within a moment."""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(MOMENT))


def pin(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
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
        "timeout": server.timeout,
        "graceful_timeout": server.timeout,
        "keepalive": server.keepalive,
        "loglevel": "warning",
        # A long cfg is refused by its own limits, with a fault; gunicorn would answer a page.
        "limit_request_line": 0,
        # It would lie in the home directory of whoever runs the server.
        "control_socket_disable": True,
        **({"post_fork": pin} if server.pin_workers and hasattr(os, "sched_setaffinity") else {}),
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
