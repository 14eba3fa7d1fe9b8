"""The headers by which a browser lets a page of another origin read the answers.

Access-Control-Allow-Origin            * or the asking origin, if it is on the list
Access-Control-Allow-Credentials       true, if a page may send them; the origin is then never *
Access-Control-Allow-Headers           content-type, soapaction, authorization, and what was asked
Access-Control-Allow-Methods           GET, HEAD, OPTIONS, POST
Access-Control-Allow-Private-Network   true, if a page of a public network asks
Access-Control-Max-Age                 how long, in seconds, the answer to a preflight holds

Authorization, the header that tokens come in, is never meant by a *, so it is named.

Source: the Fetch standard, "CORS protocol"; Private Network Access, "preflight".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

METHODS: Final = "GET, HEAD, OPTIONS, POST"

_ANY: Final = "*"
_HEADERS: Final = "content-type, soapaction, authorization"
_ASKED: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")


@dataclass(frozen=True, slots=True)
class CrossOrigin:
    """Who may read the answers."""

    origins: tuple[str, ...] = (_ANY,)
    """Origins such as `https://player.example`, or `*` for all."""
    max_age: int = 86400
    """For how many seconds a browser may keep the answer to a preflight."""
    credentials: bool = False
    """Whether a page may send cookies, client certificates and a browser's own passwords."""

    def headers(self, environ: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the headers of any answer to this request."""
        origin = environ.get("HTTP_ORIGIN", "")
        vary = [] if self._is_for_all else [("Vary", "Origin")]
        allowed = self._allowed(origin)
        if allowed is None:
            return vary
        return [
            *vary,
            ("Access-Control-Allow-Origin", allowed),
            *([("Access-Control-Allow-Credentials", "true")] if self.credentials else ()),
            ("Access-Control-Allow-Headers", _with_asked(environ)),
            ("Access-Control-Allow-Methods", METHODS),
            *_private_network(environ),
            ("Access-Control-Max-Age", str(self.max_age)),
        ]

    @property
    def _is_for_all(self) -> bool:
        """Whether every origin gets the same headers."""
        return _ANY in self.origins and not self.credentials

    def _allowed(self, origin: str) -> str | None:
        """Return whom the answer is for, None if it is not for this origin."""
        if self._is_for_all:
            return _ANY
        is_listed = origin in self.origins or (_ANY in self.origins and origin)
        return origin if is_listed else None


def _with_asked(environ: Mapping[str, Any]) -> str:
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    return f"{_HEADERS}, {asked}" if _ASKED.fullmatch(asked) else _HEADERS


def _private_network(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK", "")
    return [("Access-Control-Allow-Private-Network", "true")] if asked == "true" else []
