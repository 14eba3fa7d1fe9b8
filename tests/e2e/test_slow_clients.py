"""Hundreds of slow and silent clients, and one that is served meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.databases import on_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

CLIENTS = 200
pytestmark = on_sqlite

KID = "4Rplb+TbNES8tGkNFWTEHA=="
TIMEOUT = 10
HEAD = b"POST /rightsmanager.asmx HTTP/1.1\r\nHost: h\r\n"
GET = b"GET /rightsmanager.asmx?wsdl HTTP/1.1\r\nHost: h\r\n\r\n"
SLOW = {
    "silent": b"",
    "half a head": b"GET /rightsm",
    "headers without end": HEAD + b"X: y\r\n",
    "half a body": HEAD + b"Content-Length: 1000\r\n\r\n<e:Envelope",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\n<e:",
    "no reading of replies": GET * 30,
    "TLS hello cut": b"\x16\x03\x01\x02\x00\x01",
}


@pytest.fixture(scope="module", params=["off", "self-signed"], ids=["http", "https"])
def slow_server(
    request: pytest.FixtureRequest, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    data = tmp_path_factory.mktemp("slow") / "data"
    return start(
        data,
        RIGHTSMANAGER_SERVER__HTTPS=request.param,
        RIGHTSMANAGER_SERVER__REQUEST_SECONDS="3",
        RIGHTSMANAGER_SERVER__MIN_BYTES_PER_SECOND="1000000",
    )


@pytest.fixture(scope="module")
def slow_client(slow_server: Server, enrol: Enrol) -> Client:
    return enrol(slow_server.data)


def call(server: Server, method: str, body: bytes | None = None) -> int:
    """Return the status of a reply."""
    connection: http.client.HTTPConnection
    if server.url.startswith("https"):
        context = unverified()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=TIMEOUT, context=context
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, "/rightsmanager.asmx", body)
        return connection.getresponse().status


@cache
def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(server: Server) -> socket.socket:
    plain = socket.socket()
    # Small, so that replies stay in the server.
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(TIMEOUT)
    plain.connect(("127.0.0.1", server.port))
    return plain


def secure(plain: socket.socket) -> socket.socket:
    return unverified().wrap_socket(plain)


@pytest.fixture
def crowd(slow_server: Server) -> Iterator[Callable[[bytes, bool], list[socket.socket]]]:
    """Yield a function that connects clients that send these bytes, and then no more."""
    with contextlib.ExitStack() as stack:

        def gather(data: bytes, speaks_tls: bool) -> list[socket.socket]:  # noqa: FBT001
            clients = []
            for _ in range(CLIENTS):
                client = connect(slow_server)
                if speaks_tls:
                    client = secure(client)
                clients.append(stack.enter_context(client))
                client.sendall(data)
            return clients

        yield gather


def read_all(client: socket.socket) -> bytes:
    reply = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            reply += piece
    return reply


@pytest.mark.parametrize("kind", SLOW)
def test_a_client_is_served_among_slow_ones(
    slow_server: Server,
    slow_client: Client,
    header_of: HeaderOf,
    crowd: Callable[[bytes, bool], list[socket.socket]],
    kind: str,
) -> None:
    speaks_tls = slow_server.url.startswith("https") and not kind.startswith("TLS")
    clients = crowd(SLOW[kind], speaks_tls)
    challenge = slow_client.challenge(header_of(KID))
    assert call(slow_server, "POST", challenge) == 200
    if kind.startswith(("half a b", "half a c", "headers")):
        replies = [read_all(client) for client in clients]
        assert {reply.partition(b"\r\n")[0] for reply in replies} == {
            b"HTTP/1.1 408 Request Timeout"
        }
        assert all(b"\r\nAccess-Control-Allow-Origin: *\r\n" in reply for reply in replies)
    elif kind == "silent":
        assert [read_all(client) for client in clients] == [b""] * CLIENTS
    assert call(slow_server, "POST", challenge) == 200


def test_idle_clients_are_closed_for_new_ones(
    slow_server: Server, crowd: Callable[[bytes, bool], list[socket.socket]]
) -> None:
    speaks_tls = slow_server.url.startswith("https")
    clients = crowd(b"HEAD /rightsmanager.asmx HTTP/1.1\r\nHost: h\r\n\r\n", speaks_tls)
    assert all(client.recv(12) == b"HTTP/1.1 200" for client in clients)
    assert call(slow_server, "GET") == 200


def test_a_client_that_waits_for_100_continue_is_invited_once(slow_server: Server) -> None:
    with connect(slow_server) as plain:
        client = secure(plain) if slow_server.url.startswith("https") else plain
        client.sendall(HEAD + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert client.recv(100).startswith(b"HTTP/1.1 500 ")
        client.close()
