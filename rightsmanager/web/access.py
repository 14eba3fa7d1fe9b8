"""Access to the management API and to the console: the same rule for both.

    source   requests of other origins are refused, and on a server that listens on loopback alone
             those for another host too: a page elsewhere cannot use a browser on this machine, not
             even by a host name that it points here (DNS rebinding)
    caller   a bearer token (API) or a session cookie that was made from one (console), else the
             operator at this machine: a server on loopback trusts requests from loopback for a
             loopback host that no proxy has passed on

A session cookie is signed, and bound to its token: it ends when the token is revoked or expires.
Acts of the console need a CSRF token in addition to the cookie. No answer has cross-origin headers.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, Literal

from rightsmanager.admin.tokens import Role, TokenKeeper, digest_of
from rightsmanager.errors import ServiceSpecific
from rightsmanager.operations.access import is_loopback, is_of_proxy
from rightsmanager.operations.request import RequestHeaders
from rightsmanager.web.http import CLIENT_HOST, Addressing
from rightsmanager.web.token_delays import TokenDelays

Environ = dict[str, Any]
AccessMode = Literal["auto", "token", "off"]
OnWrongToken = Callable[[str, int], None]
"""Called with the client's address, and the number of wrong tokens from there."""

CALLER: Final = "rightsmanager.caller"
"""The key of the caller in the environment of a request that is allowed."""
COOKIE: Final = "rightsmanager_session"
CSRF_FIELD: Final = "csrf_token"
"""The field of forms with the CSRF token."""
CSRF_HEADER: Final = "X-CSRF-Token"
"""The header with the CSRF token, for requests without a form."""
SESSION_SECONDS: Final = 12 * 3600
"""The lifetime of a session."""

_BEARER: Final = re.compile(r"(?i:bearer) +([!-~]+)")
_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="rightsmanager"'),)
_ORIGIN: Final = re.compile(
    r"(?i:(https?))://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?(?=/|\Z)"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOCALHOST: Final = "localhost"
_SESSION: Final = re.compile(r"([a-z0-9]{1,16})\.([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")
_NONCE_BYTES: Final = 16
_SETTINGS_TOKEN: Final = "settings"  # noqa: S105 -- the id of a token
"""The id of the token that the settings name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An operator, or the operator's program."""

    name: str
    """The token's name, or `loopback`."""
    role: Role
    session: str = field(default="", repr=False)
    """The session cookie; empty without one."""

    @property
    def may_operate(self) -> bool:
        """Whether the caller may change things and see secrets."""
        return self.role is Role.OPERATE


class RoleTooLow(ServiceSpecific):
    """The caller's role does not allow the act."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The reason to refuse a request."""

    http_status: int
    """401 asks for a token; all others are final."""
    code: str
    """Stable, in lower case with hyphens."""
    text: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """The settings that access depends on."""

    mode: AccessMode = "auto"
    """`auto`: the rule above; `token`: a token always; `off`: no API and no console."""
    is_loopback: bool = False
    """Whether the server listens on loopback alone."""
    addressing: Addressing = field(default_factory=Addressing)
    token: str = field(default="", repr=False)
    """The token of the settings, whose role is `operate`; empty for none."""


class Access:
    """Decides who may use the API and the console."""

    def __init__(
        self,
        settings: AccessSettings,
        tokens: TokenKeeper,
        secret: bytes,
        on_wrong_token: OnWrongToken = lambda _remote, _attempts: None,
    ) -> None:
        """Take the secret that signs sessions, the same in all processes of a server."""
        self._settings = settings
        self._tokens = tokens
        self._secret = secret
        self._on_wrong_token = on_wrong_token
        self._delays = TokenDelays()
        self._source = _Source(settings)

    @property
    def is_on(self) -> bool:
        """Whether there are an API and a console."""
        return self._settings.mode != "off"

    @property
    def is_open(self) -> bool:
        """Whether some requests need no token."""
        return self._settings.mode == "auto" and self._settings.is_loopback

    def authorize_api(self, environ: Environ) -> Caller | Refused:
        """Return the caller of an API request, and keep it in the environment."""
        refused = self._source.refuse(environ, is_page=False)
        if refused is not None:
            return refused
        token = find_token(environ.get("HTTP_AUTHORIZATION", ""))
        found = self._check_token(environ, token) if token else self._local(environ)
        return _keep(environ, found or _unauthorized())

    def authorize_console(self, environ: Environ) -> Caller | Refused:
        """Return the caller of a console page, and keep it in the environment.

        The answer to 401 is the sign-in page.
        """
        refused = self._source.refuse(environ, is_page=True)
        if refused is not None:
            return refused
        found = self._find_session(environ) or self._local(environ)
        return _keep(environ, found or _unauthorized())

    def may_see_console(self, environ: Environ) -> bool:
        """Return whether pages may show the client of a request links to the console."""
        if not self.is_on or self._source.refuse(environ, is_page=True) is not None:
            return False
        return self._is_local(environ) or self._find_session(environ) is not None

    def refuse_forged(self, environ: Environ, given: str) -> Refused | None:
        """Return the reason to refuse an act of the console without the page's CSRF token.

        given: the form's CSRF_FIELD; the header CSRF_HEADER counts too.
        """
        given = given or environ.get("HTTP_X_CSRF_TOKEN", "")
        if hmac.compare_digest(given.encode(), self.csrf_token(environ).encode()):
            return None
        return Refused(403, "csrf", "the form's CSRF token is missing or old: load the page again")

    def csrf_token(self, environ: Environ) -> str:
        """Return the CSRF token of the caller that was authorized."""
        caller: Caller = environ[CALLER]
        return self._sign("csrf", caller.session)

    def sign_in(self, environ: Environ, token: str) -> str | Refused:
        """Return the Set-Cookie header of a new session that a token opens."""
        refused = self._source.refuse(environ, is_page=True)
        if refused is not None:
            return refused
        checked = self._check_token(environ, token)
        if isinstance(checked, Refused):
            return checked
        token_id, digest = self._identify(token)
        expires_at = self._tokens.clock() + SESSION_SECONDS
        rest = f"{token_id}.{expires_at}.{self._tokens.rng(_NONCE_BYTES).hex()}"
        session = f"{rest}.{self._sign('session', rest, digest.hex())}"
        return self._cookie(environ, session, SESSION_SECONDS)

    def sign_out(self, environ: Environ) -> str:
        """Return the Set-Cookie header that ends the browser's session."""
        return self._cookie(environ, "", 0)

    def _check_token(self, environ: Environ, token: str) -> Caller | Refused:
        """Return the caller with a token; a wrong one delays the next from the same address."""
        remote: str = environ["REMOTE_ADDR"]
        # The right token has to wait too: otherwise its answer would tell it from wrong ones.
        seconds = math.ceil(self._delays.remaining(remote))
        if seconds:
            text = f"too many wrong tokens from {remote}, the next is read in {seconds} seconds"
            return Refused(429, "too-many-attempts", text, (("Retry-After", str(seconds)),))
        caller = self._find_caller(token)
        if caller is not None:
            self._delays.forget(remote)
            return caller
        self._on_wrong_token(remote, self._delays.record(remote))
        text = "the token is wrong, expired or revoked"
        return Refused(401, "invalid-token", text, _CHALLENGE)

    def _find_caller(self, token: str) -> Caller | None:
        if self._is_settings_token(digest_of(token)):
            return Caller(_SETTINGS_TOKEN, Role.OPERATE)
        stored = self._tokens.check(token)
        return None if stored is None else Caller(stored.name, Role(stored.role))

    def _is_settings_token(self, digest: bytes) -> bool:
        own = self._settings.token
        # Digests have one length, so that the time tells nothing about the token's.
        return bool(own) and hmac.compare_digest(digest, digest_of(own))

    def _identify(self, token: str) -> tuple[str, bytes]:
        digest = digest_of(token)
        is_own = self._is_settings_token(digest)
        return (_SETTINGS_TOKEN if is_own else digest[:8].hex()), digest

    def _find_session(self, environ: Environ) -> Caller | None:
        """Return the caller of a session cookie, None unless it and its token are valid."""
        session = _read_cookie(environ)
        match = _SESSION.fullmatch(session)
        if match is None or int(match[2]) <= self._tokens.clock():
            return None
        rest, _, signature = session.rpartition(".")
        found = self._token_of_session(match[1])
        if found is None:
            return None
        digest, name, role = found
        is_right = hmac.compare_digest(signature, self._sign("session", rest, digest.hex()))
        return Caller(name, role, session) if is_right else None

    def _token_of_session(self, token_id: str) -> tuple[bytes, str, Role] | None:
        """Return the digest, the name and the role of a valid token."""
        if token_id == _SETTINGS_TOKEN:
            own = self._settings.token
            return (digest_of(own), _SETTINGS_TOKEN, Role.OPERATE) if own else None
        stored = self._tokens.find_valid(token_id)
        return None if stored is None else (stored.digest, stored.name, Role(stored.role))

    def _local(self, environ: Environ) -> Caller | None:
        return Caller("loopback", Role.OPERATE) if self._is_local(environ) else None

    def _is_local(self, environ: Environ) -> bool:
        return self._settings.mode == "auto" and self._source.is_local(environ)

    def _cookie(self, environ: Environ, value: str, seconds: int) -> str:
        secure = "; Secure" if self._settings.addressing.scheme(environ) == "https" else ""
        return f"{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"

    def _sign(self, *parts: str) -> str:
        return hmac.new(self._secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()


Site = tuple[str, int]
"""A host in lower case without brackets, and a port."""


class _Source:
    """The origin, the host and the client of requests."""

    def __init__(self, settings: AccessSettings) -> None:
        self._is_loopback = settings.is_loopback
        self._addressing = settings.addressing
        self._public = _parse_origin(settings.addressing.public_url)

    def refuse(self, environ: Environ, *, is_page: bool) -> Refused | None:
        """Return the reason to refuse a request of another origin, or for another host."""
        if self._is_loopback and not self._is_own_host(environ):
            host = environ.get(CLIENT_HOST, "")
            text = f"the host is {host[:100]!r}, expected localhost with the server's port"
            return Refused(403, "foreign-host", f"{text}, or the host of server.public_url")
        if self._is_own_origin(environ) and _is_own_fetch(environ, is_page=is_page):
            return None
        text = "the request comes from a page of another origin, expected none or this server's"
        return Refused(403, "foreign-origin", text)

    def is_local(self, environ: Environ) -> bool:
        """Return whether the operator at this machine has sent a request."""
        site = self._site(environ)
        return (
            self._is_loopback
            and _is_loopback(environ["REMOTE_ADDR"])
            # A public host of another name is a proxy's: its clients are anywhere.
            and _is_loopback(site[0])
            and self._is_own_host(environ)
            and not self._is_proxied(environ)
        )

    def _is_own_host(self, environ: Environ) -> bool:
        host, port = site = self._site(environ)
        is_own = _is_loopback(host) and port == int(environ.get("SERVER_PORT") or 0)
        return is_own or (self._public is not None and site == self._public[1])

    def _is_own_origin(self, environ: Environ) -> bool:
        text: str = environ.get("HTTP_ORIGIN", "")
        if not text:
            return True
        origin = _parse_origin(text)
        own = self._addressing.scheme(environ), self._site(environ)
        return origin is not None and origin in {own, self._public}

    def _site(self, environ: Environ) -> Site:
        """Return the host that the client named."""
        scheme = self._addressing.scheme(environ)
        host = self._addressing.host(environ)
        origin = _parse_origin(f"{scheme}://{host}")
        return ("", 0) if origin is None or "/" in host else origin[1]

    def _is_proxied(self, environ: Environ) -> bool:
        # A proxy on this machine that is not trusted passes on requests from everywhere.
        headers = RequestHeaders(environ)
        is_passed_on = any(is_of_proxy(name) and value for name, value in headers.items())
        return is_passed_on and not self._addressing.names_client(environ)


def find_token(header: str) -> str:
    """Return the token in an Authorization header, empty if it has none."""
    match = _BEARER.fullmatch(header.strip())
    return "" if match is None else match[1]


def _keep(environ: Environ, found: Caller | Refused) -> Caller | Refused:
    if isinstance(found, Caller):
        environ[CALLER] = found
    return found


def _unauthorized() -> Refused:
    text = "expected the header Authorization: Bearer with a token of the API"
    return Refused(401, "token-required", text, _CHALLENGE)


def _parse_origin(url: str) -> tuple[str, Site] | None:
    """Return the scheme and the host of a URL, None for one of another form."""
    match = _ORIGIN.match(url)
    if match is None:
        return None
    scheme, host, port = match[1].lower(), match[2].strip("[]").lower(), match[3]
    return scheme, (host, int(port or _DEFAULT_PORTS[scheme]))


def _is_loopback(host: str) -> bool:
    return host == _LOCALHOST or is_loopback(host)


def _is_own_fetch(environ: Mapping[str, Any], *, is_page: bool) -> bool:
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    if site in {"same-origin", "none"}:
        return True
    # A link on another page: it shows the console to the operator, and changes nothing.
    return (
        is_page
        and environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )


def _read_cookie(environ: Mapping[str, Any]) -> str:
    try:
        cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
