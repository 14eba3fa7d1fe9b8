"""Access to content keys in the clear.

    off         no request
    loopback    requests from this machine, except those of a web page: any page that is open in a
                browser here could send them, and a packager is not a web page
    token       requests with the header `Authorization: Bearer` and the token
    open        every request

Behind a proxy the client's address is known only if the proxy's headers are trusted.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.operations.request import Request

_FORWARDED_FOR: Final = "x-forwarded-for"
_PROXY_HEADERS: Final = ("forwarded", "x-real-ip", "via")
"""Headers of a proxy that do not name the client in a form that is read here."""
_PAGE_HEADERS: Final = ("origin", "sec-fetch-site")
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
    trust_forwarded: bool = False
    """True if X-Forwarded-For is believed; see rightsmanager.web.address."""

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
    if not _is_known(access, request.headers, request.remote):
        return (
            "comes through a proxy that is not trusted to name the client, "
            "expected a packager on this machine, or server.trust_forwarded"
        )
    if not _is_loopback(request.remote):
        return f"comes from {request.remote or 'no address'}, expected a loopback address"
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


def _is_known(access: Access, headers: Mapping[str, str], remote: str) -> bool:
    forwarded = headers.get(_FORWARDED_FOR)
    if forwarded is not None:
        # `remote` is the proxy's own address if the last entry is not an address.
        return access.trust_forwarded and forwarded.rpartition(",")[2].strip() == remote
    return not any(name in headers for name in _PROXY_HEADERS)


def _is_loopback(remote: str) -> bool:
    try:
        address = ip_address(remote)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
