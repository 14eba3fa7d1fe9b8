"""The operator's door: an application behind a bearer token, at a path of its own.

    …/admin/…           with the token     the application
                        without            401
    anything else                          404

The token is looked at before the body is read. There are no cross-origin headers: no page of
another origin can ask, and none can read.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import structlog

from rightsmanager.errors import InvalidMessage, StatusCode
from rightsmanager.web.body import BodyTooLarge, read_body

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

BODY_LIMIT: Final = 64 * 1024
"""Longest body, in bytes."""
_BEARER: Final = re.compile(r"(?i:bearer) +([!-~]+)")
_CHALLENGE: Final = ("WWW-Authenticate", 'Bearer realm="rightsmanager"')
_HEADERS: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """What may be configured of the door."""

    path: str
    """Such as `/admin`."""
    token: str = field(repr=False)
    body_patience: float = 20.0
    """Longest wait for the next bytes of a body, in seconds."""


class BearerAuth:
    """Lets requests with the token through to an application that knows its paths below the door's.

    Raises ValueError for an empty token.
    """

    def __init__(
        self,
        application: Wsgi,
        settings: AdminSettings,
        log: Any = None,  # noqa: ANN401 -- any structlog logger
    ) -> None:
        if not settings.token:
            raise ValueError("the token of the admin API is empty")
        self._application = application
        self._settings = settings
        self._token = _digest(settings.token)
        self._log = log or structlog.get_logger("rightsmanager").bind()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ANN401
            self._note(environ, status)
            return start_response(status, [*headers, *_HEADERS], exc_info)

        path, prefix = environ.get("PATH_INFO", ""), self._settings.path
        if not path.startswith(f"{prefix}/"):
            return _refuse(start, "404 Not Found", f"nothing is here, try {prefix}/openapi.json")
        if not self._has_token(environ.get("HTTP_AUTHORIZATION", "")):
            text = "expected the header Authorization: Bearer with the token of the admin API"
            return _refuse(start, "401 Unauthorized", text, _CHALLENGE)
        try:
            body = read_body(environ, BODY_LIMIT, self._settings.body_patience)
        except BodyTooLarge as refusal:
            return _refuse(start, "413 Content Too Large", refusal.text)
        except InvalidMessage as refusal:
            return _refuse(start, "400 Bad Request", refusal.text)
        environ |= {
            "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix,
            "PATH_INFO": path[len(prefix) :],
            "wsgi.input": BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
        }
        return self._application(environ, start)

    def _has_token(self, header: str) -> bool:
        match = _BEARER.fullmatch(header.strip())
        # Digests are of one length, so that nothing is told of the token's.
        return match is not None and hmac.compare_digest(_digest(match[1]), self._token)

    def _note(self, environ: Environ, status: str) -> None:
        self._log.info(
            "admin",
            method=environ["REQUEST_METHOD"],
            path=(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))[:200],
            status=status[:3],
            remote=environ.get("REMOTE_ADDR", ""),
        )


def problem(text: str, status: StatusCode = StatusCode.INVALID_MESSAGE) -> dict[str, str]:
    """Return how the admin API spells a refusal."""
    return {"error": text, "status_code": status.hex}


def _refuse(
    start: StartResponse, status: str, text: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    body = json.dumps(problem(text)).encode()
    length = ("Content-Length", str(len(body)))
    start(status, [("Content-Type", "application/json"), length, *headers])
    return [body]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
