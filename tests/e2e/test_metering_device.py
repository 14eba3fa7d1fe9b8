"""The server counts exactly the plays of a device, through crashes and lost replies."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from rightsmanager.cli.failures import FAULT, NO_CONNECTION
from rightsmanager.errors import Refusal
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.metering import read_metering_certificate
from rightsmanager.protocol.wire import Mid
from rightsmanager.store.database import open_store
from rightsmanager.store.metering import DAY_SECONDS, Period
from tests.e2e.conftest import PROGRAM
from tests.e2e.devices import CommandedDevice, make_device, text
from tests.e2e.losing import losing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Server

KIDS = ("4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw==", "AmfjCTOPbEOl3WD/5mcecA==")


@pytest.fixture
def mid(server: Server) -> Mid:
    """The metering id of the server's own keyring."""
    chain = parse_chain((server.data / "public" / "metering.bin").read_bytes())
    return read_metering_certificate(chain).mid


@pytest.fixture
def device(server: Server, tmp_path: Path) -> CommandedDevice:
    return make_device(server.data, tmp_path / "device")


class Totals:
    """The counts of a server since this object was created."""

    def __init__(self, server: Server, mid: Mid) -> None:
        self._server, self._mid = server, mid
        self._before = self._all()

    def now(self) -> dict[str, int]:
        return dict(self._all() - self._before)

    def _all(self) -> Counter[str]:
        """Return the counts by KID, those of every action and every test."""
        today = int(time.time()) // DAY_SECONDS
        store = open_store(self._server.database_url)
        try:
            with store.reading() as found:
                totals = found.metering.find_totals_by_kid(self._mid, Period(today - 1, today + 1))
        finally:
            store.close()
        counts: Counter[str] = Counter()
        for total in totals:
            counts[str(total.group)] += total.value
        return counts


@pytest.fixture
def totals(server: Server, mid: Mid) -> Totals:
    return Totals(server, mid)


def metered(server: Server, mid: Mid, *more: str) -> str:
    return f"{server.url}?cfg=({','.join((f'mid:{mid.text}', *more))})"


def test_plays_of_kept_and_of_fresh_licences_are_reported(
    server: Server, device: CommandedDevice, mid: Mid, totals: Totals
) -> None:
    device.run("acquire", "--url", metered(server, mid, "persist:true"), "--kid", KIDS[0])
    assert device.run("play", KIDS[0]) == (
        f"KID {text(KIDS[0])}: 1 play\ncounted for metering id {mid.text}\n"
    )
    for kid, times in ((KIDS[0], 4), (KIDS[1], 3)):
        played = device.json("play", kid, "--url", metered(server, mid), "--times", str(times))
        assert (played["times"], played["metering_id"]) == (times, mid.text)
        assert played["license"] == ("kept" if kid == KIDS[0] else "acquired")
    assert totals.now() == {}
    (report,) = device.json("meter", "--url", server.url)
    assert (report["metering_id"], report["answered"]) == (mid.text, True)
    assert (report["records"], report["count"], report["partial"]) == (2, 8, False)
    assert totals.now() == {text(KIDS[0]): 5, text(KIDS[1]): 3}
    assert device.json("meter", "--url", server.url) == []
    assert totals.now() == {text(KIDS[0]): 5, text(KIDS[1]): 3}


def test_reports_are_printed_as_a_table(server: Server, device: CommandedDevice, mid: Mid) -> None:
    device.run("play", KIDS[0], "--url", metered(server, mid))
    head, row, end = (
        line.rstrip() for line in device.run("meter", "--url", server.url).splitlines()
    )
    assert head.split("  ")[0] == "metering id"
    assert (row.split()[0], row.split()[2:]) == (mid.text, ["1", "1"])
    assert end == "1 report answered"
    assert device.run("meter", "--url", server.url) == "0 reports answered\n"


def test_after_a_lost_reply_the_report_is_repeated_under_its_transaction(
    server: Server, device: CommandedDevice, mid: Mid, totals: Totals
) -> None:
    device.run("play", KIDS[0], "--times", "5", "--url", metered(server, mid))
    with losing(server.url, lambda operation: operation == "ProcessMeteringData") as url:
        failed = device.invoke("meter", "--url", url, "--json")
    assert (failed.exit_code, failed.stderr) == (NO_CONNECTION, "")
    (told,) = json.loads(failed.stdout)
    assert (told["answered"], told["metering_id"]) == (False, mid.text)
    assert told["error"]["kind"] == "connection"
    assert f"{url} cannot be reached" in told["error"]["text"]
    assert totals.now() == {text(KIDS[0]): 5}
    device.run("play", KIDS[0], "--times", "2", "--url", metered(server, mid))
    reports = device.json("meter", "--url", server.url)
    assert [report["count"] for report in reports] == [5, 2]
    assert totals.now() == {text(KIDS[0]): 7}


def test_a_device_that_is_killed_before_the_reply_counts_once(
    server: Server, device: CommandedDevice, mid: Mid, totals: Totals
) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def kill(operation: str) -> bool:
        if operation != "ProcessMeteringData":
            return False
        running[-1].kill()
        return True

    played = 0
    with losing(server.url, kill) as url:
        for times in (1, 2, 3):
            device.run("play", KIDS[2], "--times", str(times), "--url", metered(server, mid))
            played += times
            command = [*PROGRAM, "device", "meter", "--device", str(device.folder), "--url", url]
            with subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                running.append(process)
            assert process.returncode == -9
    counts = [report["count"] for report in device.json("meter", "--url", server.url)]
    assert counts == [1, 5]
    assert totals.now() == {text(KIDS[2]): played}


def test_a_report_above_the_limit_is_sent_in_parts(
    server: Server, device: CommandedDevice, mid: Mid, totals: Totals
) -> None:
    for kid in KIDS:
        device.run("play", kid, "--url", metered(server, mid))
    reports = device.json("meter", "--url", server.url, "--max-records", "2")
    assert [(each["records"], each["partial"]) for each in reports] == [(2, True), (1, False)]
    assert totals.now() == dict.fromkeys(map(text, KIDS), 1)


def test_an_unknown_metering_id_does_not_keep_others_from_being_reported(
    server: Server, device: CommandedDevice, mid: Mid, totals: Totals
) -> None:
    nobodys = Mid(b"\xff" * 16)
    device.run("play", KIDS[0], "--url", metered(server, nobodys))
    device.run("play", KIDS[1], "--url", metered(server, mid))
    ran = device.invoke("meter", "--url", server.url, "--json")
    assert ran.exit_code == FAULT
    assert {each["metering_id"]: each["answered"] for each in json.loads(ran.stdout)} == {
        nobodys.text: False,
        mid.text: True,
    }
    (failed,) = (each for each in json.loads(ran.stdout) if not each["answered"])
    assert nobodys.text in failed["fault"]["text"]
    assert totals.now() == {text(KIDS[1]): 1}


def test_without_the_right_to_play_nothing_is_counted(
    server: Server, device: CommandedDevice, mid: Mid
) -> None:
    with pytest.raises(Refusal, match="has no right to play"):
        device.run("play", KIDS[0], "--url", metered(server, mid, "playright:false"))
    assert device.json("meter", "--url", server.url) == []


def test_an_expired_licence_is_replaced_before_playing(
    server: Server, device: CommandedDevice, mid: Mid
) -> None:
    expired = metered(server, mid, "persist:true", "enddate:20200101000000")
    device.run("acquire", "--url", expired, "--kid", KIDS[0])
    with pytest.raises(Refusal, match="expired at 2020-01-01T00:00:00Z"):
        device.run("play", KIDS[0])
    played = device.json("play", KIDS[0], "--url", metered(server, mid))
    assert played["license"] == "acquired"


def test_a_licence_ends_after_its_first_play(
    server: Server, device: CommandedDevice, mid: Mid
) -> None:
    url = metered(server, mid, "persist:true", "firstplayexpiration:3600")
    device.run("acquire", "--url", url, "--kid", KIDS[0])
    (before,) = device.json("licenses")
    assert (before["end"], before["first_played"]) == (None, None)
    assert "3600 s after its first play" in device.run("licenses")
    device.run("play", KIDS[0])
    device.run("play", KIDS[0])
    (after,) = device.json("licenses")
    assert after["end"] == after["first_played"] + 3600
