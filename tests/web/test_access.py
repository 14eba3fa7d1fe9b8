"""The rule by which operators are let in, for the API and the console."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.admin.tokens import Role, TokenKeeper
from rightsmanager.assembly import api_token
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InternalError
from rightsmanager.settings_loading import load
from rightsmanager.store.database import Store, open_store
from rightsmanager.store.schema import upgrade
from rightsmanager.web.access import (
    CALLER,
    COOKIE,
    SESSION_SECONDS,
    Access,
    AccessSettings,
    Caller,
    Refused,
    find_token,
)
from rightsmanager.web.http import Addressing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1790000000
TOKEN = "the-settings-token"
FAR = "203.0.113.7"
LOOPBACK = AccessSettings(is_loopback=True, token=TOKEN)
ANYWHERE = replace(LOOPBACK, is_loopback=False)
LOCAL = Caller("loopback", Role.OPERATE)


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path_factory.mktemp('access')}/tokens.db"
    upgrade(url)
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def tokens(store: Store, clock: Clock) -> TokenKeeper:
    return TokenKeeper(store, clock, system_random)


@pytest.fixture
def local(tokens: TokenKeeper) -> Access:
    return Access(LOOPBACK, tokens, b"secret")


@pytest.fixture
def remote(tokens: TokenKeeper) -> Access:
    return Access(ANYWHERE, tokens, b"secret")


def sent(**environ: str) -> dict[str, Any]:
    """Return the environment of a request from this machine, with some keys changed."""
    return {
        "REQUEST_METHOD": "GET",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": "8080",
        "wsgi.url_scheme": "http",
        "rightsmanager.host": "127.0.0.1:8080",
        **environ,
    }


def host(name: str) -> dict[str, str]:
    return {"rightsmanager.host": name}


def bearer(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def code(found: Caller | Refused) -> str:
    assert isinstance(found, Refused), found
    return found.code


# --- without a token ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        host("localhost:8080"),
        host("LOCALHOST:8080"),
        host("[::1]:8080"),
        host("127.9.9.9:8080"),
        {"REMOTE_ADDR": "::1"},
        {"REMOTE_ADDR": "::ffff:127.0.0.1"},
        {**host("localhost"), "SERVER_PORT": "80"},
        {**host("localhost"), "SERVER_PORT": "443", "wsgi.url_scheme": "https"},
        {"HTTP_ORIGIN": "http://127.0.0.1:8080", "HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"HTTP_AUTHORIZATION": "Basic eDp5"},
    ],
    ids=str,
)
def test_the_operator_at_this_machine_needs_no_token(
    local: Access, remote: Access, changes: dict[str, str]
) -> None:
    environ = sent(**changes)
    assert local.authorize_api(environ) == LOCAL
    assert environ[CALLER] == LOCAL
    assert local.authorize_console(sent(**changes)) == LOCAL
    assert local.may_see_console(sent(**changes))
    assert code(remote.authorize_api(sent(**changes))) == "token-required"
    assert code(remote.authorize_console(sent(**changes))) == "token-required"
    assert not remote.may_see_console(sent(**changes))


@pytest.mark.parametrize(
    "name",
    [
        *("evil.test:8080", "", "localhost", "localhost:8081", "127.0.0.1.evil.test:8080"),
        *("localhost:8080/x", "localhost:8080\n", "x@localhost:8080", "192.0.2.1:8080"),
        *("[::2]:8080", "localhost:"),
    ],
)
@pytest.mark.parametrize("more", [{}, bearer(TOKEN)], ids=["no token", "token"])
def test_another_host_is_refused_on_loopback(
    local: Access, name: str, more: dict[str, str]
) -> None:
    environ = sent(**host(name), **more)
    assert code(local.authorize_api(environ)) == "foreign-host"
    assert code(local.authorize_console(environ)) == "foreign-host"
    assert not local.may_see_console(environ)
    assert code_of_sign_in(local, environ) == "foreign-host"


def code_of_sign_in(access: Access, environ: dict[str, Any]) -> str:
    refused = access.sign_in(environ, TOKEN)
    assert isinstance(refused, Refused)
    return refused.code


@pytest.mark.parametrize(
    "changes",
    [
        {"HTTP_ORIGIN": "https://evil.test"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://127.0.0.1:8081"},
        {"HTTP_ORIGIN": "https://127.0.0.1:8080"},
        {"HTTP_ORIGIN": "http://localhost:8080"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "no-cors"},
    ],
    ids=str,
)
def test_pages_of_other_origins_are_refused_with_and_without_a_token(
    local: Access, remote: Access, changes: dict[str, str]
) -> None:
    for access in (local, remote):
        for more in ({}, bearer(TOKEN)):
            assert code(access.authorize_api(sent(**changes, **more))) == "foreign-origin"
            assert code(access.authorize_console(sent(**changes, **more))) == "foreign-origin"


def test_a_link_on_another_page_shows_the_console_and_changes_nothing(local: Access) -> None:
    changes = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"}
    link = sent(**changes, HTTP_SEC_FETCH_DEST="document")
    assert local.authorize_console(link) == LOCAL
    assert code(local.authorize_api(link)) == "foreign-origin"
    assert code(local.authorize_console({**link, "REQUEST_METHOD": "POST"})) == "foreign-origin"
    frame = sent(**changes, HTTP_SEC_FETCH_DEST="iframe")
    assert code(local.authorize_console(frame)) == "foreign-origin"


@pytest.mark.parametrize(
    "header",
    [
        *("FORWARDED", "VIA", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_REAL_IP"),
        *("X_FORWARDED_PORT", "X_FORWARDED_SERVER", "X_CLIENT_IP", "CF_CONNECTING_IP"),
    ],
)
def test_requests_that_a_proxy_passed_on_need_a_token(local: Access, header: str) -> None:
    environ = sent(**{f"HTTP_{header}": "127.0.0.1"})
    assert code(local.authorize_api(environ)) == "token-required"
    assert isinstance(local.authorize_api({**environ, **bearer(TOKEN)}), Caller)


def test_a_trusted_proxy_says_who_the_client_is(tokens: TokenKeeper) -> None:
    trusting = replace(LOOPBACK, addressing=Addressing("https://drm.test/x", trust_forwarded=True))
    access = Access(trusting, tokens, b"secret")
    forwarded = {"HTTP_X_FORWARDED_FOR": FAR, "HTTP_X_FORWARDED_HOST": "drm.test"}
    environ = sent(**forwarded, HTTP_X_FORWARDED_PROTO="https", REMOTE_ADDR=FAR)
    assert code(access.authorize_api(environ)) == "token-required"
    assert isinstance(access.authorize_api({**environ, **bearer(TOKEN)}), Caller)
    cookie = access.sign_in({**environ, "HTTP_ORIGIN": "https://drm.test"}, TOKEN)
    assert isinstance(cookie, str)
    assert cookie.endswith("; Secure")
    own = {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "http"}
    assert access.authorize_api(sent(**own)) == LOCAL


@pytest.mark.parametrize("client", ["unknown", "127.0.0.1, unknown", "[2001:db8::1]:4711", "", ","])
def test_behind_a_trusted_proxy_that_hides_the_client_a_token_is_needed(
    tokens: TokenKeeper, client: str
) -> None:
    trusting = replace(LOOPBACK, addressing=Addressing(trust_forwarded=True))
    access = Access(trusting, tokens, b"secret")
    environ = sent(HTTP_X_FORWARDED_FOR=client, HTTP_X_FORWARDED_PROTO="http")
    assert code(access.authorize_api(environ)) == "token-required"
    assert code(access.authorize_console(environ)) == "token-required"


def test_clients_elsewhere_need_a_token(local: Access) -> None:
    environ = sent(REMOTE_ADDR=FAR)
    assert code(local.authorize_api(environ)) == "token-required"
    assert local.authorize_api({**environ, **bearer(TOKEN)}) == Caller("settings", Role.OPERATE)


def test_the_public_host_is_served_and_needs_a_token(tokens: TokenKeeper) -> None:
    # Its clients come through a proxy, from anywhere.
    access = Access(replace(LOOPBACK, addressing=Addressing("http://drm.test")), tokens, b"secret")
    environ = sent(**host("drm.test"))
    assert code(access.authorize_api(environ)) == "token-required"
    assert isinstance(access.authorize_api({**environ, **bearer(TOKEN)}), Caller)
    assert access.authorize_api(sent()) == LOCAL
    tunnel = replace(LOOPBACK, addressing=Addressing("http://localhost:9000/"))
    assert Access(tunnel, tokens, b"").authorize_api(sent(**host("localhost:9000"))) == LOCAL


def test_the_setting_asks_for_a_token_always(tokens: TokenKeeper) -> None:
    access = Access(replace(LOOPBACK, mode="token"), tokens, b"secret")
    assert code(access.authorize_api(sent())) == "token-required"
    assert isinstance(access.authorize_api(sent(**bearer(TOKEN))), Caller)
    off = Access(replace(LOOPBACK, mode="off"), tokens, b"secret")
    assert access.is_on
    assert not off.is_on
    assert not off.may_see_console(sent())


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_has_its_role(remote: Access, tokens: TokenKeeper) -> None:
    for role in Role:
        made = tokens.create(f"a {role.value}er", role)
        caller = remote.authorize_api(sent(**bearer(made.token)))
        assert caller == Caller(f"a {role.value}er", role)
        assert isinstance(caller, Caller)
        assert caller.may_operate is (role is Role.OPERATE)


@pytest.mark.parametrize("access", ["local", "remote"])
def test_wrong_expired_and_revoked_tokens_are_refused(
    access: str, request: pytest.FixtureRequest, tokens: TokenKeeper, clock: Clock
) -> None:
    chosen: Access = request.getfixturevalue(access)
    expiring = tokens.create("short", Role.READ, 60)
    revoked = tokens.create("revoked", Role.READ)
    tokens.revoke(revoked.token_id)

    def ask(token: str, remote: str) -> Caller | Refused:
        found = chosen.authorize_api({**sent(REMOTE_ADDR=remote), **bearer(token)})
        assert token not in repr(found)
        return found

    assert isinstance(ask(expiring.token, "192.0.2.1"), Caller)
    clock.now += 60
    for token, client in ((expiring.token, "192.0.2.2"), (revoked.token, "192.0.2.3")):
        assert code(ask(token, client)) == "invalid-token"
    for wrong in ("x" * 40, TOKEN[:-1], f"{TOKEN}x"):
        assert code(ask(wrong, "192.0.2.4")) == "invalid-token"


def test_wrong_tokens_delay_the_right_one(tokens: TokenKeeper) -> None:
    told: list[tuple[str, int]] = []
    access = Access(ANYWHERE, tokens, b"", lambda client, count: told.append((client, count)))
    wrong = [access.authorize_api(sent(**bearer("w" * 16))) for _ in range(5)]
    assert [code(each) for each in wrong] == ["invalid-token"] * 4 + ["too-many-attempts"]
    late = access.authorize_api(sent(**bearer(TOKEN)))
    assert isinstance(late, Refused)
    assert (late.http_status, late.headers) == (429, (("Retry-After", "1"),))
    assert isinstance(access.authorize_api(sent(**bearer(TOKEN), REMOTE_ADDR=FAR)), Caller)
    assert told == [("127.0.0.1", count) for count in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Basic abc", ""),
        ("abc", ""),
        ("Bearer a b", ""),
        ("Bearer ä", ""),
        ("", ""),
    ],
)
def test_the_token_is_in_the_header(header: str, token: str) -> None:
    assert find_token(header) == token


@pytest.mark.parametrize("token", ["x" * 15, "x" * 257, "x" * 15 + " ", "ä" * 16])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="expected 16 to 256 visible ASCII characters"):
        load(None, api={"token": token})
    file = tmp_path / "token"
    file.write_bytes(token.encode())
    with pytest.raises(InternalError, match=r"api\.token_file"):
        api_token(load(None, api={"token_file": str(file)}))


def test_the_token_of_the_settings_comes_from_one_place(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\r\nand more\n")
    assert api_token(load(None, api={"token": TOKEN})) == TOKEN
    assert api_token(load(None, api={"token_file": str(file)})) == TOKEN
    assert api_token(load(None)) == ""
    with pytest.raises(InternalError, match="are both set"):
        load(None, api={"token": TOKEN, "token_file": "x"})
    with pytest.raises(InternalError, match="cannot be read: No such file"):
        api_token(load(None, api={"token_file": str(tmp_path / "absent")}))


# --- sessions -------------------------------------------------------------------------------------


def sign_in(access: Access, token: str) -> dict[str, str]:
    """Return the header with the cookie of a new session."""
    cookie = access.sign_in(sent(), token)
    assert isinstance(cookie, str)
    assert "; HttpOnly; SameSite=Strict" in cookie
    assert "Path=/" in cookie
    assert token not in cookie
    return {"HTTP_COOKIE": f"other=1; {cookie.partition(';')[0]}"}


def test_a_session_ends_with_its_token_and_by_time(
    remote: Access, tokens: TokenKeeper, clock: Clock
) -> None:
    made = tokens.create("console", Role.READ)
    session = sign_in(remote, made.token)
    caller = remote.authorize_console(sent(**session))
    assert isinstance(caller, Caller)
    assert (caller.name, caller.role) == ("console", Role.READ)
    assert remote.may_see_console(sent(**session))
    assert code(remote.authorize_api(sent(**session))) == "token-required"
    clock.now += SESSION_SECONDS
    assert code(remote.authorize_console(sent(**session))) == "token-required"
    session = sign_in(remote, made.token)
    tokens.revoke(made.token_id)
    assert code(remote.authorize_console(sent(**session))) == "token-required"
    assert not remote.may_see_console(sent(**session))


def test_a_session_of_the_settings_token_ends_when_that_changes(
    remote: Access, tokens: TokenKeeper
) -> None:
    session = sign_in(remote, TOKEN)
    assert isinstance(remote.authorize_console(sent(**session)), Caller)
    for token in ("another-settings-token", ""):
        other = Access(replace(ANYWHERE, token=token), tokens, b"secret")
        assert code(other.authorize_console(sent(**session))) == "token-required"


def test_a_forged_session_is_refused(remote: Access, tokens: TokenKeeper) -> None:
    value = sign_in(remote, TOKEN)["HTTP_COOKIE"].partition(f"{COOKIE}=")[2]
    token_id, expires, nonce, signature = value.split(".")
    read = tokens.create("reader", Role.READ)
    forged = [
        f"{token_id}.{int(expires) + 1}.{nonce}.{signature}",
        f"{read.token_id}.{expires}.{nonce}.{signature}",
        f"{token_id}.{expires}.{'0' * 32}.{signature}",
        f"{token_id}.{expires}.{nonce}.{'0' * 64}",
        f"{token_id}.{expires}.{nonce}",
        "x",
        "",
    ]
    for each in forged:
        found = remote.authorize_console(sent(HTTP_COOKIE=f"{COOKIE}={each}"))
        assert code(found) == "token-required"
    other = Access(ANYWHERE, tokens, b"another secret")
    found = other.authorize_console(sent(HTTP_COOKIE=f"{COOKIE}={value}"))
    assert code(found) == "token-required"
    assert code(remote.authorize_console(sent(HTTP_COOKIE='\x00=;;="')))


def test_a_wrong_token_opens_no_session(remote: Access) -> None:
    refused = [remote.sign_in(sent(), "w" * 16) for _ in range(5)]
    assert [each.http_status for each in refused if isinstance(each, Refused)] == [401] * 4 + [429]


def test_signing_out_ends_the_cookie(remote: Access) -> None:
    assert remote.sign_out(sent()).startswith(f"{COOKIE}=; Path=/; Max-Age=0;")


def test_acts_need_the_csrf_token_of_their_session(remote: Access, local: Access) -> None:
    first, second = (sent(**sign_in(remote, TOKEN)) for _ in range(2))
    here = sent()
    for access, environ in ((remote, first), (remote, second), (local, here)):
        assert isinstance(access.authorize_console(environ), Caller)
    given = remote.csrf_token(first)
    assert remote.refuse_forged(first, given) is None
    assert remote.refuse_forged({**first, "HTTP_X_CSRF_TOKEN": given}, "") is None
    assert local.refuse_forged(here, local.csrf_token(here)) is None
    for environ, wrong in ((second, given), (first, ""), (first, given[:-1]), (here, given)):
        refused = remote.refuse_forged(environ, wrong)
        assert refused is not None
        assert (refused.http_status, refused.code) == (403, "csrf")
