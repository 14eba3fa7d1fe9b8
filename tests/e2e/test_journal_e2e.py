"""The journal of a running server: everything answered is found, or counted as missing."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from rightsmanager.journal.journal import Journal, open_journal
from rightsmanager.store.journal.entries import Accounting, Filter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

KID = "4Rplb+TbNES8tGkNFWTEHA=="
CLIENTS = 4
CHALLENGES = 100
KILLS = 6
DEADLINE_SECONDS = 60


def journal_of(server: Server) -> Journal:
    return open_journal(server.data, server.database_url)


def find_request(server: Server, request_id: str) -> int:
    """Return the id of the entry of a request."""
    journal = journal_of(server)
    assert journal.settle(DEADLINE_SECONDS)
    (entry,) = journal.find(Filter(text=request_id)).entries
    return entry.id


@pytest.fixture(scope="module")
def recording(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start(tmp_path_factory.mktemp("journal") / "data", "--workers", "2")


def test_a_request_is_found_by_the_id_of_its_reply(
    recording: Server, enrol: Enrol, header_of: HeaderOf
) -> None:
    body = enrol(recording.data).challenge(header_of(KID), custom_data="<script>x</script>")
    answer = recording.post(
        body, "/rightsmanager.asmx?cfg=(sl:150)", X_Request_Id="of-the-player-1", User_Agent="tv/1"
    )
    assert answer.headers["X-Request-Id"] == "of-the-player-1"
    stored = journal_of(recording).get(find_request(recording, "of-the-player-1"))
    assert stored is not None
    entry = stored.entry
    assert (stored.request, stored.reply) == (body, answer.body)
    assert (entry.outcome, entry.operation, entry.http_status) == ("ok", "AcquireLicense", 200)
    assert (entry.query, entry.custom_data) == ("cfg=(sl:150)", "<script>x</script>")
    assert (entry.user_agent, entry.client) == ("tv/1", "127.0.0.1")
    assert list(entry.stages_ms) == ["read", "verify", "decide", "record", "seal"]
    assert int(entry.worker.partition("-")[0]) in recording.workers()


def test_a_refusal_has_its_text_and_stage(
    recording: Server, enrol: Enrol, header_of: HeaderOf
) -> None:
    client = enrol(recording.data, security_level=150)
    answer = recording.post(
        client.challenge(header_of(KID)),
        "/rightsmanager.asmx?cfg=(sl:3000)",
        X_Request_Id="too-low-1",
    )
    assert answer.code == "0x8004c604"
    stored = journal_of(recording).get(find_request(recording, "too-low-1"))
    assert stored is not None
    entry = stored.entry
    assert (entry.outcome, entry.failed, entry.stage) == (
        "0x8004c604",
        "ServiceSpecific",
        "decide",
    )
    assert "needs security level 3000" in str(entry.reason)
    assert entry.device == client.device.chain.leaf.device_id


def test_content_keys_are_neither_in_the_journal_nor_in_its_file(
    recording: Server, enrol: Enrol, header_of: HeaderOf
) -> None:
    key = "ZbQ1mXkT9uEw7RcYp0sVhA=="
    client = enrol(recording.data)
    for number, (query, custom_data) in enumerate(
        ((f"?cfg=(contentkey:{key})", None), ("", f'{{"contentkey":"{key}"}}'))
    ):
        body = client.challenge(header_of(KID), custom_data=custom_data)
        target = f"/rightsmanager.asmx{query}"
        recording.post(body, target, X_Request_Id=f"with-a-key-{number}")
        stored = journal_of(recording).get(find_request(recording, f"with-a-key-{number}"))
        assert stored is not None
        assert stored.entry.is_masked
        assert stored.entry.has_request == (custom_data is None)
    file = journal_of(recording).database.file
    if file is not None:
        written = b"".join(each.read_bytes() for each in file.parent.glob("journal.db*"))
        assert key.encode() not in written
    assert key not in recording.log.read_text()


def test_only_faults_are_recorded_where_only_they_are_wanted(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_JOURNAL__RECORD="faults")
    body = enrol(server.data).challenge(header_of(KID))
    assert server.post(body, X_Request_Id="good-1").status == 200
    assert server.post(b"junk", X_Request_Id="junk-1").status == 500
    assert server.stop() == 0
    journal = journal_of(server)
    assert [each.request_id for each in journal.find().entries] == ["junk-1"]


def test_a_journal_that_is_off_makes_nothing(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_JOURNAL__RECORD="off")
    server.post(b"junk")
    assert server.stop() == 0
    assert not (server.data / "journal.db").exists()
    assert not (server.data / "journal").exists()


def test_a_deleted_journal_costs_no_licence(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data", "--workers", "2")
    client = enrol(server.data)
    for number in range(3):
        body = client.challenge(header_of(KID))
        assert server.post(body, X_Request_Id=f"deleted-{number}").status == 200
        assert journal_of(server).settle(DEADLINE_SECONDS)
        for file in server.data.glob("journal*"):
            if file.is_file():
                file.unlink()
    assert len(server.issued()) == 3


def test_a_locked_journal_costs_no_licence(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data")
    client = enrol(server.data)
    journal = journal_of(server)
    assert server.post(client.challenge(header_of(KID)), X_Request_Id="first").status == 200
    assert journal.settle(DEADLINE_SECONDS)
    with locked(journal):
        for _ in range(5):
            assert server.post(client.challenge(header_of(KID))).status == 200
        assert journal.accounting().waiting == 5
    assert journal.settle(DEADLINE_SECONDS)
    assert journal.accounting() == Accounting(6, 6)


@contextmanager
def locked(journal: Journal) -> Iterator[None]:
    """Keep all writers of a journal waiting."""
    writer = journal.database.open_writer()
    cursor = writer._cursor
    cursor.execute("BEGIN IMMEDIATE" if journal.database.file else "BEGIN")
    cursor.execute("UPDATE journal_state SET last_id = last_id")
    try:
        yield
    finally:
        cursor.execute("ROLLBACK")
        writer.close()


# --- kills ----------------------------------------------------------------------------------------


@dataclass
class Load:
    """Clients that send requests, each with its own id, and note the answers."""

    server: Server
    bodies: Sequence[bytes]
    count: int
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """The number of the body, and the reply, by request id."""
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        clients = [threading.Thread(target=self._send_all) for _ in range(CLIENTS)]
        for each in clients:
            each.start()
        for kill in range(1, KILLS + 1):
            self._wait_for(kill * self.count // (KILLS + 1))
            self._kill()
        for each in clients:
            each.join()

    def _wait_for(self, number: int) -> None:
        until = time.monotonic() + 10 * DEADLINE_SECONDS
        while self._next < number:
            assert time.monotonic() < until
            time.sleep(0.01)

    def _kill(self) -> None:
        workers = self.server.workers()
        if workers:
            try:
                os.kill(workers[0], signal.SIGKILL)
            except ProcessLookupError:
                return

    def _take(self) -> int | None:
        with self._lock:
            self._next += 1
            return self._next if self._next <= self.count else None

    def _send_all(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while (number := self._take()) is not None:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            try:
                self._send(connection, number)
            except (OSError, http.client.HTTPException):
                # Its worker was killed; the request is not sent again.
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _send(self, connection: http.client.HTTPConnection, number: int) -> None:
        which = number % len(self.bodies)
        headers = {"Content-Type": "text/xml", "X-Request-Id": f"load-{number}"}
        connection.request("POST", "/rightsmanager.asmx", self.bodies[which], headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        self.answers[f"load-{number}"] = (which, body)


def test_after_kills_each_answer_is_recorded_or_counted(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    server = start(tmp_path / "data", "--workers", "2", RIGHTSMANAGER_LOG__LEVEL="warning")
    client: Client = enrol(server.data)
    bodies = [client.challenge(header_of(KID)) for _ in range(CHALLENGES)]
    count = 10_000 if server.database_url.startswith("sqlite") else 2_000
    load = Load(server, bodies, count)
    load.run()
    assert server.stop() == 0
    assert len(load.answers) > count - 100 * KILLS
    # Each answered licence is in the store, whatever was killed.
    assert len(server.issued()) == len(bodies)

    journal = journal_of(server)
    counts = journal.accounting()
    found = {each.entry.request_id: each for each in journal.stored()}
    assert counts.waiting == 0
    assert counts.written == len(found) == len(journal.find(limit=2 * count).entries)
    assert counts.accepted == counts.written + counts.dropped + counts.lost
    missing = load.answers.keys() - found.keys()
    assert len(missing) <= counts.dropped + counts.lost
    # What is recorded is whole.
    for request_id, stored in found.items():
        assert stored.entry.outcome == "ok"
        assert len(stored.reply) == stored.entry.bytes_out
        assert stored.request == bodies[int(request_id[5:]) % len(bodies)]
        if request_id in load.answers:
            assert stored.reply == load.answers[request_id][1]
    print(f"\n{len(load.answers)} answered, {counts}")  # noqa: T201 -- shown by pytest -s
