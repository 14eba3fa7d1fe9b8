"""The ledger of a running server, as its command prints it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.protocol.wire import Kid, SessionId
from tests.e2e.devices import CommandedDevice, make_device
from tests.e2e.reporting import Reporter, read_delete

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Enrol, HeaderOf, Server


@pytest.fixture
def kid() -> Kid:
    return Kid(system_random(16))


@pytest.fixture
def reporter(server: Server, enrol: Enrol) -> Reporter:
    return Reporter(enrol(server.data), server)


class Ledger:
    """The command about a device."""

    def __init__(self, command: Command, server: Server, device: str) -> None:
        self._command = command
        self._arguments = ("ledger", "--data", str(server.data), device)

    def states(self) -> dict[str, str]:
        licenses = self._all()["licenses"]
        return {each["kid"]: each["state"] for each in licenses}

    def unknown(self) -> list[str]:
        return [each["kid"] for each in self._all()["unknown"]]

    def must_ask(self, kid: Kid) -> int:
        """Return the exit status of the question."""
        return self._command(*self._arguments, "--kid", kid.text).status

    def _all(self) -> Any:  # noqa: ANN401 -- JSON
        return self._command(*self._arguments, "--json").json


@pytest.fixture
def ledger(command: Command, reporter: Reporter) -> Ledger:
    return Ledger(command, reporter.server, reporter.client.device.chain.leaf.device_id)


def test_a_licence_is_issued_and_deleted_once(
    server: Server, reporter: Reporter, ledger: Ledger, kid: Kid, header_of: HeaderOf
) -> None:
    url = server.url + "?cfg=(persist:true)"
    reporter.client.acquire(url, header_of(kid.base64))
    assert (ledger.states(), ledger.must_ask(kid)) == ({kid.text: "issued"}, 1)

    session, unknown = SessionId(system_random(16)), Kid(system_random(16))
    body = reporter.delete(session, [kid, unknown])
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: server.post(body), range(8)))
    assert {read_delete(answer.body) for answer in answers} == {session}
    assert all(b"Signature" not in answer.body for answer in answers)
    assert (ledger.states(), ledger.must_ask(kid)) == ({kid.text: "deleted"}, 0)
    assert ledger.unknown() == [unknown.text]

    other = server.post(reporter.delete(session, [kid]))
    assert (other.status, other.code) == (500, "0x8004c601")
    reporter.client.acquire(url, header_of(kid.base64))
    assert server.post(body).status == 200
    assert ledger.must_ask(kid) == 1


def test_acknowledged_licences_are_listed_as_such(
    server: Server, command: Command, tmp_path: Path, kid: Kid
) -> None:
    device: CommandedDevice = make_device(server.data, tmp_path / "phone")
    tid = SessionId(system_random(16)).text
    url = f"{server.url}?cfg=(persist:true,tid:{tid})"
    device.run("acquire", "--url", url, "--kid", kid.text)
    ledger = Ledger(command, server, str(device.folder))
    assert (ledger.states(), ledger.must_ask(kid)) == ({kid.text: "acknowledged"}, 1)


def test_a_bad_report_is_refused(server: Server, reporter: Reporter, kid: Kid) -> None:
    good = reporter.delete(SessionId(system_random(16)), [kid])
    many = [Kid(number.to_bytes(16, "big")) for number in range(1001)]
    hostile = [
        good[: len(good) // 2],
        good.replace(b"<Version>1", b"<Version>&#1;1"),
        reporter.delete(SessionId(system_random(16)), [kid, kid]),
        reporter.delete(SessionId(system_random(16)), many),
        reporter.delete(SessionId(system_random(16)), []),
    ]
    assert [server.post(body).code for body in hostile] == ["0x8004c601"] * len(hostile)
