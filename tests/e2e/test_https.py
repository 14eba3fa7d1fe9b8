"""HTTPS with a generated and with a given certificate; otherwise it equals HTTP."""

from __future__ import annotations

import http.client
import socket
import ssl
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto import pem
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import system_random
from rightsmanager.crypto.x509 import issue_self_signed, parse_certificate
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite

KID = "4Rplb+TbNES8tGkNFWTEHA=="
PATH = "/rightsmanager.asmx"
REPLY_SECONDS = 30
THREADS = 4

Connect = Callable[..., ssl.SSLSocket]
"""Opens a connection to the server by one of its names."""


@pytest.fixture(scope="module")
def secured(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with a self-signed certificate."""
    return start(
        tmp_path_factory.mktemp("https") / "data",
        "--https",
        RIGHTSMANAGER_SERVER__HTTPS_NAMES='["drm.test", "192.0.2.7"]',
        RIGHTSMANAGER_SERVER__THREADS=str(THREADS),
    )


@pytest.fixture(scope="module")
def secured_client(secured: Server, enrol: Enrol) -> Client:
    return enrol(secured.data)


@pytest.fixture
def context(secured: Server) -> ssl.SSLContext:
    """The trust of a strict client that has the public file."""
    trusting = ssl.create_default_context(cafile=secured.data / "public" / "tls.pem")
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return trusting


@pytest.fixture
def connect(secured: Server, context: ssl.SSLContext) -> Connect:
    def one(name: str = "127.0.0.1") -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", secured.port), timeout=REPLY_SECONDS)
        return context.wrap_socket(plain, server_hostname=name)

    return one


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def request(body: bytes, *more: str) -> bytes:
    head = (f"POST {PATH} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *more, "", "")
    return "\r\n".join(head).encode() + body


def test_it_prints_its_certificate(secured: Server) -> None:
    told = secured.announced["https"]
    public = secured.data / "public" / "tls.pem"
    certificate = parse_certificate(public.read_bytes())
    assert secured.url.startswith("https://")
    assert told == {
        "certificate": str(public),
        "sha256": certificate.fingerprint,
        "spki_sha256": certificate.spki_sha256,
    }


def test_only_the_owner_can_read_its_files(secured: Server) -> None:
    files = [*(secured.data / "tls").iterdir(), secured.data / "public" / "tls.pem"]
    assert {file.name for file in files} == {"https.key", "https.pem", "tls.pem"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "drm.test", "192.0.2.7"])
def test_a_strict_client_accepts_each_of_its_names(connect: Connect, name: str) -> None:
    with connect(name) as connection:
        assert connection.version() == "TLSv1.3"


def test_a_strict_client_refuses_other_names(connect: Connect) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect("player.example")


def test_the_device_acquires_a_licence(
    secured: Server, tmp_path: Path, test_keys: dict[str, str]
) -> None:
    device = str(tmp_path / "device")
    run = CliRunner().invoke
    assert run(rightsmanager, ["device", "new", "--data", str(secured.data), device]).exit_code == 0
    acquire = ["device", "acquire", "--device", device, "--url", secured.url, "--kid", KID]
    trusting = ["--cafile", str(secured.data / "public" / "tls.pem")]
    assert test_keys[KID] in run(rightsmanager, [*acquire, *trusting]).output
    assert "self-signed certificate; name its certificate" in str(
        run(rightsmanager, acquire).exception
    )


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_invalid_cafile_is_refused_in_one_line(
    secured: Server, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    acquire = ["device", "acquire", "--device", str(tmp_path), "--url", secured.url, "--kid", KID]
    refusal = CliRunner().invoke(rightsmanager, [*acquire, "--cafile", str(file)]).exception
    assert str(refusal).startswith(f"{file} ")


def test_the_wsdl_and_faults_name_the_https_url(secured: Server, context: ssl.SSLContext) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", secured.port, context=context)
    for method, body, expected in (
        ("GET", None, f'location="{secured.url}"'),
        ("POST", b"<", f"<faultactor>{secured.url}</faultactor>"),
    ):
        connection.request(method, f"{PATH}?wsdl" if body is None else PATH, body)
        assert expected in connection.getresponse().read().decode()
    connection.close()


def test_one_connection_serves_many_requests(
    secured: Server, context: ssl.SSLContext, secured_client: Client, header_of: HeaderOf
) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", secured.port, context=context)
    connection.connect()
    local = connection.sock.getsockname()
    for _ in range(20):
        connection.request("POST", PATH, secured_client.challenge(header_of(KID)))
        answer = connection.getresponse()
        assert (answer.status, b"<License>" in answer.read()) == (200, True)
        assert connection.sock.getsockname() == local
    connection.close()


@pytest.mark.parametrize("size", [0, 5, 8000, 9000, 17_000])
def test_requests_that_came_in_one_record_are_all_answered(connect: Connect, size: int) -> None:
    with connect() as connection:
        connection.sendall(request(bytes(size)) * 2 + request(b"", "Connection: close"))
        assert read_all(connection).count(b"HTTP/1.1 500 ") == 3


def test_a_chunked_body_in_small_records_is_served(
    connect: Connect, secured_client: Client, header_of: HeaderOf
) -> None:
    body = secured_client.challenge(header_of(KID))
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked"
    with connect() as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        for start in range(0, len(body), 700):
            piece = body[start : start + 700]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert b"<License>" in read_all(connection)


def test_idle_connections_do_not_block_others(connect: Connect) -> None:
    idle = [connect() for _ in range(THREADS * 2)]
    with connect() as connection:
        connection.sendall(request(b"", "Connection: close"))
        assert read_all(connection).startswith(b"HTTP/1.1 500 ")
    # Like a browser that connects before it has a request.
    for connection in idle:
        with connection:
            connection.sendall(request(b"", "Connection: close"))
            assert read_all(connection).startswith(b"HTTP/1.1 500 ")


def test_plain_http_is_refused_with_a_text(secured: Server) -> None:
    answer = secured.call("GET", "/")
    assert (answer.status, answer.body) == (400, b"HTTPS is spoken here: write https in the URL\n")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("hello", [b"\x16\x03\x01\x00\x05hello", bytes(100), b"\x80"])
def test_an_invalid_handshake_is_dropped(secured: Server, connect: Connect, hello: bytes) -> None:
    with socket.create_connection(("127.0.0.1", secured.port), timeout=REPLY_SECONDS) as peer:
        peer.sendall(hello)
        peer.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in read_all(peer)
    with connect() as connection:
        assert connection.version() == "TLSv1.3"


def test_tls_1_2_is_accepted(context: ssl.SSLContext, connect: Connect) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect() as connection:
        assert connection.version() == "TLSv1.2"


def test_older_versions_of_tls_are_refused(context: ssl.SSLContext, connect: Connect) -> None:
    # At its usual level OpenSSL would not even try.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        connect()


def test_a_given_certificate_and_key_are_used(start: Start, tmp_path: Path) -> None:
    key = PrivateKey.generate(system_random)
    certificate = issue_self_signed(key, ("127.0.0.1",), int(time.time()), 3600, system_random)
    (tmp_path / "own.pem").write_bytes(certificate)
    (tmp_path / "own.key").write_bytes(pem.build_private_key(key))
    own = ("--certfile", str(tmp_path / "own.pem"), "--keyfile", str(tmp_path / "own.key"))
    # The command line overrides the settings.
    server = start(tmp_path / "data", *own, RIGHTSMANAGER_SERVER__HTTPS="self-signed")
    assert server.announced["https"]["certificate"] == str(tmp_path / "own.pem")
    assert not (server.data / "tls").exists()
    trusting = ssl.create_default_context(cafile=tmp_path / "own.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusting)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
    assert server.stop() == 0


def test_a_key_under_the_passphrase_is_made_and_used(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--https", RIGHTSMANAGER_PASSPHRASE="swordfish")
    assert b"ENCRYPTED" in (server.data / "tls" / "https.key").read_bytes()
    trusting = ssl.create_default_context(cafile=server.data / "public" / "tls.pem")
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=REPLY_SECONDS)
    with trusting.wrap_socket(plain, server_hostname="localhost") as connection:
        assert connection.version() == "TLSv1.3"
    assert server.stop() == 0
