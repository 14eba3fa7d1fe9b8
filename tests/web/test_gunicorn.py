"""The front under a real gunicorn on the loopback: chunks, keep-alive, and a client by WSDL."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zeep
import zeep.exceptions
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import Written

_HERE = Path(__file__).parent
_PATH = "/service/RightsManager.asmx"
_SERVED = 200


@pytest.fixture(
    scope="module",
    params=[("conftest.QuickWorker", "fast"), ("gthread", "fast"), ("sync", "python")],
    ids=["buffered-fast", "gthread-fast", "sync-python"],
)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a gunicorn that is started for this module and stopped after it."""
    worker, parser = request.param
    command = [
        *(sys.executable, "-m", "gunicorn", "conftest:make_front()", "--bind=127.0.0.1:0"),
        *("--no-control-socket", f"--worker-class={worker}", f"--http-parser={parser}"),
        *("--keep-alive=5", "--graceful-timeout=1", f"--pythonpath={_HERE},{_HERE.parents[1]}"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        assert server.stderr is not None
        try:
            yield _port(server.stderr)
        finally:
            server.terminate()
            server.stderr.read()


def _port(lines: Iterator[bytes]) -> int:
    """Return the port once a worker has booted."""
    said = ""
    for line in lines:
        said += line.decode()
        if "Booting worker" in said:
            break
    match = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said)
    assert match is not None, said
    return int(match[1])


@pytest.fixture
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def _chunked(body: bytes, size: int) -> bytes:
    chunks = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def _converse(port: int, *messages: bytes) -> bytes:
    """Send each message, say that no more will come, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        for message in messages:
            peer.sendall(message)
        peer.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := peer.recv(65536):
            answer += piece
        return answer


def _head(*lines: str) -> bytes:
    return "\r\n".join((f"POST {_PATH} HTTP/1.1", "Host: h", *lines, "", "")).encode()


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_chunked_body_is_served(port: int, envelope: Written, size: int) -> None:
    head = _head("Transfer-Encoding: chunked", "Connection: close")
    answer = _converse(port, head + _chunked(envelope(), size))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"<AcquireLicenseResult>%d<" % len(envelope()) in answer


def test_a_body_that_comes_byte_by_byte_is_served(port: int, envelope: Written) -> None:
    head = _head(f"Content-Length: {len(envelope())}", "Connection: close")
    answer = _converse(port, head, *(bytes([byte]) for byte in envelope()))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("head", ["Transfer-Encoding: chunked", "Content-Length: 5000"])
def test_a_body_over_the_limit_is_413_with_a_fault(port: int, head: str) -> None:
    body = bytes(5000)
    sent = _chunked(body, 1000) if "chunked" in head else body
    answer = _converse(port, _head(head, "Connection: close") + sent)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"<StatusCode>0x8004c601</StatusCode>" in answer
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 100", b"<half"),
        ("Transfer-Encoding: chunked", b"50\r\n<half"),
        ("Transfer-Encoding: chunked", b"xyz\r\n<half"),
        ("Content-Length: -5", b""),
        ("Content-Length: many", b""),
    ],
)
def test_a_broken_body_is_a_fault_or_a_closed_connection(port: int, head: str, body: bytes) -> None:
    answer = _converse(port, _head(head) + body)
    assert re.match(rb"(HTTP/1\.1 (500|400) |$)", answer)
    assert b"Traceback" not in answer
    if answer.startswith(b"HTTP/1.1 500"):
        assert b"<StatusCode>0x8004c601</StatusCode>" in answer


@pytest.mark.parametrize(
    ("head", "body"), [("Content-Length: 9", b"half"), ("Transfer-Encoding: chunked", b"9\r\nhalf")]
)
def test_a_body_that_stops_coming_is_given_up(port: int, head: str, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(_head(head) + body)
        answer = peer.recv(65536)
    # The buffered worker answers itself; under the others the application waits.
    assert re.match(rb"HTTP/1.1 (500|408) ", answer)
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer


def test_the_connection_lives_on_after_a_fault(
    connection: http.client.HTTPConnection, envelope: Written
) -> None:
    for body, status in ((b"<", 500), (envelope(), _SERVED), (envelope("Nothing"), 500)):
        connection.request("POST", _PATH, body)
        response = connection.getresponse()
        assert response.status == status
        assert etree.QName(etree.fromstring(response.read())).localname == "Envelope"


def test_a_head_request_leaves_the_connection_usable(
    connection: http.client.HTTPConnection, envelope: Written
) -> None:
    connection.request("HEAD", _PATH)
    assert connection.getresponse().read() == b""
    connection.request("POST", _PATH, envelope())
    assert connection.getresponse().status == _SERVED


@pytest.mark.parametrize("version", ["RightsManagerSoap", "RightsManagerSoap12"])
def test_a_client_made_from_the_wsdl_gets_the_fault_with_its_status_code(
    port: int, version: str
) -> None:
    client = zeep.Client(f"http://127.0.0.1:{port}{_PATH}?wsdl")  # type: ignore[no-untyped-call]
    (service,) = client.wsdl.services.values()
    assert set(service.ports) == {"RightsManagerSoap", "RightsManagerSoap12"}
    proxy = client.bind("RightsManager", version)
    assert len(proxy._operations) == 9
    with pytest.raises(zeep.exceptions.Fault) as caught:
        proxy.LeaveDomain(challenge={"_value_1": etree.Element("{urn:x}Challenge")})
    detail = caught.value.detail
    assert caught.value.message.endswith("SoapException: the account is full")
    assert detail.findtext(".//Exception/StatusCode") == "0x8004c604"
    assert detail.findtext(".//Exception/CustomData") == "<5> & more\nlines"
