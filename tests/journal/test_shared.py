"""One writer for many journals."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rightsmanager.journal.journal import Journal
from rightsmanager.journal.recorder import RecorderOptions
from rightsmanager.journal.shared import SharedRecorder, SharedWriter
from rightsmanager.store.journal.database import JournalDatabase
from rightsmanager.store.journal.entries import Accounting
from tests.journal.conftest import exchange, wait_until

NOTES: list[str] = []


@pytest.fixture
def writer() -> Iterator[SharedWriter]:
    """A writer that keeps two connections."""
    made = SharedWriter(2)
    yield made
    made.close()


def make(writer: SharedWriter, folder: Path) -> tuple[SharedRecorder, Journal]:
    folder.mkdir()
    database = JournalDatabase.in_file(folder / "journal.db")
    options = RecorderOptions(folder=folder / "counts")
    recorder = SharedRecorder(database, options, lambda what, _: NOTES.append(what), writer)
    return recorder, Journal(database, folder / "counts")


def ids(journal: Journal) -> list[str]:
    return [each.request_id for each in journal.find(limit=1000).entries][::-1]


def test_each_journal_gets_its_own_entries(tmp_path: Path, writer: SharedWriter) -> None:
    made = [make(writer, tmp_path / str(number)) for number in range(5)]
    for round_ in range(3):
        for number, (recorder, _) in enumerate(made):
            recorder(exchange(request_id=f"{number}.{round_}"))
    for number, (recorder, journal) in enumerate(made):
        assert journal.settle(30)
        assert ids(journal) == [f"{number}.{round_}" for round_ in range(3)]
        assert journal.accounting() == Accounting(3, 3)
        assert recorder.waiting == 0


def test_closing_stores_what_waits(tmp_path: Path, writer: SharedWriter) -> None:
    recorder, journal = make(writer, tmp_path / "a")
    for number in range(600):
        recorder(exchange(request_id=str(number)))
    recorder.close()
    assert len(ids(journal)) == 600
    assert list((tmp_path / "a" / "counts").iterdir()) == []
    recorder.close()


def test_a_discarded_journal_is_not_written(tmp_path: Path, writer: SharedWriter) -> None:
    recorder, _ = make(writer, tmp_path / "a")
    recorder(exchange())
    recorder.end(is_discarded=True)
    recorder.close()
    assert list((tmp_path / "a" / "counts").iterdir()) == []


def test_a_recorder_that_has_ended_is_not_written_again(
    tmp_path: Path, writer: SharedWriter
) -> None:
    NOTES.clear()
    recorder, journal = make(writer, tmp_path / "a")
    recorder(exchange(request_id="kept"))
    recorder.close()
    assert not recorder.write()
    assert (ids(journal), NOTES) == (["kept"], [])


def test_a_recorder_that_was_never_used_closes_at_once(
    tmp_path: Path, writer: SharedWriter
) -> None:
    recorder, _ = make(writer, tmp_path / "a")
    recorder.close()
    assert not (tmp_path / "a" / "counts").exists()


def test_a_journal_that_cannot_be_written_does_not_stop_the_others(
    tmp_path: Path, writer: SharedWriter
) -> None:
    NOTES.clear()
    broken, _ = make(writer, tmp_path / "broken")
    (tmp_path / "broken" / "journal.db").mkdir()
    good, journal = make(writer, tmp_path / "good")
    broken(exchange(request_id="lost"))
    good(exchange(request_id="kept"))
    wait_until(lambda: ids(journal) == ["kept"])
    wait_until(lambda: broken.waiting == 0)
    assert any("dropped" in note for note in NOTES)
