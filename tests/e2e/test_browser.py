"""A page of another origin calls the service by fetch() in Chromium, like a player."""

from __future__ import annotations

import os
import shutil
import threading
from base64 import b64encode
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from rightsmanager.protocol.formats.packagers.getcontentkey import (
    ContentKeyRequest,
    build_request,
)
from tests.databases import on_sqlite
from tests.second import cpix_documents, packager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite

KID = "4Rplb+TbNES8tGkNFWTEHA=="
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Programs to look for, unless the variable CHROMIUM names one."""
WITHOUT_NETWORK = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
REBOUND = "--host-resolver-rules=MAP rebound.example 127.0.0.1"
"""Points a foreign name to this machine, as an attacker's name server does."""
PAGE = b"<!DOCTYPE html><html lang=en><title>A player</title></html>"
FETCH = """async ({url, body, headers}) => {
    const bytes = Uint8Array.from(atob(body), c => c.charCodeAt(0));
    try {
        const reply = await fetch(url, {method: 'POST', headers, body: bytes});
        return {status: reply.status, type: reply.headers.get('content-type'),
                text: await reply.text()};
    } catch (error) {
        return {refused: String(error)};
    }
}"""
FETCH_SIMPLY = """async ({url, method, body}) => {
    try {
        const reply = await fetch(url, method === 'GET' ? {} : {method, body});
        return {status: reply.status, text: await reply.text()};
    } catch (error) {
        return {refused: String(error)};
    }
}"""
REQUEST = cpix_documents.document(
    cpix_documents.key("00000000-0000-4000-8000-0000000b2055"), attributes='id="a-page"'
)
KEY_REQUESTS = {
    "AcquirePackagingData": (
        "POST",
        "/rightsmanager.asmx",
        packager.ask(packager.stream("a page's")),
        b"KeyData",
    ),
    "cpix": ("GET", "/cpix/movie", b"", b"PlainValue"),
    "cpix by POST": ("POST", "/cpix", REQUEST, b"PlainValue"),
    "speke": ("POST", "/speke/v1.0/copyProtection", REQUEST, b"PlainValue"),
    "nginx-vod": ("GET", "/nginx-vod/movie", b"", b'"key"'),
    "getcontentkey": (
        "POST",
        "/cenc/getcontentkey",
        build_request(ContentKeyRequest(b"movie", ("SD",))),
        # Base64 of {"status": "OK".
        b"eyJzdGF0dXMiOiAiT0si",
    ),
}
"""Method, path and body of a request for a key, and a part of a reply that has one."""
PREFLIGHT = "method='OPTIONS'"
"""A logged request of this kind."""


def program() -> str:
    """Return the Chromium of this machine."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, (
        "the tests of pages in a browser need Chromium: apt-get install chromium-headless-shell, "
        "or name its program in the variable CHROMIUM"
    )
    return found


class Site(BaseHTTPRequestHandler):
    """One page at every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name in the base class
        """Log nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of a web site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def strict(start: Start, site: int, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """An HTTPS server for the pages of one origin only."""
    return start(
        tmp_path_factory.mktemp("browser") / "data",
        "--https",
        RIGHTSMANAGER_SERVER__CORS_ORIGINS=f'["http://127.0.0.1:{site}"]',
        RIGHTSMANAGER_SERVER__CORS_MAX_AGE_SECONDS="0",
    )


@pytest.fixture(scope="module")
def browser(strict: Server) -> Iterator[Browser]:
    """Chromium that trusts the key of the server's certificate."""
    trust = strict.announced["https"]["spki_sha256"]
    arguments = [*WITHOUT_NETWORK, f"--ignore-certificate-errors-spki-list={trust}", REBOUND]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program(), args=arguments)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class DeviceSession:
    """A page that calls the service."""

    page: Page

    def fetch(self, url: str, body: bytes, **headers: str) -> dict[str, Any]:
        """Return the reply as the page sees it; a header's underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = {"url": url, "body": b64encode(body).decode(), "headers": named}
        seen: dict[str, Any] = self.page.evaluate(FETCH, asked)
        return seen

    def post(self, url: str, action: str, body: bytes) -> bytes:
        """Post as the simulated device does, and with a token."""
        seen = self.fetch(
            url,
            body,
            Content_Type="text/xml; charset=utf-8",
            SOAPAction=f'"{action}"',
            Authorization="Bearer a.b.c",
        )
        assert seen["type"] == "text/xml; charset=utf-8"
        return str(seen["text"]).encode()


@pytest.fixture
def player(browser: Browser, site: int) -> Iterator[DeviceSession]:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{site}/player")
        yield DeviceSession(page)


@pytest.fixture(params=["http", "https"])
def service(request: pytest.FixtureRequest) -> Server:
    """An HTTP server for all pages, and an HTTPS server for a single origin."""
    wanted: Server = request.getfixturevalue({"http": "server", "https": "strict"}[request.param])
    return wanted


def test_a_page_acquires_a_licence(
    service: Server,
    player: DeviceSession,
    enrol: Enrol,
    header_of: HeaderOf,
    test_keys: dict[str, str],
) -> None:
    preflights = service.log.read_text().count(PREFLIGHT)
    acquired = enrol(service.data).acquire(service.url, header_of(KID), post=player.post)
    (license_,) = acquired.licenses
    assert license_.content_key.hex() == test_keys[KID]
    assert service.log.read_text().count(PREFLIGHT) == preflights + 1


@pytest.mark.parametrize("query", ["", "?cfg=(errorcode:0x8004c065)"])
def test_a_page_reads_the_fault(
    service: Server, player: DeviceSession, enrol: Enrol, header_of: HeaderOf, query: str
) -> None:
    body = enrol(service.data).challenge(header_of(KID)) if query else b"<"
    seen = player.fetch(service.url + query, body, Content_Type="text/xml", SOAPAction='"x"')
    code = "0x8004c065" if query else "0x8004c601"
    assert seen["status"] == 500
    assert f"<StatusCode>{code}</StatusCode>" in seen["text"]


def test_a_page_may_send_the_headers_that_its_own_token_needs(
    service: Server, player: DeviceSession
) -> None:
    seen = player.fetch(service.url, b"<", X_Player_Token="a", X_Dt_Custom_Data="b")
    assert seen["status"] == 500


def test_a_page_of_an_unlisted_origin_cannot_read_answers(
    strict: Server, player: DeviceSession, site: int
) -> None:
    player.page.goto(f"http://localhost:{site}/player")
    for headers in ({}, {"Content_Type": "text/xml"}):
        assert player.fetch(strict.url, b"<", **headers) == {
            "refused": "TypeError: Failed to fetch"
        }


def test_a_page_reads_the_wsdl(service: Server, player: DeviceSession) -> None:
    text = player.page.evaluate("async url => (await fetch(url)).text()", f"{service.url}?wsdl")
    assert service.url in text


@pytest.fixture(scope="module")
def generous(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that gives keys to every packager."""
    data = tmp_path_factory.mktemp("generous") / "data"
    return start(data, RIGHTSMANAGER_PACKAGING__ACCESS="open")


@pytest.mark.parametrize("giver", ["server", "generous"])
@pytest.mark.parametrize("form", list(KEY_REQUESTS))
def test_a_page_of_another_origin_cannot_read_a_key(
    request: pytest.FixtureRequest, player: DeviceSession, giver: str, form: str
) -> None:
    server: Server = request.getfixturevalue(giver)
    method, path, body, key = KEY_REQUESTS[form]
    # Without a browser, each request gets a key.
    answer = server.call(method, path, body or None)
    assert answer.status == 200
    assert key in answer.body
    asked = {
        "url": f"http://127.0.0.1:{server.port}{path}",
        "method": method,
        "body": body.decode(),
    }
    seen = player.page.evaluate(FETCH_SIMPLY, asked)
    if form == "AcquirePackagingData":
        # Pages may read this service's faults.
        assert (seen["status"], key.decode() in seen["text"]) == (500, False)
        assert "comes from a browser" in seen["text"]
    else:
        assert seen == {"refused": "TypeError: Failed to fetch"}
    assert "comes from a browser's page" in server.log.read_text()


@pytest.mark.parametrize("giver", ["server", "generous"])
@pytest.mark.parametrize("form", list(KEY_REQUESTS))
def test_a_page_under_a_name_that_points_to_this_machine_cannot_read_a_key(
    request: pytest.FixtureRequest, player: DeviceSession, giver: str, form: str
) -> None:
    server: Server = request.getfixturevalue(giver)
    method, path, body, key = KEY_REQUESTS[form]
    origin = f"http://rebound.example:{server.port}"
    player.page.goto(f"{origin}/livez")
    asked = {"url": f"{origin}{path}", "method": method, "body": body.decode()}
    seen = player.page.evaluate(FETCH_SIMPLY, asked)
    assert seen["status"] in {403, 500}
    assert key.decode() not in seen["text"]
