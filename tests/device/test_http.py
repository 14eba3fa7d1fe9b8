"""The device's HTTP client: redirects are followed as POST, failures are explained."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device.http import MAX_REDIRECTS, WARNING_HEADER, HttpClient, SavingPost, post
from rightsmanager.errors import ConnectionFailed, InternalError
from rightsmanager.soap.server import WARNING_HEADER as SENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_TYPES = {"/html": "text/html; charset=utf-8", "/soap": "Application/SOAP+xml;charset=utf-8"}


@dataclass
class Site:
    """Answers by path: a number redirects to /end by that status, /loop to itself."""

    url: str = ""
    seen: list[tuple[str, str, bytes, str | None]] = field(default_factory=list)

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        token = request.headers.get("Authorization")
        self.seen.append((request.command, request.path, body, token))
        status, location = 200, ""
        match request.path.strip("/"):
            case "end" | "html" | "soap":
                pass
            case "loop":
                status, location = 307, "/loop"
            case "elsewhere":
                status, location = 308, self.url.replace("127.0.0.1", "localhost") + "/end"
            case "nowhere":
                status = 302
            case "file":
                status, location = 302, "file:///etc/passwd"
            case number:
                status, location = int(number), "/end"
        request.send_response(status)
        if location:
            request.send_header("Location", location)
        if request.path in _TYPES:
            request.send_header("Content-Type", _TYPES[request.path])
        if request.path in {"/end", "/500"}:
            request.send_header("X-RightsManager-Warning", "one")
            request.send_header("X-RightsManager-Warning", "two")
        request.send_header("Content-Length", "4" if status == 200 else "0")
        request.end_headers()
        if status == 200:
            request.wfile.write(b"done")


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.handle(self)

        def do_GET(self) -> None:
            made.handle(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_as_post(site: Site, status: int) -> None:
    assert post(f"{site.url}/{status}", "action", b"body") == b"done"
    assert [each[:3] for each in site.seen] == [
        ("POST", f"/{status}", b"body"),
        ("POST", "/end", b"body"),
    ]


def test_an_answer_of_another_type_than_xml_is_refused(site: Site) -> None:
    assert post(f"{site.url}/soap", "action", b"") == b"done"
    with pytest.raises(ConnectionFailed, match="answered text/html, expected text/xml"):
        post(f"{site.url}/html", "action", b"")


def test_warnings_of_a_reply_and_of_a_fault_are_passed_on(site: Site) -> None:
    warnings: list[str] = []
    client = HttpClient(on_warning=warnings.append)
    for path in ("307", "500", "soap"):
        client(f"{site.url}/{path}", "action", b"")
    assert warnings == ["one", "two"] * 2


def test_the_header_of_warnings_is_the_servers() -> None:
    assert WARNING_HEADER == SENT_HEADER


def test_a_token_stays_with_its_server(site: Site) -> None:
    client = HttpClient(headers={"Authorization": "Bearer secret"})
    client(f"{site.url}/307", "action", b"")
    client(f"{site.url}/elsewhere", "action", b"")
    assert [token for *_, token in site.seen] == ["Bearer secret"] * 3 + [None]


def test_redirects_end(site: Site) -> None:
    with pytest.raises(ConnectionFailed, match=f"redirects more than {MAX_REDIRECTS} times"):
        post(f"{site.url}/loop", "action", b"")
    assert len(site.seen) == MAX_REDIRECTS + 1


def test_a_redirect_without_a_usable_location_is_refused(site: Site) -> None:
    with pytest.raises(ConnectionFailed, match=r"without a Location \(HTTP 302\)"):
        post(f"{site.url}/nowhere", "action", b"")
    with pytest.raises(InternalError, match="neither http nor https"):
        post(f"{site.url}/file", "action", b"")


def test_saved_messages_are_numbered_on(tmp_path: Path) -> None:
    for body in (b"first", b"second"):
        saving = SavingPost(lambda _url, _action, sent: sent.upper(), tmp_path / "new" / "folder")
        assert saving("http://any", "urn:x/JoinDomain", body) == body.upper()
    saved = {file.name: file.read_bytes() for file in (tmp_path / "new" / "folder").iterdir()}
    assert saved == {
        "001-JoinDomain-challenge.xml": b"first",
        "001-JoinDomain-reply.xml": b"FIRST",
        "002-JoinDomain-challenge.xml": b"second",
        "002-JoinDomain-reply.xml": b"SECOND",
    }
