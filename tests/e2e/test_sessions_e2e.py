"""A device reports and proves its sessions under secure stop, and forgets accepted ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rightsmanager.cli.failures import NO_CONNECTION
from rightsmanager.store.database import open_store
from tests.e2e.devices import CommandedDevice, make_device, text
from tests.e2e.losing import losing

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.store.sessions import StoredSession
    from tests.e2e.conftest import Server

KIDS = ("4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw==")


@pytest.fixture
def device(server: Server, tmp_path: Path) -> CommandedDevice:
    return make_device(server.data, tmp_path / "device")


def stopped(server: Server) -> str:
    return f"{server.url}?cfg=(securestop:true)"


def recorded(server: Server, device: CommandedDevice) -> dict[str, StoredSession]:
    """Return the server's records of the device's sessions."""
    name = device.json("show")["device"]
    store = open_store(server.database_url)
    try:
        with store.reading() as found:
            sessions = [each for each in found.sessions.find_all() if each.device == name]
            return {each.session_id.text: each for each in sessions}
    finally:
        store.close()


def test_a_clean_stop_is_reported_and_proven(server: Server, device: CommandedDevice) -> None:
    played = device.json("play", KIDS[0], "--url", stopped(server))
    (session,) = played["sessions"]
    assert (played["secure_stop"] is not None, played["stopped"]) == (True, True)
    (told,) = device.json("stop", "--url", server.url)
    assert (told["metering_id"], told["answered"]) == (played["secure_stop"], True)
    assert (told["sessions"], told["stopped"], told["accepted"]) == (1, 1, 1)
    assert told["verified"] == session
    known = recorded(server, device)[session]
    assert (known.kid.base64, known.stopped, known.proven) == (KIDS[0], True, True)
    assert device.json("stop", "--url", server.url) == []


def test_a_crash_is_reported_as_an_unclean_end(server: Server, device: CommandedDevice) -> None:
    crashed = device.json("play", KIDS[0], "--url", stopped(server), "--stop", "crash")
    clean = device.json("play", KIDS[1], "--url", stopped(server))
    assert device.json("show")["sessions_to_report"] == 2
    told = device.json("stop", "--url", server.url)
    assert sum(each["accepted"] for each in told) == 2
    known = recorded(server, device)
    assert [known[each["sessions"][0]].stopped for each in (crashed, clean)] == [False, True]
    assert all(session.proven for session in known.values())
    assert device.json("show")["sessions_to_report"] == 0


def test_after_a_lost_reply_the_report_is_repeated(server: Server, device: CommandedDevice) -> None:
    played = device.json("play", KIDS[0], "--times", "3", "--url", stopped(server))
    with losing(server.url, lambda operation: operation == "ProcessSecureStopData") as url:
        failed = device.invoke("stop", "--url", url, "--json")
    assert failed.exit_code == NO_CONNECTION
    assert [each["answered"] for each in json.loads(failed.stdout)] == [False]
    assert device.json("show")["sessions_to_report"] == 3
    told = device.json("stop", "--url", server.url)
    assert sum(each["accepted"] for each in told) == 3
    assert set(recorded(server, device)) == set(played["sessions"])


def test_reports_are_printed_as_a_table(server: Server, device: CommandedDevice) -> None:
    assert device.run("play", KIDS[0], "--url", stopped(server)).splitlines()[0] == (
        f"KID {text(KIDS[0])}: 1 play"
    )
    head, row, end = (
        line.rstrip() for line in device.run("stop", "--url", server.url).splitlines()
    )
    assert head.split("  ")[0] == "metering id"
    assert row.split()[1:3] == ["1", "1"]
    assert end == "1 message answered"
