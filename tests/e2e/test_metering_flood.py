"""Reports count exactly once through kills, lost connections and repeats."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.metering import (
    MeteringCertificate,
    Usage,
    read_metering_certificate,
)
from rightsmanager.protocol.wire import PROTOCOLS, Kid
from rightsmanager.store.database import open_store
from rightsmanager.store.metering import Period
from tests.e2e.flood import REPLY_SECONDS, Counts, Device, Flood, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, Enrol, Server, Start
    from tests.postgresql import PostgreSQL

SEED = 5
EVER = Period(0, 2**31 - 1)


def own_certificate(server: Server) -> MeteringCertificate:
    return read_metering_certificate(
        parse_chain((server.data / "public" / "metering.bin").read_bytes())
    )


def created_certificate(server: Server, command: Command, tmp_path: Path) -> MeteringCertificate:
    folder, file = ("--data", str(server.data)), tmp_path / "created.bin"
    made = command("metering", "create", *folder, "--json", **server.environment)
    command(
        "metering", "show", *folder, made.json["mid"], "--chain", str(file), **server.environment
    )
    return read_metering_certificate(parse_chain(file.read_bytes()))


def flood_of(
    server: Server,
    enrol: Enrol,
    certificates: list[MeteringCertificate],
    sizes: Sizes,
    kill: Callable[[Random], None],
) -> Flood:
    devices = [
        Device(
            enrol(server.data), certificates[number % len(certificates)], Random(f"{SEED}/{number}")
        )
        for number in range(sizes.devices)
    ]
    for device in devices:
        device.play(sizes.reports, sizes.usage)
    return Flood(devices, kill, sizes.kills, Random(SEED))


def kill_worker(server: Server) -> Callable[[Random], None]:
    def kill(random: Random) -> None:
        workers = server.workers()
        # A process that was just killed may still be listed.
        with suppress(ProcessLookupError):
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)

    return kill


def assert_counted(server: Server, flood: Flood, certificates: list[MeteringCertificate]) -> None:
    """Assert that the stored totals equal the plays."""
    store = open_store(server.database_url)
    with store.reading() as found:
        for certificate in certificates:
            mid = certificate.mid
            by_kid = counts(found.metering.find_totals_by_kid(mid, EVER))
            by_device = counts(found.metering.find_totals_by_device(mid, EVER))
            assert by_kid == flood.played(mid)
            assert by_device == flood.played_by_device(mid)
    store.close()


def counts(totals: object) -> Counts:
    assert isinstance(totals, list)
    return Counter({(total.group, total.action): total.value for total in totals})


def run_flood(start: Start, enrol: Enrol, command: Command, folder: Path, sizes: Sizes) -> Flood:
    server = start(folder / "data", "--workers", "4")
    certificates = [own_certificate(server), created_certificate(server, command, folder)]
    flood = flood_of(server, enrol, certificates, sizes, kill_worker(server))
    flood.run(server)
    assert_counted(server, flood, certificates)
    assert server.stop() == 0
    return flood


def test_totals_equal_the_plays_of_fifty_devices_while_workers_are_killed(
    start: Start, enrol: Enrol, command: Command, tmp_path: Path
) -> None:
    flood = run_flood(start, enrol, command, tmp_path, Sizes())
    assert sum(device.tries for device in flood.devices) > sum(
        len(device.reports) for device in flood.devices
    )


# --- the database dies ----------------------------------------------------------------------------


def kill_database(database: PostgreSQL) -> Callable[[Random], None]:
    """Kill one of its processes, after which it restarts all of them, or all at once."""

    def kill(random: Random) -> None:
        assert database.process is not None
        pid = database.process.pid
        children = open_children(pid)
        if children and random.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(random.choice(children), signal.SIGKILL)
        else:
            for each in (pid, *children):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            database.process.wait(REPLY_SECONDS)
            database.start()

    return kill


def open_children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as listed:  # noqa: PTH123
        return sorted(map(int, listed.read().split()))


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_totals_equal_the_plays_while_the_database_is_killed(
    start: Start, enrol: Enrol, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = own_postgresql.url(own_postgresql.create_database())
    server = start(tmp_path / "data", "--workers", "2", RIGHTSMANAGER_DATABASE_URL=url)
    server.database_url = url
    certificates = [own_certificate(server)]
    sizes = Sizes(devices=12, reports=5, usage=30, kills=4)
    flood = flood_of(server, enrol, certificates, sizes, kill_database(own_postgresql))
    flood.run(server)
    assert_counted(server, flood, certificates)
    assert server.stop() == 0


# --- one report -----------------------------------------------------------------------------------


@pytest.fixture
def device(server: Server, client: Client, request: pytest.FixtureRequest) -> Device:
    """A device with one report, on a server that other devices report to as well."""
    made = Device(client, own_certificate(server), Random(request.node.name))
    made.play(1, 40)
    return made


@pytest.fixture
def counted(server: Server) -> Callable[[], Counts]:
    def count() -> Counts:
        store = open_store(server.database_url)
        with store.reading() as found:
            totals = found.metering.find_totals_by_kid(own_certificate(server).mid, EVER)
        store.close()
        return counts(totals)

    return count


def added(device: Device) -> Counts:
    return Flood([device], lambda _random: None, 0, Random(SEED)).played(device.certificate.mid)


def test_the_same_report_from_eight_connections_at_once_counts_once(
    server: Server, device: Device, counted: Callable[[], Counts]
) -> None:
    before = counted()
    bodies = [device.seal(device.reports[0]) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda body: server.post(body).status, bodies))
    assert statuses == [200] * 8
    assert counted() == before + added(device)


def test_a_client_that_vanishes_after_the_servers_commit_may_ask_again(
    server: Server, device: Device, counted: Callable[[], Counts]
) -> None:
    before = counted()
    body = device.seal(device.reports[0])
    head = f"POST /rightsmanager.asmx HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + body)
    deadline = time.monotonic() + REPLY_SECONDS
    while counted() == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert counted() == before + added(device)
    answers = [server.post(each) for each in (body, device.seal(device.reports[0]))]
    assert [answer.status for answer in answers] == [200, 200]
    assert counted() == before + added(device)


def test_a_report_that_is_refused_leaves_nothing(
    server: Server, device: Device, counted: Callable[[], Counts]
) -> None:
    assert server.post(device.seal(device.reports[0])).status == 200
    before = counted()
    (report,) = device.reports
    device.play(1, 40)
    other = device.seal(type(report)(report.mid, report.transaction_id, device.reports[1].usage))
    answer = server.post(other)
    assert (answer.status, answer.code) == (500, "0x8004c601")
    assert b"was reported before with other records" in answer.body
    assert counted() == before


@pytest.mark.parametrize(
    ("records", "action", "expected"),
    [
        (10_000, "ProcessMeteringData", (200, None)),
        (10_001, "ProcessMeteringData", (500, "0x8004c601")),
        # Without a SOAPAction the server cannot know that this is a report.
        (10_000, "", (413, "0x8004c601")),
    ],
)
def test_the_largest_report_has_a_limit_of_its_own(
    server: Server, device: Device, records: int, action: str, expected: tuple[int, str | None]
) -> None:
    (report,) = device.reports
    kids = (Kid(number.to_bytes(16, "big")) for number in range(records))
    usage = tuple(Usage(kid, "Play", 1) for kid in kids)
    body = device.seal(type(report)(report.mid, report.transaction_id, usage))
    assert len(body) > 2**20
    answer = server.post(body, SOAPAction=f'"{PROTOCOLS}/{action}"')
    assert (answer.status, answer.code) == expected
