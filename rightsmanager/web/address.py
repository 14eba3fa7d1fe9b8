"""The address of a request as its client knows it: from the settings, a proxy or the request.

    public URL ends in .asmx   the whole address
    any other public URL       scheme, host and the path before the service's
    none                       scheme, Host header and path of the request

The Host header is chosen by the client and appears in pages and messages, so anything but a plain
`name[:port]` is replaced by the server's own name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

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
        forwarded = _last(environ, "HTTP_X_FORWARDED_FOR") if self.trust_forwarded else ""
        return forwarded if _NUMBER.fullmatch(forwarded) else peer

    def _origin(self, environ: Mapping[str, Any]) -> str:
        scheme = environ.get("wsgi.url_scheme", "http")
        host = environ.get("HTTP_HOST", "")
        if self.trust_forwarded:
            scheme = _last(environ, "HTTP_X_FORWARDED_PROTO") or scheme
            host = _last(environ, "HTTP_X_FORWARDED_HOST") or host
        if not _HOST.fullmatch(host):
            host = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        return f"{'https' if scheme == 'https' else 'http'}://{host}"


def _last(environ: Mapping[str, Any], name: str) -> str:
    value: str = environ.get(name, "")
    return value.rpartition(",")[2].strip()
