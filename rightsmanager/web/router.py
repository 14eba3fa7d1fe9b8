"""The front door: one WSGI callable that tells paths and methods apart.

    …/rightsmanager.asmx   POST     the service
                           GET      the help page, ?op=Name, ?wsdl or ?singleWsdl; HEAD the same
                           OPTIONS  a browser's preflight
    /                      GET      where to go
    anything else                   another application, if there is one, or 404

Every answer of its own has the cross-origin headers, since a player in a browser can read none
without. The other application's answers have none: what an operator sees is not for every page.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final, Protocol

import structlog

from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.web.address import Addressing
from rightsmanager.web.body import BodyTooLarge, read_body
from rightsmanager.web.cors import METHODS, CrossOrigin
from rightsmanager.web.help import HelpPages, Page

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

_ASMX: Final = "rightsmanager.asmx"
_BAD_BODY: Final = "500 Internal Server Error"
_DIGITS: Final = 20
"""More of a number need not be read to know that it is over any limit."""
_TOO_LARGE: Final = "413 Content Too Large"


class SoapDoor(Protocol):
    """The service behind the front."""

    def __call__(
        self, environ: Environ, start_response: StartResponse, url: str, /
    ) -> Iterable[bytes]:
        """Answer the envelope in `wsgi.input`."""

    def named(self, environ: Environ, /) -> str:
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
        """Answer with a fault, the body unread."""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """What may be configured of the front."""

    addressing: Addressing = field(default_factory=Addressing)
    cross_origin: CrossOrigin = field(default_factory=CrossOrigin)
    body_limit: int = 1 << 20
    """Longest body, in bytes."""
    body_limits: Mapping[str, int] = field(default_factory=dict)
    """The same by operation, of those that have one of their own."""
    body_patience: float = 20.0
    """Longest wait for the next bytes of a body, in seconds."""


class Router:
    """Answers every request of the server."""

    def __init__(
        self,
        soap: SoapDoor,
        pages: HelpPages,
        settings: RouterSettings,
        admin_app: Wsgi | None = None,
        log: Any = None,  # noqa: ANN401 -- any structlog logger
    ) -> None:
        self._soap = soap
        self._pages = pages
        self._settings = settings
        self._elsewhere = admin_app
        self._log = log or structlog.get_logger("rightsmanager").bind()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        cors = self._settings.cross_origin.headers(environ)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ANN401
            return start_response(status, headers + cors, exc_info)

        environ["REMOTE_ADDR"] = self._settings.addressing.remote(environ)
        is_asmx = environ.get("PATH_INFO", "").lower().endswith(_ASMX)
        if is_asmx and environ["REQUEST_METHOD"] == "POST":
            return self._post(environ, start)
        is_ours = is_asmx or self._pages.find(environ.get("PATH_INFO", "")) is not None
        if self._elsewhere is not None and not is_ours:
            return self._elsewhere(environ, start_response)
        return self._show(environ, start, self._page(environ, is_asmx=is_asmx))

    def _post(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        url = self._settings.addressing.url(environ)
        try:
            body = read_body(environ, self._body_limit(environ), self._settings.body_patience)
        except BodyTooLarge as refusal:
            return self._soap.refuse(environ, start, url, refusal, _TOO_LARGE)
        except InvalidMessage as refusal:
            return self._soap.refuse(environ, start, url, refusal, _BAD_BODY)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return self._soap(environ, start, url)

    def _body_limit(self, environ: Environ) -> int:
        """Return the limit of the operation that the headers name.

        A body that is of another operation than its headers say is refused later.
        """
        usual, limits = self._settings.body_limit, self._settings.body_limits
        length: str = environ.get("CONTENT_LENGTH", "")
        if length.isdecimal() and int(length[:_DIGITS]) <= usual:
            return usual
        return limits.get(self._soap.named(environ), usual)

    def _page(self, environ: Environ, *, is_asmx: bool) -> Page:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return Page("204 No Content", "", b"", (("Allow", METHODS),))
        page = None if is_asmx else self._pages.find(environ.get("PATH_INFO", ""))
        if page is None and not is_asmx:
            return self._pages.not_found()
        if method not in {"GET", "HEAD"}:
            return self._pages.not_allowed(METHODS if is_asmx else "GET, HEAD, OPTIONS")
        query = environ.get("QUERY_STRING", "")
        if page is not None:
            return page(query)
        return self._pages.asmx(query, self._settings.addressing.url(environ))

    def _show(self, environ: Environ, start: StartResponse, page: Page) -> Iterable[bytes]:
        start(page.status, page.headers())
        self._log.info(
            "page",
            method=environ["REQUEST_METHOD"],
            path=environ.get("PATH_INFO", "")[:200],
            status=page.status[:3],
            remote=environ["REMOTE_ADDR"],
            bytes_out=len(page.body),
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [page.body]
