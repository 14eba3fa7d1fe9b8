"""The HTTP side of a SOAP request: its URL and client, its body, and the CORS headers of its reply.

Behind a proxy the URL and the client's address are the proxy's, unless its headers are trusted.
Bodies may be chunked and are limited; a longer one is refused before it is read whole.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from rightsmanager.errors import InvalidMessage
from rightsmanager.settings import ServerSettings

CLIENT_HOST: Final = "rightsmanager.host"
"""The key of the Host header in the environment of a page, which has no HTTP_HOST."""

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_NUMBER: Final = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_PATH_SAFE: Final = "/:@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class Addressing:
    """The settings from which addresses follow."""

    public_url: str = ""
    trust_forwarded: bool = False
    """Whether to use X-Forwarded-For, -Proto and -Host, the last entry of each."""

    def url(self, environ: Mapping[str, Any]) -> str:
        """Return the URL of the request without its query."""
        if self.public_url.lower().endswith(".asmx"):
            return self.public_url
        path = quote(
            (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1"),
            _PATH_SAFE,
        )
        return (self.public_url.rstrip("/") or self._origin(environ)) + path

    def remote(self, environ: Mapping[str, Any]) -> str:
        """Return the client's address."""
        peer: str = environ.get("REMOTE_ADDR", "")
        return _last(environ, "HTTP_X_FORWARDED_FOR") if self.names_client(environ) else peer

    def names_client(self, environ: Mapping[str, Any]) -> bool:
        """Return whether a trusted proxy says the client's address."""
        # Some say `unknown` for one that they hide.
        forwarded = _last(environ, "HTTP_X_FORWARDED_FOR") if self.trust_forwarded else ""
        return _NUMBER.fullmatch(forwarded) is not None

    def scheme(self, environ: Mapping[str, Any]) -> Literal["http", "https"]:
        """Return the scheme that the client used."""
        scheme = environ.get("wsgi.url_scheme", "http")
        if self.trust_forwarded:
            scheme = _last(environ, "HTTP_X_FORWARDED_PROTO") or scheme
        return "https" if scheme == "https" else "http"

    def host(self, environ: Mapping[str, Any]) -> str:
        """Return the host and port as the client named them, unchecked."""
        host: str = environ.get(CLIENT_HOST) or environ.get("HTTP_HOST", "")
        return (_last(environ, "HTTP_X_FORWARDED_HOST") if self.trust_forwarded else "") or host

    def _origin(self, environ: Mapping[str, Any]) -> str:
        host = self.host(environ)
        if not _HOST.fullmatch(host):
            host = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        return f"{self.scheme(environ)}://{host}"


def _last(environ: Mapping[str, Any], name: str) -> str:
    value: str = environ.get(name, "")
    return value.rpartition(",")[2].strip()


Environ = dict[str, Any]

_SOCKET: Final = "gunicorn.socket"


class BodyTooLarge(InvalidMessage):
    """The body is longer than the limit."""


def read_body(environ: Environ, limit: int, seconds: float) -> bytes:
    """Return the body, at most `limit` bytes.

    No read waits longer than `seconds` if the server gives its socket. Raises BodyTooLarge, and
    InvalidMessage for an invalid length or a body that ends early.
    """
    length = _declared_length(environ)
    if length is not None and length > limit:
        raise _too_large(f"{length} bytes", limit)
    if length is None and not _ends_by_itself(environ):
        return b""
    if (socket := environ.get(_SOCKET)) is not None:
        socket.settimeout(seconds)
    try:
        body = _read(environ["wsgi.input"].read, limit + 1 if length is None else length)
    except Exception as error:  # noqa: BLE001 -- each server has another class for a broken chunk
        raise InvalidMessage(f"the body could not be read: {type(error).__name__}") from None
    if length is None and len(body) > limit:
        raise _too_large(f"more than {limit} bytes", limit)
    if length is not None and len(body) < length:
        raise InvalidMessage(f"the body ended after {len(body)} bytes, expected {length}")
    return body


def _declared_length(environ: Environ) -> int | None:
    text: str = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InvalidMessage(f"Content-Length is {text[:32]!r}, expected a number")
    return int(text[:20])


def _ends_by_itself(environ: Environ) -> bool:
    return bool(environ.get("wsgi.input_terminated")) or "HTTP_TRANSFER_ENCODING" in environ


def _read(read: Callable[[int], bytes], length: int) -> bytes:
    """Return `length` bytes, or fewer if the body ends before."""
    body = read(length)
    while body and len(body) < length:
        more = read(length - len(body))
        if not more:
            break
        body += more
    return body


def _too_large(actual: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has {actual}, the limit is {limit} bytes")


METHODS: Final = "GET, HEAD, OPTIONS, POST"

_ANY: Final = "*"
_EXPOSED: Final = "X-RightsManager-Warning, X-Request-Id"
_HEADERS: Final = "content-type, soapaction, authorization"
_REQUESTED: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")


@dataclass(frozen=True, slots=True)
class CrossOrigin:
    """The origins that may read replies, and how."""

    origins: tuple[str, ...] = (_ANY,)
    """Origins such as `https://player.example`, or `*` for all."""
    max_age: int = 86400
    """Lifetime of a preflight's reply in a browser, in seconds."""
    credentials: bool = False
    """Whether pages may send cookies, client certificates and the browser's passwords."""

    def headers(self, environ: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the headers of every reply to this request."""
        is_for_all = _ANY in self.origins and not self.credentials
        # All origins get the same headers, or each its own.
        vary = [] if is_for_all else [("Vary", "Origin")]
        allowed = _ANY if is_for_all else self._allowed(environ.get("HTTP_ORIGIN", ""))
        if allowed is None:
            return vary
        return [
            *vary,
            ("Access-Control-Allow-Origin", allowed),
            *([("Access-Control-Allow-Credentials", "true")] if self.credentials else ()),
            ("Access-Control-Allow-Headers", _with_requested(environ)),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Expose-Headers", _EXPOSED),
            *_private_network(environ),
            ("Access-Control-Max-Age", str(self.max_age)),
        ]

    def _allowed(self, origin: str) -> str | None:
        """Return the origin to allow, None unless this one may read the reply."""
        is_listed = origin in self.origins or (_ANY in self.origins and origin)
        return origin if is_listed else None


def make_cross_origin(server: ServerSettings) -> CrossOrigin:
    """Return the headers that the settings describe."""
    return CrossOrigin(server.cors_origins, server.cors_max_age_seconds, server.cors_credentials)


def _with_requested(environ: Mapping[str, Any]) -> str:
    requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    return f"{_HEADERS}, {requested}" if _REQUESTED.fullmatch(requested) else _HEADERS


def _private_network(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK", "")
    return [("Access-Control-Allow-Private-Network", "true")] if requested == "true" else []
