"""Gunicorn's options for our settings, and gunicorn as `rightsmanager serve` runs it."""

import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError

from rightsmanager.environment import passphrase
from rightsmanager.errors import Refusal
from rightsmanager.logs import log_reload
from rightsmanager.monitoring.shared_cells import SHARED_CELLS
from rightsmanager.serving.worker import Worker, WorkerOptions, clear_count, pin_to_cpu
from rightsmanager.settings import Settings
from rightsmanager.web.http import make_cross_origin
from rightsmanager.web.router import DOCUMENT_PATHS, MAX_DOCUMENT_BODY
from rightsmanager.web.tls import find_client_ca, find_tls_files, server_context

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
OnReady = Callable[[str], None]
"""Called with the address that is listened on, such as `127.0.0.1:8080`."""


_PATH: Final = "/rightsmanager.asmx"
LAB_THREADS: Final = 16
"""The threads of a worker of a server with worlds, some of which wait for entries of journals."""
MAX_HEAD: Final = 1 << 20
"""Longest head that is received before gunicorn applies its own limits, in bytes."""


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings for ours."""
    server = settings.server
    return {
        "bind": server.bind,
        "workers": server.workers,
        "threads": max(server.threads, LAB_THREADS) if settings.lab.enabled else server.threads,
        "worker_class": _worker_class(settings),
        "pre_fork": reserve_row,
        "post_fork": partial(prepare_worker, is_pinned=server.pin_workers),
        "child_exit": end_worker,
        "timeout": server.timeout_seconds,
        "graceful_timeout": server.timeout_seconds,
        "keepalive": server.keepalive_seconds,
        "loglevel": "warning",
        # Long queries are refused by our own limits with a fault; gunicorn would send a page.
        "limit_request_line": 0,
        "limit_request_fields": server.max_headers,
        "limit_request_field_size": server.max_header_bytes,
        # server.trust_forwarded alone decides whether a proxy's headers are used. Gunicorn trusts
        # every client on this machine, and compares each client's address with its list.
        "forwarded_allow_ips": "*",
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        # It would be in the home directory of the user that runs the server.
        "control_socket_disable": True,
        "when_ready": print_addresses,
        **_https_options(settings),
    }


def print_addresses(arbiter: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Print the service's URL at each address that is listened on."""
    scheme = "https" if arbiter.cfg.is_ssl else "http"
    for listener in arbiter.LISTENERS:
        name = listener.sock.getsockname()
        url = (
            f"unix:{name}" if isinstance(name, str) else f"{scheme}://{_join_address(name)}{_PATH}"
        )
        sys.stdout.write(f"RightsManager serves at  {url}\n")
    sys.stdout.flush()


def _join_address(name: tuple[Any, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _worker_class(settings: Settings) -> str | type[Worker]:
    server = settings.server
    if server.worker == "gthread":
        return "gthread"
    options = WorkerOptions(
        request_seconds=float(server.request_seconds),
        min_bytes_per_second=server.min_bytes_per_second,
        max_head=max(MAX_HEAD, 2 * server.max_header_bytes),
        max_body=server.max_body,
        max_bodies=_max_bodies(settings),
        cross_origin=make_cross_origin(server),
    )
    # Gunicorn makes workers from a class alone.
    return type("Worker", (Worker,), {"options": options})


def _max_bodies(settings: Settings) -> dict[bytes, int]:
    """Return the limits of longer bodies by a word in the head."""
    usual = settings.server.max_body
    metering = {b"ProcessMeteringData": max(usual, settings.metering.max_body)}
    if settings.api.access == "off":
        return metering
    documents = max(usual, MAX_DOCUMENT_BODY)
    return {**metering, **{path.encode(): documents for path in DOCUMENT_PATHS}}


def reserve_row(arbiter: Any, worker: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
    """Choose the row of the shared counts for a new worker."""
    worker.row = SHARED_CELLS.reserve({each.row for each in arbiter.WORKERS.values()})


def prepare_worker(arbiter: Any, worker: Any, *, is_pinned: bool) -> None:  # noqa: ANN401 -- as above
    """Prepare a worker after its fork."""
    SHARED_CELLS.enter(worker.row)
    # macOS has no such call.
    if is_pinned and hasattr(os, "sched_setaffinity"):
        pin_to_cpu(arbiter, worker)


def end_worker(arbiter: Any, worker: Any) -> None:  # noqa: ANN401 -- as above
    """Note that a worker has ended."""
    clear_count(arbiter, worker)
    ended = os.times()
    SHARED_CELLS.leave(worker.row, ended.children_user + ended.children_system)


def _https_options(settings: Settings) -> dict[str, Any]:
    files = find_tls_files(settings)
    if files is None:
        return {}
    # Made once, before the workers are forked, so that each resumes the others' sessions.
    context = server_context(files, passphrase(), find_client_ca(settings))
    return {
        "certfile": str(files.certificate),
        "keyfile": str(files.key),
        "ssl_context": lambda _settings, _default_factory: context,
    }


class Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn without a command line of its own."""

    def __init__(
        self, read: Callable[[], Settings], load: Callable[[Settings], Wsgi], on_ready: OnReady
    ) -> None:
        """Read the settings, which raises InternalError unless a server can be built of them."""
        self._read = read
        self.settings = read()
        self._load = load
        self._on_ready = on_ready
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options from our settings alone."""
        for name, value in gunicorn_options(self.settings).items():
            self.cfg.set(name, value)
        self.cfg.set("when_ready", self._when_ready)

    def reload(self) -> None:
        """Read the settings again (SIGHUP); the old ones stay if the new ones are invalid."""
        try:
            self.settings = self._read()
        except Refusal as refusal:
            # Gunicorn would end the server.
            log_reload(refusal)
        else:
            log_reload()
        super().reload()

    def load(self) -> Wsgi:
        """Return the application; each worker makes its own after the fork."""
        try:
            return self._load(self.settings)
        except Refusal as refusal:
            # Gunicorn prints this one in a line, and any other with its traceback.
            raise AppImportError(refusal.text) from None

    def _when_ready(self, arbiter: Any) -> None:  # noqa: ANN401 -- gunicorn ships no types
        self._on_ready(_join_address(arbiter.LISTENERS[0].sock.getsockname()))
