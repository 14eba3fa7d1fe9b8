"""The HTTP hook over real servers: the documentation's back ends, restarts and failures."""

from __future__ import annotations

import json
import re
import secrets
import selectors
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from playwright._impl._driver import compute_driver_executable

from rightsmanager.crypto.random import system_random
from rightsmanager.device import post
from rightsmanager.device.membership import Joining, join, leave
from rightsmanager.device.metering import get_metering_certificate, process_metering_data
from rightsmanager.errors import InternalError, Refusal, ServiceSpecific
from rightsmanager.protocol.formats.xmr.objects import Expiration
from rightsmanager.protocol.messages.metering import MeteringReport, Usage
from rightsmanager.protocol.wire import AccountId, Kid, ServiceId, SessionId, TransactionId
from rightsmanager.settings import DomainSettings
from tests.docs.documents import ROOT
from tests.e2e.devices import make_device
from tests.e2e.reporting import Reporter
from tests.e2e.test_metrics_e2e import metrics
from tests.hooks import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

LINES = re.findall(
    r"^((?:python3|node) examples/\S+ .*)$", (ROOT / "docs" / "hooks.md").read_text(), re.MULTILINE
)
"""The commands of the documentation that start a back end."""
ALICE = "?token=token-of-alice"
COUNTED_OF_WORLDS = {
    "requests_total AcquireLicense ok": 2,
    "requests_total AcquireLicense 0x8004c604": 1,
    "licenses_issued_total": 2,
    "hook_calls_total answered": 2,
}
"""Figures of the metrics, and the counts that a test adds by requests to worlds."""
RETRY_SECONDS = 0.2
DEADLINE_SECONDS = 30


def node() -> str:
    """Return the path of Node.js: the machine's, or that of the browser's driver."""
    return shutil.which("node") or str(compute_driver_executable()[0])


@dataclass(frozen=True)
class Place:
    """A server with a back end's address, at which nothing listens yet."""

    server: Server
    port: int
    secret_file: Path
    header_of: HeaderOf
    devices: tuple[Client, ...]

    def acquire(self, query: str = ALICE, device: int = 0) -> str | None:
        """Return the CustomData of the reply to a request for one licence."""
        header = self.header_of(Kid(system_random(16)).base64)
        acquired = self.devices[device].acquire(self.server.url + query, header)
        assert len(acquired.licenses) == 1
        return acquired.response.custom_data

    def reasons(self) -> list[str]:
        """Return the reasons of refusals in the log."""
        events = (json.loads(line) for line in self.server.log.read_text().splitlines())
        return [event["reason"] for event in events if "reason" in event]

    def wait_for_a_licence(self) -> None:
        """Request until the circuit is closed; every other answer is a fault."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                assert self.acquire() == "alice"
            except InternalError:
                assert time.monotonic() < deadline
                time.sleep(RETRY_SECONDS / 4)
            else:
                return

    @contextmanager
    def running(self, line: str) -> Iterator[None]:
        """Run a back end of the documentation."""
        words = shlex.split(line.replace("var/keyring/hooks.secret", str(self.secret_file)))
        words[0] = {"python3": sys.executable, "node": node()}[words[0]]
        words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
        words = [str(self.port) if word == "9000" else word for word in words]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                assert selector.select(DEADLINE_SECONDS)
            assert process.stdout.readline().strip() == f"http://127.0.0.1:{self.port}"
            try:
                yield
            finally:
                process.terminate()


def hook_calls(server: Server) -> dict[str, float]:
    """Return the counts of calls of the back end, by outcome."""
    shown = metrics(server)
    return {name: shown[f"hook_calls_total {name}"] for name in ("answered", "failed", "skipped")}


@pytest.fixture(scope="module")
def place(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    folder = tmp_path_factory.mktemp("hook")
    secret_file = folder / "hooks.secret"
    secret_file.write_bytes(backends.SECRET)
    port = backends.find_free_port()
    server = start(
        folder / "data",
        "--lab",
        RIGHTSMANAGER_HOOKS__URL=f"http://127.0.0.1:{port}",
        RIGHTSMANAGER_HOOKS__SECRET_FILE=str(secret_file),
        RIGHTSMANAGER_HOOKS__ANSWER_TIMEOUT_SECONDS="0.5",
        RIGHTSMANAGER_HOOKS__RETRY_SECONDS=str(RETRY_SECONDS),
        RIGHTSMANAGER_HOOKS__MAX_FAILURES="3",
        RIGHTSMANAGER_LOG__FORMAT="json",
    )
    return Place(server, port, secret_file, header_of, (enrol(server.data), enrol(server.data)))


def test_the_documentation_has_a_back_end_in_two_languages() -> None:
    assert [line.split()[0] for line in LINES] == ["python3", "node"]


@pytest.mark.parametrize("line", LINES, ids=["python", "node"])
def test_a_back_end_decides_by_the_token_in_the_query(place: Place, line: str) -> None:
    with place.running(line):
        place.wait_for_a_licence()
        with pytest.raises(ServiceSpecific) as caught:
            place.acquire("?token=guessed")
        assert (caught.value.text, caught.value.custom_data) == (
            "no subscription",
            '{"buy": true}',
        )
        # Together with a parameter of ours; a device without hardware protection gets an hour.
        url = f"{place.server.url}?cfg=(kid:header)&token=token-of-bob"
        header = place.header_of(Kid(system_random(16)).base64)
        (license_,) = place.devices[0].acquire(url, header).licenses
        expiration = license_.license.find(Expiration)
        assert expiration is not None
        assert 3500 <= expiration.end - time.time() <= 3600


def test_replies_to_other_operations_have_the_back_ends_custom_data(place: Place) -> None:
    replies: list[bytes] = []

    def keep(url: str, action: str, body: bytes) -> bytes:
        replies.append(post(url, action, body))
        return replies[-1]

    client, url = place.devices[0].reaching(keep), place.server.url
    reporter = Reporter(place.devices[0], place.server)
    kid = Kid(system_random(16))
    joining = Joining(ServiceId.parse(DomainSettings().service_id), AccountId(system_random(16)))
    with place.running(LINES[1]):
        place.wait_for_a_licence()
        domain = join(url, joining, client)
        assert leave(url, domain, client)
        certificate = get_metering_certificate(url, reporter.mid, client)
        usage = (Usage(kid, "Play", 1),)
        report = MeteringReport(reporter.mid, TransactionId(system_random(16)), usage)
        process_metering_data(url, report, certificate, client)
        replies.append(place.server.post(reporter.stop([reporter.session(kid)])).body)
        replies.append(place.server.post(reporter.delete(SessionId(system_random(16)), [kid])).body)
    assert len(replies) == 6
    for reply in replies:
        assert b"<CustomData>welcome</CustomData>" in reply


def test_commands_of_a_device_show_custom_data_and_warnings(place: Place, tmp_path: Path) -> None:
    device, kid = make_device(place.server.data, tmp_path / "device"), Kid(system_random(16)).text
    mid = Reporter(place.devices[0], place.server).mid.text
    url = ["--url", place.server.url]
    asked = ["--url", f"{place.server.url}{ALICE}&cfg=(kid:header,persist:true,mid:{mid})&colour=1"]
    with place.running(LINES[0]):
        place.wait_for_a_licence()
        acquired = device.invoke("acquire", *asked, "--kid", kid, "--json")
        facts = [
            json.loads(acquired.stdout),
            device.json("play", *asked, Kid(system_random(16)).text),
            device.json("join", *url),
            *device.json("meter", *url),
            *device.json("delete", *url, kid),
        ]
        left = device.invoke("leave", "--account", facts[2]["account_id"])
        refused = device.invoke("acquire", *url, "--kid", kid)
    warnings = ["'token' has no effect", "'colour' has no effect"]
    assert [(each["custom_data"], each["warnings"]) for each in facts] == [
        *[("alice", warnings)] * 2,
        *[("welcome", [])] * 3,
    ]
    notes = [f"warning: {warning}" for warning in warnings]
    assert acquired.stderr.splitlines() == [*notes, "CustomData: alice"]
    assert left.stderr == "CustomData: welcome\n"
    assert isinstance(refused.exception, ServiceSpecific)
    assert refused.exception.custom_data == '{"buy": true}'


def test_a_back_end_decides_in_worlds_of_any_time_and_pki(place: Place, enrol: Enrol) -> None:
    def create(name: str, **options: object) -> str:
        data = json.dumps({"name": name, **options}).encode()
        answer = place.server.call("POST", "/api/v1/worlds", data, Content_Type="application/json")
        assert answer.status == 201, answer.body
        url: str = json.loads(answer.body)["url"]
        return url

    header = place.header_of(Kid(system_random(16)).base64)
    with place.running(LINES[0]):
        place.wait_for_a_licence()
        url = create("later", pki="own", clock={"now": "2031-01-02T01:00:00Z"})
        # Its keyring is made when it is opened.
        assert place.server.call("GET", "/w/later/public/root.pub").status == 200
        own = enrol(place.server.data / "worlds" / "later")
        before = metrics(place.server)
        assert own.acquire(url + ALICE, header).response.custom_data == "alice"
        with pytest.raises(ServiceSpecific, match="no subscription"):
            own.acquire(url, header)
        free = create("free", settings={"hooks": {"url": ""}})
        assert place.devices[0].acquire(free, header).response.custom_data is None
        # Those of worlds are counted together with those of the plain path.
        counted = metrics(place.server)
        added = {name: counted[name] - before[name] for name in COUNTED_OF_WORLDS}
        assert added == COUNTED_OF_WORLDS


def test_streams_of_a_subscriber_count_on_all_devices(place: Place) -> None:
    query = f"{ALICE}&cfg=(kid:header,securestop:true)"
    with place.running(LINES[0]):
        place.wait_for_a_licence()
        for device in (0, 1):
            place.acquire(query, device)
        with pytest.raises(ServiceSpecific, match="open streams of the user alice: 2") as caught:
            place.acquire(query, 1)
        assert json.loads(caught.value.custom_data or "")["limit"] == 2


@pytest.mark.parametrize("line", LINES, ids=["python", "node"])
def test_a_restart_of_the_back_end_gives_no_wrong_answer(place: Place, line: str) -> None:
    for _ in range(2):
        with place.running(line):
            place.wait_for_a_licence()
            # Connections are kept for a while, and used again.
            before = hook_calls(place.server)
            assert [place.acquire() for _ in range(3)] == ["alice"] * 3
            answered = hook_calls(place.server)
            assert answered == {**before, "answered": before["answered"] + 3}
        refused: list[Refusal] = []
        for _ in range(6):
            with pytest.raises(InternalError) as caught:
                place.acquire()
            refused.append(caught.value)
        assert "the hooks' back end cannot be reached" in refused[0].text
        assert "the hooks' back end is not asked for" in refused[-1].text
        skipped = sum("is not asked for" in refusal.text for refusal in refused)
        assert hook_calls(place.server) == {
            "answered": answered["answered"],
            "failed": answered["failed"] + len(refused) - skipped,
            "skipped": answered["skipped"] + skipped,
        }
    assert any("is not asked for" in reason for reason in place.reasons())


def hang(call: backends.Call) -> None:
    call.stopping.wait(DEADLINE_SECONDS)


FAILURES: dict[str, tuple[backends.Behaviour, str]] = {
    "hangs": (hang, "did not answer within 0.5 s"),
    "redirects": (
        lambda call: call.reply(b"", status="302 There", headers="Location: /decide\r\n"),
        "answered HTTP 302, expected 200",
    ),
    "answers rubbish": (lambda call: call.reply(b"<html>"), "sent an answer that is not JSON"),
    "is another service": (
        lambda call: call.reply(b'{"decision": "allow"}', secrets.token_hex(32)),
        "sent an answer that has a wrong RightsManager-Signature",
    ),
}


def test_each_failure_of_a_back_end_is_a_fault_with_its_name(place: Place) -> None:
    with backends.running(place.port) as back_end:
        place_allows(place, back_end)
        for behave, text in FAILURES.values():
            back_end.behaviours = [behave]
            with pytest.raises(InternalError) as caught:
                place.acquire()
            assert text in caught.value.text
            assert any(text in reason for reason in place.reasons())
            # One failure does not open the circuit.
            back_end.behaviours = []
            assert place.acquire() is None


def place_allows(place: Place, back_end: backends.BackEnd) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not back_end.calls:
        try:
            place.acquire()
        except InternalError:
            assert time.monotonic() < deadline
            time.sleep(RETRY_SECONDS / 4)
