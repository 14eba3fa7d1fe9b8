"""The journal of a server whose disk is full, whose journal is locked, and of two servers."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from rightsmanager.store.journal.entries import Accounting, Filter
from tests.databases import on_sqlite
from tests.e2e.conftest import REPLY_SECONDS
from tests.e2e.test_journal_e2e import KID, journal_of, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

MAX_QUEUE = 5
"""The most entries that wait in each worker of `limited`."""
MAX_REPLY_SECONDS = 4.0
"""Less than the shortest wait for a lock: no reply waits for one."""


@pytest.fixture(scope="module")
def limited(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    data = tmp_path_factory.mktemp("limited") / "data"
    return start(data, "--workers", "2", RIGHTSMANAGER_JOURNAL__MAX_QUEUE=str(MAX_QUEUE))


@pytest.fixture(scope="module")
def player(limited: Server, enrol: Enrol) -> Client:
    return enrol(limited.data)


def wait_until(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + REPLY_SECONDS
    while not is_true():
        assert time.monotonic() < until, "still not true"
        time.sleep(0.02)


def test_beyond_the_queue_of_a_locked_journal_entries_are_dropped_and_counted(
    limited: Server, player: Client, header_of: HeaderOf
) -> None:
    journal = journal_of(limited)
    header, spent = header_of(KID), []
    limited.all_workers(2)
    assert limited.post(player.challenge(header)).status == 200
    assert journal.settle(REPLY_SECONDS)
    before = journal.accounting()
    with locked(journal):
        while journal.accounting().dropped < before.dropped + 3:
            body = player.challenge(header)
            begun = time.perf_counter()
            assert limited.post(body).status == 200
            spent.append(time.perf_counter() - begun)
            assert len(spent) < 100
        # A writer that was refused keeps its batch, and tries again.
        wait_until(lambda: "the journal" in limited.log.read_text())
        assert journal.accounting().written == before.written
    assert max(spent) < MAX_REPLY_SECONDS
    assert journal.settle(REPLY_SECONDS)
    counts = journal.accounting()
    assert counts.accepted == before.accepted + len(spent) == counts.written + counts.dropped
    text = limited.call("GET", "/metrics").body.decode()
    assert f"rightsmanager_journal_dropped_total {float(counts.dropped)}" in text
    print(f"\n{len(spent)} licences, {1000 * max(spent):.1f} ms at most, {counts}")  # noqa: T201


@on_sqlite
def test_on_a_full_disk_requests_are_answered_and_recorded_later(
    limited: Server, player: Client, header_of: HeaderOf
) -> None:
    journal, header = journal_of(limited), header_of(KID)
    assert journal.settle(REPLY_SECONDS)
    before = journal.accounting()
    with no_space(limited):
        answer = limited.post(player.challenge(header), X_Request_Id="full-1")
        assert (answer.status, answer.code) == (500, "0x8004c600")
        assert limited.call("GET", "/livez").status == 200
        assert limited.call("GET", "/console/journal").status == 200
        assert journal.accounting().waiting == 1
    assert limited.post(player.challenge(header), X_Request_Id="full-2").status == 200
    assert journal.settle(REPLY_SECONDS)
    assert journal.accounting() == Accounting(
        before.accepted + 2, before.written + 2, before.dropped
    )
    (entry,) = journal.find(Filter(text="full-1")).entries
    assert (entry.outcome, entry.failed) == ("0x8004c600", "StoreFailed")


@contextmanager
def no_space(server: Server) -> Iterator[None]:
    """Let no worker write to a file, its log included."""
    workers = server.all_workers(2)
    usual = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in workers]
    for pid, (_, most) in zip(workers, usual, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        for pid, limits in zip(workers, usual, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_two_servers_write_one_journal(
    limited: Server, player: Client, header_of: HeaderOf, start: Start
) -> None:
    journal, header = journal_of(limited), header_of(KID)
    assert journal.settle(REPLY_SECONDS)
    before = journal.accounting().written
    second = start(limited.data, "--workers", "2")
    for number in range(20):
        server = (limited, second)[number % 2]
        body = player.challenge(header)
        assert server.post(body, X_Request_Id=f"two-{number}").status == 200
        assert number % 4 or journal.settle(REPLY_SECONDS)
    assert journal.settle(REPLY_SECONDS)
    found = journal.find(Filter(text="two-")).entries
    assert {each.request_id for each in found} == {f"two-{number}" for number in range(20)}
    assert second.stop() == 0
    # The counts of the server that still runs are not those of a killed one.
    assert limited.post(player.challenge(header)).status == 200
    assert journal.settle(REPLY_SECONDS)
    counts = journal.accounting()
    assert (counts.written, counts.lost, counts.waiting) == (before + 21, 0, 0)
    text = limited.call("GET", "/metrics").body.decode()
    assert f"rightsmanager_journal_written_total {before + 21}.0" in text
