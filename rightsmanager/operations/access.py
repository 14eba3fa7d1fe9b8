"""Who may ask for content keys in the clear.

    off         nobody
    loopback    who asks from this machine, except a browser's page: any page that someone here
                looks at could ask, and a packager is no page
    token       who sends `Authorization: Bearer` with the token
    open        everybody

An address counts if it is known. Behind a proxy it is the proxy's word, if its headers are trusted;
where they are not, a request that came through a proxy has no known address.
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
"""What tells of a proxy, without saying in a way that is understood here for whom it asks."""
_PAGE_HEADERS: Final = ("origin", "sec-fetch-site")
_BEARER: Final = re.compile(r"(?i:bearer) +([!-~]+)")


class AccessMode(StrEnum):
    """The settings of access."""

    OFF = "off"
    LOOPBACK = "loopback"
    TOKEN = "token"  # noqa: S105 -- a name
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Access:
    """What lets a request pass."""

    kind: AccessMode
    token: str = field(default="", repr=False)
    trust_forwarded: bool = False
    """Whether X-Forwarded-For is a proxy's word; see rightsmanager.web.address."""

    def refuse_stranger(self, operation: str, request: Request) -> None:
        """Return if the request may pass; raises ServiceSpecific, which says what was expected."""
        reason = _REASONS[self.kind](self, request)
        if reason:
            raise ServiceSpecific(f"{operation} {reason} (packaging.access = {self.kind.value})")


def _no_way(_access: Access, _request: Request) -> str:
    return "is switched off here"


def _no_reason(_access: Access, _request: Request) -> str:
    return ""


def _not_from_here(access: Access, request: Request) -> str:
    if any(name in request.headers for name in _PAGE_HEADERS):
        return "comes from a browser's page, expected a packager on this machine"
    if not _is_known(access, request.headers, request.remote):
        return (
            "comes through a proxy that is not trusted to tell for whom, "
            "expected a packager on this machine, or server.trust_forwarded"
        )
    if not _is_loopback(request.remote):
        return f"comes from {request.remote or 'no address'}, expected a loopback address"
    return ""


def _not_with_token(access: Access, request: Request) -> str:
    match = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if match is None:
        return "has no token, expected the header Authorization: Bearer with packaging.token"
    if not hmac.compare_digest(match[1].encode(), access.token.encode()):
        return "has another token in its header Authorization, expected packaging.token"
    return ""


_REASONS: Final = {
    AccessMode.OFF: _no_way,
    AccessMode.LOOPBACK: _not_from_here,
    AccessMode.TOKEN: _not_with_token,
    AccessMode.OPEN: _no_reason,
}


def _is_known(access: Access, headers: Mapping[str, str], remote: str) -> bool:
    forwarded = headers.get(_FORWARDED_FOR)
    if forwarded is not None:
        # A last entry that is no address is not in `remote`, where the proxy's own then stands.
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
