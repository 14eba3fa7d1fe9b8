"""The recorder: nothing waits for it, and everything it accepted is accounted for."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.exchange import Exchange
from rightsmanager.journal import recorder as recorder_module
from rightsmanager.journal.building import Act, EntryBuilder
from rightsmanager.journal.counts import SUFFIX, CountFile, read_counts
from rightsmanager.journal.journal import Journal
from rightsmanager.store.journal.database import open_file
from rightsmanager.store.journal.entries import Accounting, Filter, PendingEntry
from rightsmanager.store.journal.writing import Limits
from tests.databases import execute
from tests.journal.conftest import Journals, exchange, wait_until


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr("rightsmanager.store.journal.database.BUSY_SECONDS", 0.1)


def ids(journals: Journals, wanted: Filter | None = None) -> list[str]:
    """Return the request ids of the journal's entries, oldest first."""
    return [each.request_id for each in journals.journal.find(wanted, 10_000).entries][::-1]


def record(journals: Journals, *names: str, **options: object) -> None:
    """Record requests with a recorder of its own, which ends."""
    recorder = journals.recorder(**options)
    for name in names:
        recorder(exchange(request_id=name))
    recorder.close()


def test_recorded_requests_are_found_with_their_bodies(journals: Journals) -> None:
    record(journals, "a", "b", "c")
    assert ids(journals) == ["a", "b", "c"]
    newest = journals.journal.find(limit=1).entries[0]
    stored = journals.journal.get(newest.id)
    assert stored is not None
    assert (stored.request, stored.reply) == (b"<request/>", b"<reply/>")
    assert journals.journal.accounting() == Accounting(3, 3)
    assert list(journals.folder.iterdir()) == []
    assert journals.notes == []


def test_the_file_is_for_its_owner_alone(in_file: Journals) -> None:
    record(in_file, "a")
    assert in_file.database.file is not None
    assert in_file.database.file.stat().st_mode & 0o777 == 0o600


def test_other_processes_see_entries_after_this_one_closed_a_second_writer(
    in_file: Journals,
) -> None:
    recorder = in_file.recorder()
    recorder(exchange(request_id="before"))
    assert in_file.journal.settle(30)
    assert in_file.journal.clear() == 1
    assert in_file.database.file is not None
    look = f"import sqlite3; print(*sqlite3.connect({str(in_file.database.file)!r}).execute("
    look += "'SELECT count(*) FROM journal_entries').fetchone())"
    # SQLite deletes the log of the last connection that closes, which this one is not.
    assert subprocess.check_output([sys.executable, "-c", look]) == b"0\n"
    recorder(exchange(request_id="after"))
    assert in_file.journal.settle(30)
    assert subprocess.check_output([sys.executable, "-c", look]) == b"1\n"


def test_entries_are_written_while_the_process_runs(journals: Journals) -> None:
    recorder = journals.recorder()
    for round_ in range(3):
        recorder(exchange(request_id=str(round_)))
        assert journals.journal.settle(30)
    assert ids(journals) == ["0", "1", "2"]
    assert recorder.waiting == 0


def test_faults_only_leaves_out_the_others(journals: Journals) -> None:
    recorder = journals.recorder(faults_only=True)
    recorder(exchange(request_id="good"))
    recorder(exchange(request_id="bad", refusal=InvalidMessage("no")))
    recorder.record_act(Act("token.revoke", "t", "o"))
    recorder.close()
    assert ids(journals) == ["bad", ""]
    assert journals.journal.accounting().accepted == 2


def test_threads_lose_no_count(in_file: Journals) -> None:
    recorder = in_file.recorder()

    def record_some() -> None:
        for _ in range(500):
            recorder(exchange())

    threads = [threading.Thread(target=record_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    assert in_file.journal.accounting() == Accounting(2000, 2000)


def test_entries_beyond_the_queue_are_dropped_and_counted(
    in_file: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "BATCH_SECONDS", 0.5)
    recorder = in_file.recorder(max_queue=3)
    for number in range(10):
        recorder(exchange(request_id=str(number)))
    recorder.close()
    assert ids(in_file) == ["0", "1", "2"]
    assert in_file.journal.accounting() == Accounting(10, 3, 7)


def test_large_bodies_do_not_fill_the_memory(
    in_file: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "BATCH_SECONDS", 0.5)
    recorder = in_file.recorder(max_body=1024, max_queue_bytes=5000)
    for number in range(10):
        recorder(exchange(request_id=str(number), request=bytes(6 << 20)))
    recorder.close()
    assert ids(in_file) == ["0", "1", "2", "3"]
    first = in_file.journal.find(limit=1).entries[0]
    assert (first.bytes_in, first.is_request_cut) == (6 << 20, True)
    assert in_file.journal.accounting().dropped == 6


def test_a_locked_journal_is_written_once_it_is_free(in_file: Journals) -> None:
    record(in_file, "before")
    assert in_file.database.file is not None
    other = sqlite3.connect(in_file.database.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    recorder = in_file.recorder()
    recorder(exchange(request_id="during"))
    wait_until(lambda: bool(in_file.notes))
    recorder(exchange(request_id="later"))
    other.execute("ROLLBACK")
    other.close()
    assert in_file.journal.settle(30)
    assert ids(in_file) == ["before", "during", "later"]
    # The log has a line a minute, however often it is tried.
    assert len(in_file.notes) == 1


def test_a_journal_that_stays_locked_is_given_up_when_the_process_ends(in_file: Journals) -> None:
    record(in_file, "before")
    assert in_file.database.file is not None
    other = sqlite3.connect(in_file.database.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    recorder = in_file.recorder()
    recorder(exchange(request_id="during"))
    recorder.close()
    other.execute("ROLLBACK")
    other.close()
    assert in_file.journal.accounting() == Accounting(2, 1, 1)


def test_a_deleted_file_is_made_again(in_file: Journals) -> None:
    recorder = in_file.recorder()
    recorder(exchange(request_id="lost with the file"))
    assert in_file.journal.settle(30)
    for file in in_file.database.file.parent.glob("journal.db*"):  # type: ignore[union-attr]
        file.unlink()
    recorder(exchange(request_id="after"))
    wait_until(lambda: ids(in_file) == ["after"])
    recorder.close()
    assert in_file.journal.accounting() == Accounting(2, 2)


def test_entries_of_a_deleted_file_neither_wait_nor_are_lost(in_file: Journals) -> None:
    first, second = in_file.recorder(), in_file.recorder()
    first(exchange(request_id="lost with the file"))
    assert in_file.journal.settle(30)
    for file in in_file.database.file.parent.glob("journal.db*"):  # type: ignore[union-attr]
        file.unlink()
    second(exchange(request_id="after"))
    wait_until(lambda: ids(in_file) == ["after"])
    assert in_file.journal.accounting() == Accounting(2, 2)
    for each in (first, second):
        each.close()
        assert in_file.journal.accounting() == Accounting(2, 2)


def test_a_damaged_file_is_set_aside(in_file: Journals) -> None:
    file = in_file.database.file
    assert file is not None
    file.write_bytes(b"this is not a database, but long enough to be read as one" * 100)
    record(in_file, "after")
    assert ids(in_file) == ["after"]
    assert Path(f"{file}.damaged").read_bytes().startswith(b"this is not a database")
    assert len(in_file.notes) == 1


def test_a_full_disk_is_waited_for(in_file: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    full = [True]

    def open_full(file: Path) -> sqlite3.Connection:
        connection = open_file(file)
        if full[0]:
            connection.execute("PRAGMA max_page_count=20").fetchall()
        return connection

    monkeypatch.setattr("rightsmanager.store.journal.database.open_file", open_full)
    recorder = in_file.recorder()
    recorder(exchange(request_id="large", request=bytes(100_000), reply=bytes(100_000)))
    recorder(exchange(request_id="small"))
    wait_until(lambda: bool(in_file.notes))
    full[0] = False
    assert in_file.journal.settle(30)
    assert ids(in_file) == ["large", "small"]
    assert in_file.journal.accounting() == Accounting(2, 2)


def test_a_missing_folder_costs_counts_and_entries_only(in_file: Journals, tmp_path: Path) -> None:
    # Below a file, even root cannot make a folder.
    (tmp_path / "file").write_text("")
    in_file.folder = tmp_path / "file" / "counts"
    recorder = in_file.recorder()
    recorder(exchange(request_id="a"))
    recorder.close()
    assert ids(in_file) == ["a"]


def test_an_entry_that_cannot_be_stored_does_not_hold_up_the_others(journals: Journals) -> None:
    recorder = journals.recorder()
    recorder(exchange(request_id="good"))
    recorder(exchange(request_id="odd")._replace(http_status="none"))
    recorder(exchange(request_id="huge")._replace(http_status="999 "))
    recorder(exchange(request_id="too long", CONTENT_LENGTH="999999999"))
    recorder(exchange(request_id="last"))
    recorder.close()
    assert ids(journals) == ["good", "huge", "too long", "last"]
    assert journals.journal.accounting() == Accounting(5, 4, 1)


def test_an_entry_that_the_database_refuses_is_dropped(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = EntryBuilder.build

    def build_odd(builder: EntryBuilder, given: Exchange, at: int) -> PendingEntry:
        built = build(builder, given, at)
        is_odd = built.columns[2] == "odd"
        return built._replace(columns=(None, *built.columns[1:])) if is_odd else built

    monkeypatch.setattr(EntryBuilder, "build", build_odd)
    record(journals, "good", "odd", "last")
    assert ids(journals) == ["good", "last"]
    assert journals.journal.accounting() == Accounting(3, 2, 1)


def test_a_database_that_is_away_loses_nothing(journals: Journals) -> None:
    recorder = journals.recorder()
    recorder(exchange(request_id="before"))
    assert journals.journal.settle(30)
    if journals.database.file is None:
        execute(
            journals.database.url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    recorder(exchange(request_id="after"))
    assert journals.journal.settle(30)
    assert ids(journals) == ["before", "after"]


def test_old_entries_are_removed(journals: Journals) -> None:
    record(journals, *map(str, range(30)))
    record(journals, "last", limits=Limits(entries=10))
    assert ids(journals) == [*map(str, range(21, 30)), "last"]
    assert journals.journal.accounting() == Accounting(31, 31)


# --- processes ------------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from rightsmanager.hooks.exchange import Exchange
from rightsmanager.journal import recorder
from rightsmanager.store.journal.database import JournalDatabase
from tests.journal.conftest import exchange
file, folder, name, count, pause = sys.argv[1:]
recorder.BATCH_SECONDS = float(pause)
made = recorder.Recorder(
    JournalDatabase.in_file(Path(file)), recorder.RecorderOptions(folder=Path(folder)), print
)
for number in range(int(count)):
    made(exchange(request_id=f"{name}-{number}"))
print("accepted", flush=True)
sys.stdin.read()
"""


def start_writer(
    journals: Journals, name: str, count: int, pause: float
) -> "subprocess.Popen[str]":
    assert journals.database.file is not None
    arguments = (journals.database.file, journals.folder, name, count, pause)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "accepted\n"
    return writer


def test_two_processes_write_one_journal(in_file: Journals) -> None:
    writers = [start_writer(in_file, name, 300, 0.01) for name in ("a", "b")]
    for writer in writers:
        writer.communicate("")
        assert writer.returncode == 0
    found = ids(in_file)
    assert sorted(found) == sorted(f"{name}-{each}" for name in "ab" for each in range(300))
    numbers = [each.id for each in in_file.journal.find(limit=1000).entries]
    assert numbers == list(range(600, 0, -1))
    assert in_file.journal.accounting() == Accounting(600, 600)


def test_the_queue_of_another_host_is_not_lost(in_file: Journals, tmp_path: Path) -> None:
    writer = start_writer(in_file, "a", 600, 0.01)
    wait_until(lambda: len(ids(in_file)) == 600)
    elsewhere = Journal(in_file.database, tmp_path / "another host")
    assert elsewhere.accounting() == Accounting(600, 600)
    writer.communicate("")
    assert elsewhere.accounting() == Accounting(600, 600)


def test_entries_of_a_killed_process_are_counted_as_lost(in_file: Journals) -> None:
    writer = start_writer(in_file, "a", 40, 60)
    assert in_file.journal.accounting() == Accounting(40, waiting=40)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    lost = Accounting(40, lost=40)
    assert in_file.journal.accounting() == lost
    # The next process stores the count and removes the file.
    record(in_file, "next")
    assert list(in_file.folder.iterdir()) == []
    assert in_file.journal.accounting() == Accounting(41, 1, lost=40)


def test_a_forked_process_writes_its_own_entries(in_file: Journals) -> None:
    recorder = in_file.recorder()
    recorder(exchange(request_id="parent"))
    child = os.fork()
    if not child:
        recorder(exchange(request_id="child"))
        recorder.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    recorder.close()
    assert sorted(ids(in_file)) == ["child", "parent"]
    assert in_file.journal.accounting() == Accounting(2, 2)


def test_a_forked_process_does_not_hide_that_its_parent_has_ended(
    in_file: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parent does not write its entry.
    monkeypatch.setattr(recorder_module, "BATCH_SECONDS", 3600)
    recorder = in_file.recorder()
    read, write = os.pipe()
    parent = os.fork()
    if not parent:
        recorder(exchange(request_id="lost"))
        if not os.fork():
            os.close(write)
            os.read(read, 1)
        os._exit(0)
    assert os.waitpid(parent, 0)[1] == 0
    try:
        wait_until(lambda: in_file.journal.accounting() == Accounting(accepted=1, lost=1))
    finally:
        # The child's child ends.
        os.close(write)
        os.close(read)


def test_counts_are_kept_in_their_file_although_a_reader_looks_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, reader = fcntl.flock, os.open(tmp_path / f"1-a{SUFFIX}", os.O_RDONLY | os.O_CREAT)
    lock(reader, fcntl.LOCK_SH)

    def lock_later(opened: int, kind: int) -> None:
        if not kind & fcntl.LOCK_NB:
            # The reader ends while this one waits.
            os.close(reader)
        lock(opened, kind)

    monkeypatch.setattr(fcntl, "flock", lock_later)
    counts = CountFile(tmp_path, "1-a")
    counts.accept()
    assert [each.accepted for each in read_counts(tmp_path)] == [1]
    counts.end(is_stored=True)
