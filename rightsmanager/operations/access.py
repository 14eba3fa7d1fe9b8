"""Access to content keys in the clear.

    off         no request
    loopback    requests from this machine, except through a proxy and except those of a web page:
                any page that is open in a browser here could send them
    token       requests with the header `Authorization: Bearer` and the token
    open        every request

A proxy on this machine connects from a loopback address for clients anywhere, and most add a header
by default. One that adds none looks like a packager: behind such a proxy loopback means everyone,
and the token is the right mode.
"""

import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from rightsmanager.errors import ServiceSpecific
from rightsmanager.operations.request import Request

# Any of them: a client can send a false one, but a packager on this machine sends none.
_PROXY_HEADERS: Final = frozenset(
    {
        "via",
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-host",
        "cf-connecting-ip",
        "true-client-ip",
        "fastly-client-ip",
    }
)
"""Headers that proxies add, in addition to all X-Forwarded ones."""
_PAGE_HEADERS: Final = ("origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
"""Headers that browsers add; no page can suppress all of them."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{1,5})?")
_BEARER: Final = re.compile(r"(?i:bearer) +([!-~]+)")


class AccessMode(StrEnum):
    """The values of the setting `packaging.access`."""

    OFF = "off"
    LOOPBACK = "loopback"
    TOKEN = "token"  # noqa: S105 -- a name
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Access:
    """The rule that lets a request pass."""

    mode: AccessMode = AccessMode.LOOPBACK
    token: str = field(default="", repr=False)
    public_url: str = ""
    """The server's own URL; its host is allowed in addition to loopback names."""

    def refuse_stranger(self, operation: str, request: Request) -> None:
        """Raise ServiceSpecific unless the request may pass."""
        reason = _REASONS[self.mode](self, request)
        if reason:
            raise ServiceSpecific(f"{operation} {reason} (packaging.access = {self.mode.value})")


def _switched_off(_access: Access, _request: Request) -> str:
    return "is switched off here"


def _allowed(_access: Access, _request: Request) -> str:
    return ""


def _not_local(access: Access, request: Request) -> str:
    if any(name in request.headers for name in _PAGE_HEADERS):
        return "comes from a browser's page, expected a packager on this machine"
    header = next(filter(_is_of_proxy, request.headers), None)
    if header is not None:
        return (
            f"comes through a proxy (header {header}), expected a packager on this machine "
            "without one; behind a proxy use packaging.access = token"
        )
    if not is_loopback(request.remote):
        return f"comes from {request.remote or 'no address'}, expected a loopback address"
    host = _host_name(request.headers.get("host", ""))
    # A page whose name resolves to this machine (DNS rebinding) has its own name here.
    if not (host in {"", "localhost", _host_of(access.public_url)} or is_loopback(host)):
        return f"is for the host {host[:64]!r}, expected a loopback address or server.public_url"
    return ""


def _without_token(access: Access, request: Request) -> str:
    match = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if match is None:
        return "has no token, expected the header Authorization: Bearer with packaging.token"
    if not hmac.compare_digest(match[1].encode(), access.token.encode()):
        return "has another token in its header Authorization, expected packaging.token"
    return ""


_REASONS: Final = {
    AccessMode.OFF: _switched_off,
    AccessMode.LOOPBACK: _not_local,
    AccessMode.TOKEN: _without_token,
    AccessMode.OPEN: _allowed,
}


def _is_of_proxy(header: str) -> bool:
    return header.startswith("x-forwarded") or header in _PROXY_HEADERS


def _host_name(host: str) -> str:
    """Return the name or address of a Host header, without port and brackets."""
    return (urlsplit(f"//{host}").hostname or "") if _HOST.fullmatch(host) else host


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def is_loopback(address: str) -> bool:
    """Return True for a loopback address; IPv4 in IPv6 too."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback
