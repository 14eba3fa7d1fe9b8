"""The switch between the SOAP service and the pages.

    …/rightsmanager.asmx   POST      the service
    operators' paths       any       health and metrics, each at one path, without Flask
    packagers' paths       any       the key endpoint, without Flask and without CORS
    any path               OPTIONS   a browser's preflight
                           GET       the application of the pages, the console and the API

Replies of the service and of the pages have the cross-origin headers: a player in a browser cannot
read them otherwise. The replies of the management API and of the console have none.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any, Final, Protocol

import structlog

from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.operations.request import GIVES_KEYS, REQUEST_ID
from rightsmanager.web.http import (
    CLIENT_HOST,
    METHODS,
    Addressing,
    BodyTooLarge,
    CrossOrigin,
    read_body,
)
from rightsmanager.world_paths import world_path

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

REQUEST_ID_HEADER: Final = "X-Request-Id"
API_PATH: Final = "/api"
"""The path of all versions of the management API."""
CONSOLE_PATH: Final = "/console"
PRIVATE_PATHS: Final = (API_PATH, CONSOLE_PATH)
"""The paths of operators: `web.access` decides who may use them."""
DOCUMENT_PATHS: Final = (
    *(f"{API_PATH}/v1/content-keys/import", f"{API_PATH}/v1/decode"),
    *(f"{CONSOLE_PATH}/acts/import-keys", f"{CONSOLE_PATH}/decode"),
)
"""Those among them whose bodies have a document to import or to decode."""
MAX_DOCUMENT_BODY: Final = 16 * 1024 * 1024
"""Longest body at these paths, in bytes."""
ASMX_PATH: Final = "/rightsmanager.asmx"
"""The path to the service in pages; it is at every path that ends like this, in any letter case."""
SERVICE_URL: Final = "rightsmanager.url"
"""The key of the service's URL, as the client knows it, in the environment of a page."""
CLIENT_PATH: Final = "rightsmanager.path"
"""The key of the path that the client sent, from which pages make relative links."""

_PRIVATE_PREFIXES: Final = tuple(f"{path}/" for path in PRIVATE_PATHS)
_ASMX: Final = ASMX_PATH[1:]
_BAD_BODY: Final = "500 Internal Server Error"
_GZIP: Final = b"\x1f\x8b"
"""The first bytes of a gzip body."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""An id of the client's own that is kept."""
_MAX_DIGITS: Final = 20
"""A longer number is over every limit."""
_TOO_LARGE: Final = "413 Content Too Large"


class SoapService(Protocol):
    """The service that POST requests go to."""

    def __call__(
        self, environ: Environ, start_response: StartResponse, url: str, /
    ) -> Iterable[bytes]:
        """Answer the envelope in `wsgi.input`."""

    def find_operation(self, environ: Environ, /) -> str:
        """Return the operation that the HTTP headers name, empty if they name none."""

    def refuse(
        self,
        environ: Environ,
        start_response: StartResponse,
        url: str,
        refusal: Refusal,
        status: str,
        /,
    ) -> Iterable[bytes]:
        """Answer with a fault without reading the body."""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """The settings of the switch."""

    addressing: Addressing = field(default_factory=Addressing)
    cross_origin: CrossOrigin = field(default_factory=CrossOrigin)
    max_body: int = 1 << 20
    """Longest body, in bytes."""
    max_bodies: Mapping[str, int] = field(default_factory=dict)
    """The same by operation, for operations with another limit."""
    body_seconds: float = 20.0
    """Longest wait for the next bytes of a body."""
    operator_paths: Mapping[str, Wsgi] = field(default_factory=dict)
    """Applications for operators, each at one path; see the module."""
    key_endpoint: tuple[Callable[[str], bool], Wsgi] | None = None
    """Tells the paths of the key endpoint, and answers there."""


class Router:
    """Answers every request of the server."""

    def __init__(
        self,
        soap: SoapService,
        make_pages: Callable[[], Wsgi],
        settings: RouterSettings,
        log: Any = None,  # noqa: ANN401 -- any structlog logger
        rng: Rng = system_random,
    ) -> None:
        self._soap = soap
        self._rng = rng
        # Made at its first request: Flask takes 0.2 s and 15 MB that licences do not need.
        self._pages = cache(make_pages)
        self._settings = settings
        self._operator_paths = settings.operator_paths
        self._key_endpoint = settings.key_endpoint
        self._log = log or structlog.get_logger("rightsmanager").bind()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        environ["REMOTE_ADDR"] = self._settings.addressing.remote(environ)
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._rng(8).hex()
        environ[REQUEST_ID] = request_id
        path = environ[CLIENT_PATH] = environ.get("PATH_INFO", "")
        is_operators = is_private(path)
        more = [] if is_operators else self._settings.cross_origin.headers(environ)
        more.append((REQUEST_ID_HEADER, request_id))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ANN401
            # Without cross-origin headers: no page may read keys in the clear.
            added = more[-1:] if GIVES_KEYS in environ else more
            return start_response(status, headers + added, exc_info)

        if is_operators:
            _hide_host(environ)
            return self._pages()(environ, start)

        is_asmx = path.lower().endswith(_ASMX)
        if is_asmx and environ["REQUEST_METHOD"] == "POST":
            return self._post(environ, start)
        if (operator := self._operator_paths.get(path)) is not None:
            # Without cross-origin headers: no page elsewhere may read these.
            more[:] = more[-1:]
            _hide_host(environ)
            return operator(environ, start)
        if self._key_endpoint is not None and self._key_endpoint[0](path):
            more[:] = more[-1:]
            return self._key_endpoint[1](environ, start)
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return self._answer_preflight(environ, start)
        return self._show(environ, start, is_asmx=is_asmx)

    def _post(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        url = self._settings.addressing.url(environ)
        try:
            _refuse_encoding(environ.get("HTTP_CONTENT_ENCODING", ""))
            body = read_body(environ, self._max_body(environ), self._settings.body_seconds)
            if body.startswith(_GZIP):
                _refuse_encoding("gzip")
        except BodyTooLarge as refusal:
            return self._soap.refuse(environ, start, url, refusal, _TOO_LARGE)
        except InvalidMessage as refusal:
            return self._soap.refuse(environ, start, url, refusal, _BAD_BODY)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return self._soap(environ, start, url)

    def _max_body(self, environ: Environ) -> int:
        """Return the limit of the operation that the headers name."""
        # A body of another operation than the headers name is refused later.
        usual, limits = self._settings.max_body, self._settings.max_bodies
        length: str = environ.get("CONTENT_LENGTH", "")
        if length.isdecimal() and int(length[:_MAX_DIGITS]) <= usual:
            return usual
        return limits.get(self._soap.find_operation(environ), usual)

    def _answer_preflight(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        start("204 No Content", [("Allow", METHODS)])
        self._log.info(
            "page",
            method="OPTIONS",
            path=environ.get("PATH_INFO", "")[:200],
            status="204",
            remote=environ["REMOTE_ADDR"],
            bytes_out=0,
        )
        return []

    def _show(self, environ: Environ, start: StartResponse, *, is_asmx: bool) -> Iterable[bytes]:
        environ[SERVICE_URL] = self._settings.addressing.url(environ)
        _hide_host(environ)
        if is_asmx:
            environ["PATH_INFO"] = ASMX_PATH
        return self._pages()(environ, start)


def is_private(path: str) -> bool:
    """Return whether a path belongs to the API or to the console."""
    return f"{path}/".startswith(_PRIVATE_PREFIXES)


def public_url_of_world(public_url: str, name: str) -> str:
    """Return the URL of a world's service, `public_url` being the server's.

    A URL that is not that of a service stays: the world's path is added to it for each request.
    """
    if not public_url.lower().endswith(ASMX_PATH):
        return public_url
    return f"{public_url[: -len(ASMX_PATH)]}{world_path(name)}{ASMX_PATH}"


def _hide_host(environ: Environ) -> None:
    """Keep the Host header under another key."""
    # Flask answers an odd one with 400. Pages have the URL, and `web.access` checks the host.
    environ[CLIENT_HOST] = environ.pop("HTTP_HOST", "")


def _refuse_encoding(encoding: str) -> None:
    if encoding.strip().lower() not in {"", "identity"}:
        raise InvalidMessage(
            f"the body's Content-Encoding is {encoding[:32]!r}, expected none: send it uncompressed"
        )
