"""A failure on the command line: its exit status, and its JSON."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from rightsmanager.cli.failures import FAILURE, FAULT, NO_CONNECTION
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Command, Server

pytestmark = on_sqlite
KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
NOWHERE = "http://127.0.0.1:1/rightsmanager.asmx"


@pytest.fixture(scope="module")
def device(server: Server, program: Command, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("device") / "made")
    assert program("device", "new", "--data", str(server.data), folder).status == 0
    return folder


@pytest.fixture
def nonsense() -> Iterator[str]:
    """Yield the URL of a server that does not speak SOAP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/rightsmanager.asmx"
        server.shutdown()
        thread.join()


def test_a_fault_has_its_code_text_and_custom_data(
    server: Server, program: Command, device: str
) -> None:
    url = f"{server.url}?cfg=(errorcode:0x8004c602)"
    acquire = ("device", "acquire", "--device", device, "--url", url, "--kid", KID)
    ran = program(*acquire, "--json")
    assert (ran.status, ran.errors) == (FAULT, "")
    fault = ran.json["fault"]
    assert set(fault) == {"status_code", "text", "custom_data", "domain", "redirect"}
    assert fault["status_code"] == "0x8004c602"
    assert "SoapException" not in fault["text"]
    plain = program(*acquire)
    assert (plain.status, plain.output) == (FAULT, "")
    first, *rest = plain.errors.splitlines()
    assert first == f"rightsmanager: {fault['text']} (0x8004c602)"
    assert rest == ([f"CustomData: {fault['custom_data']}"] if fault["custom_data"] else [])


def test_a_fault_about_a_domain_names_it(server: Server, program: Command, device: str) -> None:
    url = f"{server.url}?cfg=(persist:true,accountid:5f4d1c1e-8e53-4a8e-9d0b-2f2f4b6f7a10)"
    ran = program("device", "acquire", "--device", device, "--url", url, "--kid", KID, "--json")
    assert ran.status == FAULT
    assert ran.json["fault"]["domain"]["service_id"]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (NOWHERE, "connection refused; is the server running?"),
        ("{server}/wrong", "answered HTTP 404; the path of the service ends in rightsmanager.asmx"),
    ],
)
def test_no_answer_has_a_status_of_its_own(
    server: Server, program: Command, device: str, url: str, text: str
) -> None:
    url = url.format(server=server.url.rpartition("/")[0])
    acquire = ("device", "acquire", "--device", device, "--url", url, "--kid", KID)
    ran = program(*acquire, "--json")
    assert (ran.status, ran.errors) == (NO_CONNECTION, "")
    assert ran.json == {"error": {"kind": "connection", "text": f"{url} {text}"}} or (
        text in ran.json["error"]["text"]
    )
    plain = program(*acquire)
    assert (plain.status, plain.output) == (NO_CONNECTION, "")
    # No server has said it, so that there is no status code.
    assert "0x8004" not in plain.errors


def test_an_answer_that_is_not_soap_is_not_a_fault(
    program: Command, device: str, nonsense: str
) -> None:
    acquire = ("device", "acquire", "--device", device, "--url", nonsense, "--kid", KID)
    ran = program(*acquire)
    assert ran.status in {FAILURE, NO_CONNECTION}
    assert "0x8004" not in ran.errors
    assert ran.errors.count("\n") == 1


def test_a_local_failure_has_no_status_code(program: Command, device: str, tmp_path: Path) -> None:
    ran = program("device", "open", "--device", device, KID, "--json")
    assert (ran.status, ran.errors) == (FAILURE, "")
    assert ran.json["error"]["kind"] == "failure"
    plain = program("device", "open", "--device", device, KID)
    assert (plain.status, "0x8004" in plain.errors) == (FAILURE, False)
    empty = program("device", "show", "--device", str(tmp_path))
    assert (empty.status, empty.output) == (FAILURE, "")
    assert "is not a device's folder: it has no certificate-chain.bin" in empty.errors
