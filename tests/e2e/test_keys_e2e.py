"""The key endpoint over HTTP: packagers get the keys that licences have, pages get none."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.protocol.formats.packagers.getcontentkey import (
    ContentKeyRequest,
    build_request,
)
from tests.databases import on_sqlite
from tests.second import packager

if TYPE_CHECKING:
    from tests.e2e.conftest import Answer, Server, Start

TOKEN = "a-token-of-the-key-tests"
MODULE = "/cenc/getcontentkey/tests"
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "packaged_video.py"


def get_nginx(server: Server, program: str, query: str = "") -> tuple[uuid.UUID, bytes]:
    answer = server.call("GET", f"/nginx-vod/{program}{query}")
    assert answer.status == 200, answer.body
    (entry,) = json.loads(answer.body)
    return uuid.UUID(bytes=base64.b64decode(entry["key_id"])), base64.b64decode(entry["key"])


def response(answer: Answer) -> dict[str, Any]:
    opened: dict[str, Any] = json.loads(base64.b64decode(json.loads(answer.body)["response"]))
    return opened


def get_widevine(server: Server, program: str, query: str = "") -> list[tuple[uuid.UUID, bytes]]:
    request = ContentKeyRequest(program.encode(), ("SD", "AUDIO"))
    answer = server.call("POST", MODULE + query, build_request(request))
    assert answer.status == 200, answer.body
    return [
        (uuid.UUID(bytes=base64.b64decode(each["key_id"])), base64.b64decode(each["key"]))
        for each in response(answer)["tracks"]
    ]


def get_soap(server: Server, program: str) -> tuple[uuid.UUID, bytes]:
    taken = packager.take(server.post(packager.ask(packager.stream(program))).body)
    return taken.kid, taken.key


def test_all_forms_have_the_same_key_at_once_from_two_workers(server: Server) -> None:
    program = f"at-once-{uuid.uuid4()}"
    asks = [
        lambda: get_nginx(server, program),
        lambda: get_widevine(server, program)[0],
        lambda: get_soap(server, program),
    ] * 4
    with ThreadPoolExecutor(len(asks)) as pool:
        found = set(pool.map(lambda ask: ask(), asks))
    assert len(found) == 1
    assert set(get_widevine(server, program)) == found


@on_sqlite
def test_tracks_may_have_keys_of_their_own(server: Server) -> None:
    sd, audio = get_widevine(server, "by-track", "?keys=track")
    assert sd != audio
    assert get_nginx(server, "by-track%23SD") == sd


@on_sqlite
def test_periods_and_schemes_are_in_the_query(server: Server) -> None:
    first, second = (get_nginx(server, "periods", f"?period={each}") for each in (0, 1))
    assert first != second
    get_nginx(server, "cbc", "?scheme=cbcs")
    answer = server.call("GET", "/nginx-vod/cbc?scheme=cenc")
    assert answer.status == 409
    assert "the scheme is cenc, expected AESCBC" in json.loads(answer.body)["error"]


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/nginx-vod/", 400, "the program is ''"),
        ("GET", "/nginx-vod/a%0Ab", 400, "printable characters"),
        ("GET", "/nginx-vod/%FF", 400, "the path is not UTF-8"),
        ("GET", "/nginx-vod/" + "a" * 1025, 400, "printable characters"),
        ("GET", "/nginx-vod/a?scheme=aes", 400, "scheme is 'aes'"),
        ("GET", "/nginx-vod/a?scheme=cenc&scheme=cbcs", 400, "scheme is given 2 times"),
        ("GET", "/nginx-vod/a?period=-1", 400, "period is '-1'"),
        ("GET", "/nginx-vod/a?period=5000000000", 400, "the key period is 5000000000"),
        ("GET", "/nginx-vod/a?algid=RC4", 400, "algid is 'RC4'"),
        ("POST", "/nginx-vod/a", 405, "the method is POST, expected GET"),
        ("OPTIONS", "/nginx-vod/a", 405, "the method is OPTIONS, expected GET"),
    ],
)
def test_invalid_requests_get_a_status_and_a_text(
    server: Server, method: str, path: str, status: int, told: str
) -> None:
    answer = server.call(method, path)
    assert answer.status == status
    assert told in json.loads(answer.body)["error"]
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@on_sqlite
def test_refused_key_requests_have_a_status_of_their_api(server: Server) -> None:
    request = build_request(ContentKeyRequest(b"many", ("SD",), None, 0, 1001))
    for body, status, name in (
        (b"{", 400, "MALFORMED_REQUEST"),
        (request, 400, "MALFORMED_REQUEST"),
        (b" " * (1 << 21), 413, "MALFORMED_REQUEST"),
    ):
        answer = server.call("POST", MODULE, body)
        assert answer.status == status
        assert response(answer)["status"] == name
    answer = server.call("POST", MODULE, request, Origin="http://evil.example")
    assert (answer.status, response(answer)["status"]) == (403, "ACCESS_DENIED")
    get_nginx(server, "with-cbc", "?scheme=cbcs")
    answer = server.call(
        "POST", MODULE, build_request(ContentKeyRequest(b"with-cbc", ("SD",), "cenc"))
    )
    assert (answer.status, response(answer)["status"]) == (409, "KEY_ID_MISMATCH")


@on_sqlite
def test_a_token_may_be_in_the_header_or_in_the_query(start: Start, tmp_path: Path) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_PACKAGING__ACCESS="query",
        RIGHTSMANAGER_PACKAGING__TOKEN=TOKEN,
    )
    get_nginx(server, "a", f"?token={TOKEN}")
    answer = server.call("GET", "/nginx-vod/a", Authorization=f"Bearer {TOKEN}")
    assert answer.status == 200
    soap = server.post(packager.ask(packager.stream("a")), f"/rightsmanager.asmx?token={TOKEN}")
    assert packager.take(soap.body)
    answer = server.call("GET", "/nginx-vod/a")
    assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    assert server.call("GET", "/nginx-vod/a?token=x").status == 401
    assert TOKEN not in server.log.read_text()


@on_sqlite
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Origin": "http://localhost"}, "comes from a browser's page"),
        ({"Sec_Fetch_Site": "cross-site"}, "comes from a browser's page"),
        ({"Host": "evil.example"}, "is for the host 'evil.example'"),
        ({"X_Forwarded_For": "203.0.113.9"}, "comes through a proxy"),
    ],
)
def test_strangers_get_no_key(server: Server, headers: dict[str, str], told: str) -> None:
    answer = server.call("GET", "/nginx-vod/strangers", None, **headers)
    assert answer.status == 403
    assert told in json.loads(answer.body)["error"]
    assert b'"key"' not in answer.body


@on_sqlite
def test_a_server_without_the_role_has_no_key_endpoint(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_SERVER__ROLES='["license"]')
    assert server.call("GET", "/nginx-vod/a").status == 404


@on_sqlite
def test_shaka_packager_packages_with_a_content_key_request(server: Server, tmp_path: Path) -> None:
    program = "requested as from a Widevine server"
    ran = subprocess.run(
        [
            *(sys.executable, str(EXAMPLE), "--url", server.url, "--data", str(server.data)),
            *("--folder", str(tmp_path), "--program", program, "--key-request", "getcontentkey"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "video: 50 of 50 frames are the original's, 0 without" in ran.stdout
    kid, key = get_soap(server, program)
    assert f"KID {kid}, content key {key.hex()}\n" in ran.stdout
