"""The commands of a device, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rightsmanager.cli.device import COMMANDS
from rightsmanager.device import load_device

if TYPE_CHECKING:
    from tests.cli.conftest import Run

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
NOWHERE = "http://127.0.0.1:1/"


@pytest.fixture
def device(run: Run, data: Path, tmp_path: Path) -> str:
    folder = tmp_path / "device"
    assert run("device", "new", "--data", str(data), str(folder)).status == 0
    return str(folder)


def test_help_lists_every_command(run: Run) -> None:
    output = run("device", "--help").output
    assert [name for name in COMMANDS if f"  {name} " not in output] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    ran = run("device", name, "--help")
    assert (ran.status, ran.errors) == (0, "")
    assert f"rightsmanager device {name} " in ran.output.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "printed", "as_json"),
    [
        (("licenses",), "0 licences", "[]"),
        (("domains",), "0 domains", "[]"),
        (("meter",), "0 reports answered", "[]"),
        (("stop",), "0 messages answered", "[]"),
        (("delete", "--url", NOWHERE), "0 messages answered", "[]"),
    ],
)
def test_a_new_device_has_nothing(
    run: Run, device: str, arguments: tuple[str, ...], printed: str, as_json: str
) -> None:
    command = ("device", arguments[0], "--device", device, *arguments[1:])
    ran = run(*command)
    assert (ran.status, ran.output.splitlines()[-1].strip(), ran.errors) == (0, printed, "")
    assert run(*command, "--json").output.strip() == as_json


def test_a_new_device_is_shown(run: Run, device: str) -> None:
    facts = run("device", "show", "--device", device, "--json").json
    leaf = load_device(Path(device)).chain.leaf
    assert facts == {
        "device": leaf.device_id,
        "security_level": 2000,
        "manufacturer": "RightsManager test PKI",
        "model_name": "Simulated device",
        "model_number": "1",
        "features": ["SECURE_CLOCK", "REVOCATION_LISTS", "PLAYREADY_3"],
        "licenses": 0,
        "domains": [],
        "plays_to_report": 0,
        "sessions_to_report": 0,
        "deletions_to_report": 0,
    }
    lines = run("device", "show", "--device", device).output.splitlines()
    assert [line.split()[-1] for line in lines] == [
        *("value", facts["device"], "2000", "PKI", "device", "1"),
        *("PLAYREADY_3", "0", "-", "0", "0", "0"),
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("open", KID), 1, f"no licence for KID {KID}"),
        (("play", KID), 1, f"no licence for KID {KID}"),
        (("play", KID, "--url", NOWHERE), 4, "cannot be reached"),
        (("play", KID, "--times", "0"), 2, "0 is not in the range"),
        (("play", KID, "--stop", "never"), 2, "'never' is not one of"),
        (("export", KID, "/nowhere/file"), 1, f"no licence for KID {KID}"),
        (("import", "/nowhere/file"), 1, "/nowhere/file cannot be read"),
        (("delete", "--url", NOWHERE, KID), 1, f"no licence for KID {KID}"),
        (("delete", "--url", NOWHERE, "x"), 2, "KID"),
        (("join", "--url", NOWHERE), 4, "cannot be reached"),
        (("join", "--url", NOWHERE, "--account", "x"), 2, "AccountID"),
        (("leave", "--account", KID), 1, f"no domain of account {KID}"),
        (("acquire", "--url", NOWHERE, "--kid", KID, "--join"), 4, "cannot be reached"),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    run: Run, device: str, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    ran = run("device", arguments[0], "--device", device, *arguments[1:])
    assert (ran.status, ran.output) == (status, "")
    assert expected in ran.errors.splitlines()[-1]
    assert status == 2 or ran.errors.count("\n") == 1
