"""API, console and metrics of a server that listens on all addresses: by token alone."""

from __future__ import annotations

import http.client
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from rightsmanager.admin.tokens import Role, TokenKeeper
from rightsmanager.crypto.random import system_random
from rightsmanager.store.database import open_store
from tests.e2e.conftest import REPLY_SECONDS, Answer, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Start

API = "/api/v1/journal/entries"
CONSOLE = "/console/journal"
CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
ACT = "/console/acts/create-domain"
FORM = "application/x-www-form-urlencoded"
MINUTE = 60


def own_address() -> str:
    """Return the address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looking, suppress(OSError):
        # Nothing is sent: the kernel chooses a source address.
        looking.connect(("192.0.2.1", 9))
        return str(looking.getsockname()[0])
    return "127.0.0.1"


@dataclass(frozen=True)
class Elsewhere:
    """A client that reaches a server by the machine's own address."""

    address: str
    port: int

    @property
    def origin(self) -> str:
        return f"http://{self.address}:{self.port}"

    def call(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=REPLY_SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def sign_in(self, token: str) -> str:
        """Return the cookie of a new session."""
        form = urlencode({"token": token})
        answer = self.call("POST", "/console/sign-in", form, Content_Type=FORM)
        assert answer.status == 303, answer.body
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly; SameSite=Strict" in cookie
        return cookie.partition(";")[0]


@pytest.fixture(scope="module")
def bound(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    data = tmp_path_factory.mktemp("bound") / "data"
    return start(data, "--workers", "2", "--bind", "0.0.0.0:0")


@pytest.fixture
def client(bound: Server) -> Elsewhere:
    return Elsewhere(own_address(), bound.port)


@pytest.fixture(scope="module")
def keeper(bound: Server) -> Iterator[TokenKeeper]:
    store = open_store(bound.database_url)
    yield TokenKeeper(store, lambda: int(time.time()), system_random)
    store.close()


def test_without_a_token_nothing_is_shown(client: Elsewhere) -> None:
    for path in (API, "/metrics"):
        assert client.call("GET", path).status == 401
        assert client.call("GET", path, Host="localhost").status == 401
    for host in ("", "localhost", "console.example"):
        page = client.call("GET", CONSOLE, **({"Host": host} if host else {}))
        assert (page.status, b"<table" in page.body) == (401, False)
    assert b"/console" not in client.call("GET", "/").body
    assert client.call("GET", "/livez").status == 200


def test_wrong_expired_and_revoked_tokens_open_nothing(
    client: Elsewhere, keeper: TokenKeeper
) -> None:
    past = TokenKeeper(keeper.store, lambda: int(time.time()) - 2 * MINUTE, system_random)
    expired = past.create("expired", Role.OPERATE, MINUTE).token
    revoked = keeper.create("revoked", Role.OPERATE)
    session = client.sign_in(revoked.token)
    assert client.call("GET", CONSOLE, Cookie=session).status == 200
    keeper.revoke(revoked.token_id)
    # Later wrong tokens from one address have to wait, so each is sent once.
    for token in (expired, revoked.token):
        answer = client.call("GET", API, Authorization=f"Bearer {token}")
        assert (answer.status, b"wrong, expired or revoked" in answer.body) == (401, True)
    form = urlencode({"token": "rmt_wrong-but-long-enough"})
    assert client.call("POST", "/console/sign-in", form, Content_Type=FORM).status == 401
    assert client.call("GET", CONSOLE, Cookie=session).status == 401


def test_a_valid_token_opens_what_its_role_allows(client: Elsewhere, keeper: TokenKeeper) -> None:
    reader = {"Authorization": f"Bearer {keeper.create('reader', Role.READ).token}"}
    operator = {"Authorization": f"Bearer {keeper.create('operator', Role.OPERATE).token}"}
    for path in (API, "/metrics"):
        assert client.call("GET", path, **reader).status == 200
    sent = {"Content_Type": "application/json"}
    assert client.call("POST", "/api/v1/domains", "{}", **sent, **reader).status == 403
    assert client.call("POST", "/api/v1/domains", "{}", **sent, **operator).status == 201
    # Another name for this machine gains nothing here: the page that uses it has no token.
    assert client.call("GET", API, Host="console.example", **reader).status == 200


def test_posts_of_pages_elsewhere_are_refused(client: Elsewhere, keeper: TokenKeeper) -> None:
    token = keeper.create("poster", Role.OPERATE).token
    bearer, session = {"Authorization": f"Bearer {token}"}, {"Cookie": client.sign_in(token)}
    page = client.call("GET", "/console/domains", **session)
    match = CSRF.search(page.body.decode())
    assert match is not None, page.body
    form = urlencode({"csrf_token": match[1], "confirmed": "yes"})
    for foreign in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": client.origin, "Host": "evil.example"},
        {"Origin": client.origin.replace("http:", "https:")},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        sent = {**foreign, "Content_Type": FORM}
        assert client.call("POST", ACT, form, **sent, **session).status == 403
        sent["Content_Type"] = "application/json"
        assert client.call("POST", "/api/v1/domains", "{}", **sent, **bearer).status == 403
    own = {"Origin": client.origin, "Content_Type": FORM}
    wrong = form.replace(match[1][:8], "00000000")
    assert client.call("POST", ACT, wrong, **own, **session).status == 403
    assert client.call("POST", ACT, form, **own, **session).status in {200, 303}
