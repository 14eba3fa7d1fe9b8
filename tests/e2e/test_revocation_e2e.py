"""A device that is revoked while four workers serve is refused by each of them at its next request.

To have a request answered by one worker and no other, the others are stopped meanwhile.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.cli.failures import FAULT
from rightsmanager.errors import DeviceCertificateRevoked
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, Enrol, HeaderOf, Server, Start

KID = "4Rplb+TbNES8tGkNFWTEHA=="
REVOKED = "0x8004c065"


@pytest.fixture(scope="module")
def four(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    server = start(tmp_path_factory.mktemp("four") / "data", "--workers", "4")
    server.all_workers(4)
    return server


@contextmanager
def alone(server: Server, worker: int) -> Iterator[None]:
    """Let only one of the workers run."""
    others = [each for each in server.workers() if each != worker]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def codes(server: Server, client: Client, header_of: HeaderOf) -> list[str | None]:
    """Return each worker's status code for a request of its own; None for a licence."""
    found = []
    for worker in server.workers():
        body = client.challenge(header_of(KID))
        with alone(server, worker):
            found.append(server.post(body).code)
    return found


@pytest.fixture
def lost(four: Server, enrol: Enrol, tmp_path: Path) -> tuple[Client, str]:
    """A device, and the file of its chain."""
    client = enrol(four.data)
    file = tmp_path / "chain.bin"
    file.write_bytes(client.device.chain.raw)
    return client, str(file)


def change(server: Server, *arguments: str) -> None:
    """Run a command while the server runs."""
    ran = CliRunner().invoke(
        rightsmanager, [*arguments, "--data", str(server.data)], env=server.environment
    )
    assert ran.exit_code == 0, ran.output


def test_every_worker_refuses_a_revoked_device_and_serves_an_allowed_one(
    four: Server, lost: tuple[Client, str], enrol: Enrol, header_of: HeaderOf
) -> None:
    client, file = lost
    other = enrol(four.data)
    assert codes(four, client, header_of) == [None] * 4
    recorded = four.issued()
    change(four, "revoke", file)
    assert codes(four, client, header_of) == [REVOKED] * 4
    assert four.issued() == recorded
    assert codes(four, other, header_of) == [None] * 4
    change(four, "unrevoke", "--allow", file)
    assert codes(four, client, header_of) == [None] * 4
    change(four, "revoke", "--disallow", file)
    assert codes(four, client, header_of) == [REVOKED] * 4
    change(four, "unrevoke", file)
    assert codes(four, client, header_of) == [None] * 4


def test_all_connections_find_workers_that_know_the_revocation(
    four: Server, lost: tuple[Client, str], header_of: HeaderOf
) -> None:
    client, file = lost
    bodies = [client.challenge(header_of(KID)) for _ in range(64)]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda body: four.post(body).code, bodies)) == {None}
        recorded = four.issued()
        change(four, "revoke", file)
        assert set(threads.map(lambda body: four.post(body).code, bodies)) == {REVOKED}
    assert four.issued() == recorded


def test_a_device_is_given_new_lists_once(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data")
    client = enrol(server.data)
    assert client.acquire(server.url, header_of(KID)).held.lists == ()
    change(server, "revoke", "00" * 32)
    change(server, "revoke", "11" * 32, "--list", "pc")
    held = client.acquire(server.url, header_of(KID)).held
    versions = {each.list_id: each.version for each in held.lists}
    assert versions == {REVOCATION_INFO: 2, LISTS["device"]: 1, LISTS["pc"]: 1}
    assert held.digests == {bytes(32), b"\x11" * 32}
    knowing = replace(client, opening=replace(client.opening, held=held))
    assert knowing.acquire(server.url, header_of(KID)).response.revocation_lists == ()
    change(server, "unrevoke", "00" * 32)
    newer = knowing.acquire(server.url, header_of(KID))
    assert {each.list_id for each in newer.response.revocation_lists} == {
        REVOCATION_INFO,
        LISTS["device"],
    }
    assert newer.held.digests == {b"\x11" * 32}


def test_the_command_keeps_lists_in_the_devices_folder_and_acknowledges(
    start: Start, command: Command, tmp_path: Path
) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_POLICY__PERSISTENT="true",
        RIGHTSMANAGER_LICENSE__ACKNOWLEDGE="persistent",
    )
    folder = tmp_path / "device"
    change(server, "device", "new", str(folder))
    change(server, "revoke", "00" * 32)
    acquire = ("device", "acquire", "--device", str(folder), "--url", server.url, "--kid", KID)
    told = command(*acquire, "--json").json
    assert told["revocation_lists"] == {"revocation information": 1, "device": 1}
    assert [each["result"] for each in told["acknowledged"]] == ["0x00000000"]
    assert sorted(file.name for file in folder.glob("revocation-*")) == [
        "revocation-device.bin",
        "revocation-information.bin",
    ]
    ran = command(*acquire)
    assert "acknowledged 1 licence as stored" in ran.output
    ran = command(*acquire, "--no-acknowledge")
    assert "not acknowledged, because of --no-acknowledge" in ran.output
    assert command(*acquire, "--no-acknowledge", "--json").json["acknowledged"] == []
    change(server, "revoke", str(folder / "certificate-chain.bin"))
    refused = command(*acquire)
    assert refused.status == FAULT
    assert REVOKED in refused.errors


def test_a_revoked_device_gets_its_fault_from_the_library(
    four: Server, lost: tuple[Client, str], header_of: HeaderOf
) -> None:
    client, file = lost
    change(four, "revoke", file)
    with pytest.raises(DeviceCertificateRevoked, match="is revoked"):
        client.acquire(four.url, header_of(KID))
