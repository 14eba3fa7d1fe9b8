"""Metrics over HTTP: they add up over workers that are killed, end and are reloaded."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rightsmanager.crypto.random import system_random
from rightsmanager.protocol.wire import Kid
from tests.docs.documents import ROOT
from tests.e2e.conftest import REPLY_SECONDS, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, Databases, Enrol, HeaderOf, Start

AT_ONCE = 8
REQUESTS = 200
TOKEN = "mF_9.B5f-4.1JqM-long-enough"
SERVICE = "/rightsmanager.asmx"


def metrics(server: Server, **headers: str) -> dict[str, float]:
    """Return each sample by its name and its labels' values."""
    answer = server.call("GET", "/metrics", None, **headers)
    assert answer.status == 200
    return {
        " ".join([sample.name.removeprefix("rightsmanager_"), *sample.labels.values()]): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def requests(server: Server) -> dict[str, float]:
    """Return the counts of requests that are not 0, by operation and outcome."""
    prefix = "requests_total "
    return {
        name.removeprefix(prefix): count
        for name, count in metrics(server).items()
        if name.startswith(prefix) and count
    }


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + REPLY_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Load:
    """Requests of several kinds to a server, counted here too."""

    def __init__(self, server: Server, client: Client, header_of: HeaderOf) -> None:
        self._server = server
        self._client = client
        self._header_of = header_of
        self.sent = {
            "AcquireLicense ok": 0,
            "AcquireLicense 0x8004c604": 0,
            "unknown 0x8004c601": 0,
        }
        self.licenses = 0

    def send(self, rounds: int) -> None:
        """Send requests of each kind, several at once, each on a connection of its own."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(self._send_one_of_each, range(rounds)))
        self.sent = {name: count + rounds for name, count in self.sent.items()}
        self.licenses += 2 * rounds

    def _send_one_of_each(self, _: int) -> None:
        kids = [Kid(system_random(16)).base64 for _ in range(2)]
        body = self._client.challenge(self._header_of(*kids, version="4.3.0.0"))
        server = self._server
        assert server.post(body).status == 200
        assert server.post(body, f"{SERVICE}?cfg=(((").code == "0x8004c604"
        assert server.post(b"no envelope").code == "0x8004c601"


def check_sums(server: Server, load: Load) -> None:
    """Check that the metrics are what was sent, to the unit."""
    assert requests(server) == load.sent
    found = metrics(server)
    ok, refused, unread = load.sent.values()
    assert found["licenses_issued_total"] == load.licenses
    assert found["faults_total 0x8004c604 SERVICE_SPECIFIC"] == refused
    assert found["faults_total 0x8004c601 INVALID_MESSAGE"] == unread
    assert found["request_duration_seconds_count AcquireLicense"] == ok + refused
    for stage, count in {"read": ok + refused, "record": ok, "seal": ok}.items():
        assert found[f"stage_duration_seconds_count AcquireLicense {stage}"] == count
    assert found["database_transactions_total write"] >= ok
    assert found["database_errors_total"] == 0


@pytest.mark.parametrize("worker", ["buffered", "gthread"])
def test_they_add_up_over_workers_that_end(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path, worker: str
) -> None:
    server = start(tmp_path / "data", "--workers", "2", RIGHTSMANAGER_SERVER__WORKER=worker)
    load = Load(server, enrol(server.data), header_of)
    load.send(30)
    check_sums(server, load)

    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers() and len(server.workers()) == 2)
    load.send(20)
    check_sums(server, load)
    assert metrics(server)["workers"] == 2

    before = set(server.workers())
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & set(server.workers()) and len(server.workers()) == 2)
    load.send(20)
    check_sums(server, load)
    assert server.stop() == 0


def test_each_answered_request_is_counted_although_workers_are_killed(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data", "--workers", "2")
    client = enrol(server.data)
    bodies = [client.challenge(header_of(Kid(system_random(16)).base64)) for _ in range(REQUESTS)]
    killed: list[int] = []

    def send(number: int) -> bool:
        """Send a request, before every 50th kill a worker; return whether it is answered."""
        for process in server.workers()[:1] if number % 50 == 25 else []:
            # It may have ended by the last kill.
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                killed.append(process)
        try:
            return server.post(bodies[number]).status == 200
        except (OSError, http.client.HTTPException):
            return False

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answered = sum(threads.map(send, range(len(bodies))))
    assert killed
    wait_until(lambda: metrics(server)["workers"] == 2)
    counted = requests(server)["AcquireLicense ok"]
    # A licence is recorded, then counted, then sent: the kill may come in between.
    assert answered <= counted <= len(server.issued()) <= len(bodies)
    assert metrics(server)["licenses_issued_total"] == counted
    assert server.stop() == 0


def test_workers_connections_and_processes_are_shown(server: Server) -> None:
    wait_until(lambda: metrics(server)["workers"] == 2)
    with socket.create_connection(("127.0.0.1", server.port)):
        # A worker accepts it after a moment; one more is that of the request itself.
        wait_until(lambda: metrics(server)["open_connections"] >= 2)
    found = metrics(server)
    assert found["process_resident_memory_bytes"] > 2 * 10_000_000
    assert found["process_cpu_seconds_total"] > 0
    assert [found[f"check_ok {name}"] for name in ("database", "disk", "clock")] == [1, 1, 1]
    build = next(name for name in found if name.startswith("build_info"))
    assert server.database_url.partition(":")[0] in build


def test_refusals_of_pages_and_of_http_are_counted_by_status(server: Server) -> None:
    before = metrics(server)
    assert server.call("GET", "/nowhere").status == 404
    assert server.call("DELETE", "/explain").status == 405
    assert server.call("GET", "/api/v1/domains/none").status == 422
    assert server.call("GET", "/console/", None, Origin="http://evil.example").status == 403
    for request, status in (
        (b"junk\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (2 << 20), b"431"),
    ):
        assert send_raw(server, request).split()[1] == status
    # A fault is not counted as a refusal of HTTP.
    assert server.post(b"junk").status == 500
    found = metrics(server)
    counted = {
        name.split()[1]: found[name] - before[name]
        for name in found
        if name.startswith("http_refusals_total") and found[name] != before[name]
    }
    assert counted == dict.fromkeys(("400", "403", "404", "405", "422", "431"), 1)


def send_raw(server: Server, request: bytes) -> bytes:
    """Return the answer to the bytes of a request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with suppress(OSError):
            # The server answers before it has read everything.
            connection.sendall(request)
        return connection.recv(65536)


@pytest.fixture
def own_gunicorn(databases: Databases, command: Command, tmp_path: Path) -> Iterator[Server]:
    """A server under gunicorn with the configuration of an operator's own."""
    data, log = tmp_path / "data", tmp_path / "log"
    assert command("init", "--data", str(data)).status == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "RIGHTSMANAGER_DATA": str(data),
        "RIGHTSMANAGER_SERVER__BIND": f"127.0.0.1:{port}",
        "RIGHTSMANAGER_SERVER__WORKERS": "2",
        "RIGHTSMANAGER_SERVER__PIN_WORKERS": "false",
        "RIGHTSMANAGER_METRICS__ACCESS": "open",
    }
    program = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "config/gunicorn.conf.py")]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*program, "rightsmanager.wsgi:create()"],
            env={**os.environ, **databases.environment(data), **settings},
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            start_new_session=True,
        )
    announced = {"url": f"http://127.0.0.1:{port}{SERVICE}"}
    server = Server(data, process, log, announced, databases.url(data))
    try:
        assert process.stdout is not None
        assert announced["url"] in process.stdout.readline(), log.read_text()
        yield server
    finally:
        assert server.stop() == 0


def test_they_add_up_under_ones_own_gunicorn(
    own_gunicorn: Server, enrol: Enrol, header_of: HeaderOf
) -> None:
    load = Load(own_gunicorn, enrol(own_gunicorn.data), header_of)
    load.send(20)
    check_sums(own_gunicorn, load)
    wait_until(lambda: metrics(own_gunicorn)["workers"] == 2)


def test_a_token_is_required_where_the_settings_say_so(start: Start, tmp_path: Path) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_METRICS__ACCESS="token",
        RIGHTSMANAGER_API__TOKEN=TOKEN,
    )
    refused = server.call("GET", "/metrics")
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert b"rightsmanager_" not in refused.body
    assert server.call("GET", "/metrics", Authorization="Bearer wrong").status == 401
    assert metrics(server, Authorization=f"Bearer {TOKEN}")["workers"] == 1
    for path in ("/livez", "/readyz"):
        assert server.call("GET", path).status == 200
    assert server.stop() == 0


def test_a_token_of_a_command_opens_them(start: Start, command: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data, RIGHTSMANAGER_METRICS__ACCESS="token")
    name = f"prometheus {system_random(4).hex()}"
    made = command("token", "create", name, "--role", "read", "--data", str(data), "--json")
    assert metrics(server, Authorization=f"Bearer {made.json['token']}")["workers"] == 1
    assert server.stop() == 0


def test_on_loopback_a_proxy_or_a_page_elsewhere_cannot_read_them(server: Server) -> None:
    assert server.call("GET", "/metrics").status == 200
    assert server.call("GET", "/metrics", X_Forwarded_For="192.0.2.1").status == 401
    assert server.call("GET", "/metrics", Host="rebound.example").status == 403
    assert server.call("GET", "/metrics", Origin="https://a.example").status == 403


def test_a_service_below_these_paths_is_the_service(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    for path in ("/metrics", "/livez", "/readyz", "/rightsmanager.asmx/metrics"):
        body = client.challenge(header_of(Kid(system_random(16)).base64))
        assert server.post(body, f"{path}{SERVICE}").status == 200
    for path in ("/metrics/", "/rightsmanager.asmx/metrics", "/metrics/x", "/readyz/x"):
        assert server.call("GET", path).status == 404
    assert server.call("POST", "/metrics", b"").status == 405


def test_switched_off_nothing_is_counted_and_nothing_shown(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_METRICS__ACCESS="off")
    client = enrol(server.data)
    assert server.post(client.challenge(header_of(Kid(system_random(16)).base64))).status == 200
    assert server.call("GET", "/metrics").status == 404
    assert server.call("GET", "/readyz").status == 200
    assert server.stop() == 0
