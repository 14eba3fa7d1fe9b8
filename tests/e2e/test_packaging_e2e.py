"""A packager requests a key over HTTP, and the device acquires the same key."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from rightsmanager.protocol.formats.pssh import parse_object
from tests.databases import on_sqlite
from tests.second import packager

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Answer, Client, Server, Start

pytestmark = on_sqlite
INVALID = "0x8004c601"
REFUSED = "0x8004c604"
TOKEN = "a-token-of-the-tests"


def test_the_packager_and_the_licence_have_the_same_key(server: Server, client: Client) -> None:
    answer = server.post(
        packager.ask(packager.stream("movie & co".replace("&", "&amp;"))),
        "/playready/RightsManager.asmx",
        Content_Type="text/xml; charset=UTF-8",
        SOAPAction='"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquirePackagingData"',
    )
    assert answer.status == 200
    taken = packager.take(answer.body)
    header = parse_object(taken.object).header
    assert header.la_url == f"http://127.0.0.1:{server.port}/playready/RightsManager.asmx"
    (license_,) = client.acquire(str(header.la_url), header).licenses
    assert (license_.kid.text, license_.content_key) == (str(taken.kid), taken.key)
    assert packager.read_object(taken.object).checksum == packager.checksum(taken)


def test_simultaneous_requests_for_a_program_get_one_key(
    server: Server,
) -> None:
    def take(number: int) -> tuple[int, packager.Packaged]:
        answer = server.post(packager.ask(packager.stream(f"race-{number // 8}")))
        assert answer.status == 200, answer.body
        return number // 8, packager.take(answer.body)

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(80)))
    assert len(dict(taken)) == 10
    assert len({(race, key.kid, key.key, key.object) for race, key in taken}) == 10


@pytest.mark.parametrize(
    "body",
    [
        packager.ask(),
        packager.ask(packager.stream("")),
        packager.ask(packager.stream("x" * 10240)),
        packager.ask(packager.stream("x", "an hour")),
        packager.ask(packager.stream("x", "P1M")),
        packager.ask(packager.stream("x", "-PT1S")),
        packager.ask(packager.stream("x"), systems=()),
        packager.ask(packager.stream("x"), systems=(packager.WIDEVINE,)),
        packager.ask(packager.stream("x"), systems=(packager.PLAYREADY,) * 2),
        packager.ask(packager.stream("x"), systems=("00000000-0000-0000-0000-000000000001",)),
        packager.ask(packager.stream("x") * 101),
        packager.envelope(""),
        packager.envelope("<ProtectionSystems/>" * 2),
        packager.ask(packager.stream("&#0;")),
        packager.ask(packager.stream("&x;")),
    ],
)
def test_a_wrong_request_is_a_fault(server: Server, body: bytes) -> None:
    answer = server.post(body)
    assert (answer.status, answer.code) == (500, INVALID)
    assert b"KeyData" not in answer.body


def test_strange_programs_are_served_and_stay_out_of_the_log(server: Server) -> None:
    for program in ("\U0001f3ac\u202e\u0085", "'\"&lt;b&gt;]]&gt;", "a\nb&#13;c", "x" * 1024):
        first, again = (server.post(packager.ask(packager.stream(program))) for _ in range(2))
        assert first.status == 200
        assert first.body == again.body
    assert "\U0001f3ac" not in server.log.read_text()


def test_a_body_in_chunks_of_one_byte_is_read(server: Server) -> None:
    body = packager.ask(packager.stream("chunks"))
    head = (
        f"POST /rightsmanager.asmx HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Connection: close\r\n"
        "Content-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head + chunks)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    whole = server.post(body).body
    assert answer.partition(b"\r\n\r\n")[2] == whole


def test_a_get_shows_the_page(server: Server) -> None:
    page = server.call("GET", "/rightsmanager.asmx?op=AcquirePackagingData")
    assert page.status == 200
    assert b"ProgramIdentifier" in page.body
    assert b"not built" not in page.body


def test_a_page_and_a_proxys_client_are_refused(server: Server) -> None:
    body = packager.ask(packager.stream("movie"))
    for headers in ({"Origin": "http://127.0.0.1"}, {"X_Forwarded_For": "203.0.113.9"}):
        answer = server.post(body, **headers)
        assert (answer.status, answer.code) == (500, REFUSED)
        assert b"packaging.access = loopback" in answer.body


def _asked(server: Server, **headers: str) -> Answer:
    return server.post(packager.ask(packager.stream("movie")), **headers)


def test_only_requests_with_the_token_are_served(start: Start, tmp_path: Path) -> None:
    environment = {
        "RIGHTSMANAGER_PACKAGING__ACCESS": "token",
        "RIGHTSMANAGER_PACKAGING__TOKEN": TOKEN,
        "RIGHTSMANAGER_PACKAGING__KEY_PERIOD_SECONDS": "60",
        "RIGHTSMANAGER_PACKAGING__HEADER_VERSION": "4.3.0.0",
        "RIGHTSMANAGER_PACKAGING__ALGID": "AESCBC",
        "RIGHTSMANAGER_SERVER__PUBLIC_URL": "https://keys.example/pr/rightsmanager.asmx",
        "RIGHTSMANAGER_LOG__FORMAT": "json",
    }
    server = start(tmp_path / "data", **environment)
    for refused in (_asked(server), _asked(server, Authorization=f"Bearer {TOKEN[:-1]}")):
        assert (refused.status, refused.code) == (500, REFUSED)
        assert b"Authorization" in refused.body
        assert TOKEN[:-1].encode() not in refused.body
    served = _asked(server, Authorization=f"Bearer {TOKEN}")
    assert served.status == 200
    assert not [name for name in served.headers if name.startswith("Access-Control")]
    header = packager.read_object(packager.take(served.body).object)
    assert (header.version, header.algid, header.checksum) == ("4.3.0.0", "AESCBC", None)
    assert header.la_url == "https://keys.example/pr/rightsmanager.asmx"
    log = server.log.read_text()
    assert TOKEN[:-1] not in log
    statuses = [json.loads(line).get("status") for line in log.splitlines() if "call" in line]
    assert [each for each in statuses if each] == [REFUSED, REFUSED, "ok"]


def test_switched_off_every_request_is_refused(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_PACKAGING__ACCESS="off")
    answer = _asked(server)
    assert (answer.status, answer.code) == (500, REFUSED)
    assert b"switched off" in answer.body
