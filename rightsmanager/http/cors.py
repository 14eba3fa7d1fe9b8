"""The headers by which a browser lets a page of another origin read the answers.

Access-Control-Allow-Origin    * or the asking origin, if it is on the list
Access-Control-Allow-Headers   content-type, soapaction and whatever was asked for
Access-Control-Allow-Methods   GET, HEAD, OPTIONS, POST
Access-Control-Max-Age         how long, in seconds, the answer to a preflight holds
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

METHODS: Final = "GET, HEAD, OPTIONS, POST"

_HEADERS: Final = "content-type, soapaction"
_ASKED: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")


@dataclass(frozen=True, slots=True)
class CrossOrigin:
    """Who may read the answers."""

    origins: tuple[str, ...] = ("*",)
    """Origins such as `https://player.example`, or `*` for all."""
    max_age: int = 86400

    def headers(self, environ: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the headers of any answer to this request."""
        if "*" in self.origins:
            allowed = [("Access-Control-Allow-Origin", "*")]
        else:
            origin = environ.get("HTTP_ORIGIN", "")
            allowed = [("Vary", "Origin")]
            if origin not in self.origins:
                return allowed
            allowed.append(("Access-Control-Allow-Origin", origin))
        return [
            *allowed,
            ("Access-Control-Allow-Headers", _with_asked(environ)),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Max-Age", str(self.max_age)),
        ]


def _with_asked(environ: Mapping[str, Any]) -> str:
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    return f"{_HEADERS}, {asked}" if _ASKED.fullmatch(asked) else _HEADERS
