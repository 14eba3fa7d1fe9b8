"""A device deletes licences and reports it until the server has answered."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from rightsmanager.cli.failures import NO_CONNECTION
from rightsmanager.store.database import open_store
from rightsmanager.store.ledger import LicenseState
from tests.e2e.devices import CommandedDevice, make_device, text
from tests.e2e.losing import losing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Server

KIDS = ("4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw==", "AmfjCTOPbEOl3WD/5mcecA==")


@pytest.fixture
def device(server: Server, tmp_path: Path) -> CommandedDevice:
    """A device with a persistent licence for each KID."""
    made = make_device(server.data, tmp_path / "device")
    wanted = [word for kid in KIDS for word in ("--kid", kid)]
    made.run("acquire", "--url", f"{server.url}?cfg=(persist:true)", *wanted)
    return made


def recorded(server: Server, device: CommandedDevice) -> dict[str, LicenseState]:
    """Return the state of each of the device's licences in the server's ledger."""
    store = open_store(server.database_url)
    try:
        with store.reading() as found:
            ledger = found.ledger.find_all(device.json("show")["device"])
            return {entry.kid.base64: entry.state(int(time.time())) for entry in ledger}
    finally:
        store.close()


def test_deleted_licences_are_gone_and_reported(server: Server, device: CommandedDevice) -> None:
    (told,) = device.json("delete", "--url", server.url, *KIDS[:2])
    assert told["answered"] is True
    assert sorted(told["kids"]) == sorted(map(text, KIDS[:2]))
    assert [each["kid"] for each in device.json("licenses")] == [text(KIDS[2])]
    assert device.json("delete", "--url", server.url) == []
    assert [recorded(server, device)[kid] for kid in KIDS] == [
        *(LicenseState.DELETED, LicenseState.DELETED, LicenseState.ISSUED),
    ]
    ran = device.run("delete", "--url", server.url, KIDS[2])
    assert ran.splitlines()[1].split()[1] == text(KIDS[2])
    assert ran.splitlines()[-1] == "1 message answered"


def test_after_a_lost_reply_the_report_is_repeated(server: Server, device: CommandedDevice) -> None:
    with losing(server.url, lambda _: True) as url:
        failed = device.invoke("delete", "--url", url, "--json", KIDS[0])
    assert failed.exit_code == NO_CONNECTION
    assert [each["answered"] for each in json.loads(failed.stdout)] == [False]
    assert device.json("show")["deletions_to_report"] == 1
    assert text(KIDS[0]) not in {each["kid"] for each in device.json("licenses")}
    assert recorded(server, device)[KIDS[0]] is LicenseState.DELETED
    (told,) = device.json("delete", "--url", server.url, KIDS[0])
    assert told["kids"] == [text(KIDS[0])]
    assert device.json("show")["deletions_to_report"] == 0
