"""Access to content keys in the clear, by AcquirePackagingData and by the key endpoint.

    off          no request
    loopback     requests from this machine, except through a proxy
    token        requests with the header `Authorization: Bearer` and the token
    query        requests with the token as above, or as `token` in the URL's query
    certificate  requests with a client certificate that a trusted authority has issued: on the
                 server's own TLS connection, or in the header of a trusted proxy
    open         every request

In no mode a web page gets a key: a request with a header that only browsers send is refused. A page
whose name resolves to the server (DNS rebinding) sends none of them over plain HTTP. Therefore a
server that listens on loopback alone, and one that is open, refuse requests for a host that is not
the server's. Elsewhere an open server takes any IP address, since rebinding needs a name.

A proxy on this machine connects from a loopback address for clients anywhere, and most add a header
by default. One that adds none looks like a packager: behind such a proxy loopback means everyone,
and the token is the right mode.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from rightsmanager.crypto.client_certificates import Authorities
from rightsmanager.errors import InvalidMessage, ServiceSpecific

TOKEN_PARAMETER: Final = "token"  # noqa: S105 -- the name of a parameter
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
_BASE64: Final = re.compile("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_BEARER: Final = re.compile(r"(?i:bearer) +([!-~]+)")


class AccessMode(StrEnum):
    """The values of the setting `packaging.access`."""

    OFF = "off"
    LOOPBACK = "loopback"
    TOKEN = "token"  # noqa: S105 -- a name
    QUERY = "query"
    CERTIFICATE = "certificate"
    OPEN = "open"


class Arrival(Protocol):
    """The facts of a request that access depends on."""

    @property
    def query(self) -> str:
        """The query string as received."""

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers by lower-case name."""

    @property
    def remote(self) -> str:
        """The client's address."""

    @property
    def socket(self) -> Any:  # noqa: ANN401 -- servers have sockets of their own
        """The client's connection, None if the server does not give it."""


class AccessDenied(ServiceSpecific):
    """A request for keys that may not pass."""

    needs_token = False
    """Whether it would pass with a token."""


def _no_clock() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Access:
    """The rule that lets a request pass."""

    mode: AccessMode = AccessMode.LOOPBACK
    token: str = field(default="", repr=False)
    public_url: str = ""
    """The server's own URL; its host is allowed in addition to loopback names."""
    is_loopback: bool = False
    """Whether the server listens on loopback alone."""
    hosts: frozenset[str] = frozenset()
    """Further names of the server, in lower case; `*` for any."""
    authorities: Authorities = field(default_factory=Authorities)
    """The issuers of client certificates."""
    certificate_header: str = ""
    """A trusted proxy's header with the client's certificate, in lower case; empty for none."""
    clock: Callable[[], int] = _no_clock
    """Returns Unix seconds, for client certificates."""

    def refuse_stranger(self, operation: str, request: Arrival) -> None:
        """Raise AccessDenied unless the request may pass."""
        missing = _REASONS[self.mode](self, request)
        reason = missing or _foreign(self, request)
        if reason:
            denied = AccessDenied(f"{operation} {reason} (packaging.access = {self.mode.value})")
            denied.needs_token = bool(missing) and self.mode in {AccessMode.TOKEN, AccessMode.QUERY}
            raise denied


def _foreign(access: Access, request: Arrival) -> str:
    """Return the reason to refuse a request that a web page has caused."""
    if any(name in request.headers for name in _PAGE_HEADERS):
        return "comes from a browser's page, expected a packager"
    if access.is_loopback:
        return _other_host(access, request)
    return _other_name(access, request) if access.mode is AccessMode.OPEN else ""


def _other_host(access: Access, request: Arrival) -> str:
    host = _host_name(request.headers.get("host", ""))
    # A page whose name resolves to this machine has its own name here.
    if is_loopback(host) or _is_own_name(access, host):
        return ""
    return (
        f"is for the host {host[:64]!r}, expected a loopback address, server.public_url or one of "
        "packaging.hosts"
    )


def _other_name(access: Access, request: Arrival) -> str:
    host = _host_name(request.headers.get("host", ""))
    if _is_address(host) or _is_own_name(access, host):
        return ""
    return (
        f"is for the host {host[:64]!r}, expected an IP address, server.public_url or one of "
        "packaging.hosts"
    )


def _is_own_name(access: Access, host: str) -> bool:
    known = {"", "localhost", _host_of(access.public_url)} | access.hosts
    return host in known or "*" in known


def _switched_off(_access: Access, _request: Arrival) -> str:
    return "is refused: packagers are switched off here"


def _allowed(_access: Access, _request: Arrival) -> str:
    return ""


def _not_local(access: Access, request: Arrival) -> str:
    header = next(filter(is_of_proxy, request.headers), None)
    if header is not None:
        return (
            f"comes through a proxy (header {header}), expected a packager on this machine "
            "without one; behind a proxy use packaging.access = token"
        )
    if not is_loopback(request.remote):
        return f"comes from {request.remote or 'no address'}, expected a loopback address"
    return _other_host(access, request)


def _without_token(access: Access, request: Arrival) -> str:
    match = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if match is None:
        return "has no token, expected the header Authorization: Bearer with packaging.token"
    if not hmac.compare_digest(match[1].encode(), access.token.encode()):
        return "has another token in its header Authorization, expected packaging.token"
    return ""


def _without_any_token(access: Access, request: Arrival) -> str:
    given = parse_qs(request.query).get(TOKEN_PARAMETER)
    if given is None:
        reason = _without_token(access, request)
        return f"{reason}, or token in the query" if "has no token" in reason else reason
    if len(given) > 1 or not hmac.compare_digest(given[0].encode(), access.token.encode()):
        return "has another token in its query, expected packaging.token"
    return ""


def _without_certificate(access: Access, request: Arrival) -> str:
    certificate = _find_certificate(access, request)
    if not certificate:
        return "has no client certificate, expected one of an authority in packaging.client_ca"
    try:
        access.authorities.refuse_foreign(certificate, access.clock())
    except InvalidMessage as refusal:
        return f"is refused: {refusal.text}"
    return ""


def _find_certificate(access: Access, request: Arrival) -> bytes:
    """Return the client's certificate, DER or PEM, empty without one."""
    if access.certificate_header:
        # Of several, the last is the proxy's: it adds its own after those of the client.
        given = request.headers.get(access.certificate_header, "")
        text = given.rpartition(",")[2].strip(" :")
        # RFC 9440 has base64 between colons, and nginx percent-encodes PEM.
        return base64.b64decode(text) if _BASE64.fullmatch(text) else unquote_to_bytes(text)
    find = getattr(request.socket, "getpeercert", None)
    return (find(binary_form=True) or b"") if find is not None else b""


_REASONS: Final = {
    AccessMode.OFF: _switched_off,
    AccessMode.LOOPBACK: _not_local,
    AccessMode.TOKEN: _without_token,
    AccessMode.QUERY: _without_any_token,
    AccessMode.CERTIFICATE: _without_certificate,
    AccessMode.OPEN: _allowed,
}


def is_of_proxy(header: str) -> bool:
    """Return whether proxies add a header, given by its lower-case name."""
    return header.startswith("x-forwarded") or header in _PROXY_HEADERS


def _host_name(host: str) -> str:
    """Return the name or address of a Host header, without port and brackets; else all of it."""
    if _HOST.fullmatch(host) is None:
        return host
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        # Brackets around anything but an IPv6 address.
        return host


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Return True for a loopback address; IPv4 in IPv6 too."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback
