"""Licences served by each worker class that `server.worker` names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.databases import on_sqlite
from tests.e2e.conftest import REPLY_SECONDS

if TYPE_CHECKING:
    from tests.e2e.conftest import Command, Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite
ROOT = Path(__file__).parents[2]
KID = "4Rplb+TbNES8tGkNFWTEHA=="


@pytest.mark.parametrize("worker", ["buffered", "gthread"])
def test_a_worker_serves_a_licence(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path, worker: str
) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_SERVER__WORKER=worker)
    client = enrol(server.data)
    answer = server.post(client.challenge(header_of(KID)))
    assert answer.status == 200
    assert len(server.issued()) == 1
    assert server.stop() == 0


def test_too_many_or_too_long_headers_are_431_for_a_browser_too(
    start: Start, tmp_path: Path
) -> None:
    limits = {"RIGHTSMANAGER_SERVER__MAX_HEADERS": "20"}
    server = start(tmp_path / "data", RIGHTSMANAGER_SERVER__MAX_HEADER_BYTES="1000", **limits)
    many = {f"X-{number}": "y" for number in range(20)}
    for headers in ({"X_Long": "y" * 1000}, many):
        answer = server.call("GET", "/rightsmanager.asmx", None, **headers)
        assert answer.status == 431
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert server.call("GET", "/rightsmanager.asmx", X_Long="y" * 900).status == 200
    assert server.stop() == 0


LISTED, OTHER = "https://player.example", "https://other.example"
BROKEN = {
    400: "GET / HTTP/1.1\r\nOrigin: {}\r\nbad header\r\n\r\n",
    431: "GET / HTTP/1.1\r\nOrigin: {}\r\n" + "X: y\r\n" * 200 + "\r\n",
    408: "POST /rightsmanager.asmx HTTP/1.1\r\nOrigin: {}\r\nContent-Length: 9\r\n\r\nhalf",
}


def test_a_listed_origin_may_read_the_refusals_of_broken_requests(
    start: Start, tmp_path: Path
) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_SERVER__CORS_ORIGINS=LISTED,
        RIGHTSMANAGER_SERVER__REQUEST_SECONDS="1",
    )
    asked = [(status, origin) for status in BROKEN for origin in (LISTED, OTHER)]
    sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in asked]
    for (status, origin), peer in zip(asked, sockets, strict=True):
        peer.sendall(BROKEN[status].format(origin).encode())
    for (status, origin), peer in zip(asked, sockets, strict=True):
        with peer:
            head = peer.makefile("rb").read().decode()
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert "\r\nVary: Origin\r\n" in head
        allowed = f"\r\nAccess-Control-Allow-Origin: {LISTED}\r\n" in head
        assert allowed == (origin == LISTED)
    assert server.stop() == 0


def test_gunicorn_of_an_operator_prints_the_url(command: Command, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    assert command("init", "--data", data).status == 0
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py"),
            *("--bind", "127.0.0.1:0", "rightsmanager.wsgi:create()"),
        ],
        cwd=ROOT,
        env={**os.environ, "RIGHTSMANAGER_DATA": data},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().removeprefix("RightsManager serves at  ").strip()
            port = urlsplit(url).port
            assert url == f"http://127.0.0.1:{port}/rightsmanager.asmx"
            socket.create_connection(("127.0.0.1", port or 0), timeout=REPLY_SECONDS).close()
        finally:
            process.terminate()
    assert process.returncode == 0


def test_a_header_may_have_64_kb_by_default(server: Server) -> None:
    assert server.call("GET", "/rightsmanager.asmx", X_Token="y" * 65000).status == 200
