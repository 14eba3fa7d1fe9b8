"""Two servers with a metering id each: each decrypts only its own reports."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.devices import CommandedDevice, make_device, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Server, Start

KIDS = ("4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw==")


@dataclass(frozen=True)
class Metered:
    """A server with a metering id that only its own database knows."""

    server: Server
    command: Command
    mid: str

    def metering(self, verb: str, *arguments: str) -> Any:  # noqa: ANN401 -- JSON of any shape
        ran = self.command(
            *("metering", verb, "--data", str(self.server.data), *arguments, "--json"),
            **self.server.environment,
        )
        assert ran.status == 0, ran.errors
        return ran.json

    def counted(self) -> dict[str, int]:
        """Return the plays by KID."""
        report = self.metering("report", "--mid", self.mid)
        return {total["kid"]: total["value"] for total in report["totals"]}

    def licence_url(self) -> str:
        return f"{self.server.url}?cfg=(mid:{self.mid})"


@pytest.fixture
def services(start: Start, command: Command, tmp_path: Path) -> tuple[Metered, Metered]:
    """Two servers with the same keyring but different databases."""
    first = start(tmp_path / "music")
    for folder in ("keyring", "public"):
        shutil.copytree(first.data / folder, tmp_path / "film" / folder)
    made = []
    for server, name in ((first, "music"), (start(tmp_path / "film"), "film")):
        metered = Metered(server, command, "")
        created = metered.metering("create", "--name", name, "--url", server.url)
        made.append(Metered(server, command, created["mid"]))
    return made[0], made[1]


def test_two_servers_each_decrypt_and_count_their_own_reports(
    services: tuple[Metered, Metered], tmp_path: Path
) -> None:
    music, film = services
    device = make_device(music.server.data, tmp_path / "device")
    device.run("play", KIDS[0], "--times", "3", "--url", music.licence_url())
    device.run("play", KIDS[1], "--times", "5", "--url", film.licence_url())

    # Neither issues the other's certificate.
    assert reported(device, music) == {music.mid: "answered", film.mid: "0x8004c604"}
    assert (music.counted(), film.counted()) == ({text(KIDS[0]): 3}, {})
    assert reported(device, film) == {film.mid: "answered"}
    assert (music.counted(), film.counted()) == ({text(KIDS[0]): 3}, {text(KIDS[1]): 5})

    # The device has the certificate, so it reports, but the server cannot decrypt it.
    device.run("play", KIDS[1], "--url", film.licence_url())
    assert reported(device, music) == {film.mid: "0x8004c601"}
    assert (music.counted(), film.counted()) == ({text(KIDS[0]): 3}, {text(KIDS[1]): 5})
    # Without a URL the report goes to that of the certificate.
    assert reported(device) == {film.mid: "answered"}
    assert film.counted() == {text(KIDS[1]): 6}


def test_a_retired_metering_id_counts_until_its_last_licence_has_reported(
    services: tuple[Metered, Metered], tmp_path: Path
) -> None:
    music, _ = services
    device = make_device(music.server.data, tmp_path / "device")
    device.run("play", KIDS[0], "--url", music.licence_url())
    assert reported(device, music) == {music.mid: "answered"}
    folder = ("--data", str(music.server.data))
    music.command("metering", "retire", *folder, music.mid, **music.server.environment)
    device.run("play", KIDS[0], "--url", music.licence_url())
    assert reported(device, music) == {music.mid: "answered"}
    assert music.counted() == {text(KIDS[0]): 2}
    late = make_device(music.server.data, tmp_path / "late")
    late.run("play", KIDS[0], "--url", music.licence_url())
    assert reported(late, music) == {music.mid: "0x8004c604"}


def reported(device: CommandedDevice, to: Metered | None = None) -> dict[str, str]:
    """Return the outcome of a device's reports by metering id: answered, or a status code."""
    where = () if to is None else ("--url", to.server.url)
    done = json.loads(device.invoke("meter", *where, "--json").stdout)
    return {
        each["metering_id"]: "answered" if each["answered"] else each["fault"]["status_code"]
        for each in done
    }
