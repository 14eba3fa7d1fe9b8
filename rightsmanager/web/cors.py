"""The headers that let a page of another origin read the replies.

Access-Control-Allow-Origin            *, or the page's origin if it is on the list
Access-Control-Allow-Credentials       true if pages may send credentials; never with *
Access-Control-Allow-Headers           content-type, soapaction, authorization, and any requested
Access-Control-Allow-Methods           GET, HEAD, OPTIONS, POST
Access-Control-Allow-Private-Network   true if a page of a public network requests it
Access-Control-Max-Age                 lifetime of a preflight's reply, in seconds

A * in Access-Control-Allow-Headers does not cover Authorization, so it is named.

Source: the Fetch standard, "CORS protocol"; Private Network Access, "preflight".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rightsmanager.settings import ServerSettings

METHODS: Final = "GET, HEAD, OPTIONS, POST"

_ANY: Final = "*"
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
        origin = environ.get("HTTP_ORIGIN", "")
        vary = [] if self._is_for_all else [("Vary", "Origin")]
        allowed = self._allowed(origin)
        if allowed is None:
            return vary
        return [
            *vary,
            ("Access-Control-Allow-Origin", allowed),
            *([("Access-Control-Allow-Credentials", "true")] if self.credentials else ()),
            ("Access-Control-Allow-Headers", _with_requested(environ)),
            ("Access-Control-Allow-Methods", METHODS),
            *_private_network(environ),
            ("Access-Control-Max-Age", str(self.max_age)),
        ]

    @property
    def _is_for_all(self) -> bool:
        """Whether all origins get the same headers."""
        return _ANY in self.origins and not self.credentials

    def _allowed(self, origin: str) -> str | None:
        """Return the origin to allow, None unless this one may read the reply."""
        if self._is_for_all:
            return _ANY
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
