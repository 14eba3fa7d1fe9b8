"""Statements on a busy SQLite database are retried, and its WAL is checkpointed."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rightsmanager.store.sqlite import (
    FIRST_PAUSE,
    MAX_PAUSE,
    BusyRetryConnection,
    BusyRetryCursor,
    checkpoint_wal,
)

SECONDS = 0.25
INSERT = "INSERT INTO a VALUES (1)"


class Passing:
    """A clock that only sleeping advances, and a function that runs during each sleep."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.meanwhile()


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    passing = Passing()
    monkeypatch.setattr(time, "monotonic", passing.monotonic)
    monkeypatch.setattr(time, "sleep", passing.sleep)
    return passing


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return another connection, within a writing transaction."""
    connection = sqlite3.connect(tmp_path / "file", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE a (b)")
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.fixture
def cursor(tmp_path: Path, other: sqlite3.Connection) -> Iterator[BusyRetryCursor]:
    del other
    connection = sqlite3.connect(
        tmp_path / "file", timeout=0, isolation_level=None, factory=BusyRetryConnection
    )
    connection.busy_seconds = SECONDS
    yield connection.cursor()
    connection.close()


def test_a_write_runs_as_soon_as_the_other_one_is_committed(
    cursor: BusyRetryCursor, other: sqlite3.Connection, passing: Passing
) -> None:
    passing.meanwhile = other.commit
    assert cursor.execute(INSERT) is cursor
    assert passing.pauses == [FIRST_PAUSE]
    assert cursor.execute("SELECT b FROM a").fetchall() == [(1,)]


def test_it_gives_up_when_its_time_is_over(cursor: BusyRetryCursor, passing: Passing) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        cursor.execute(INSERT)
    assert SECONDS < sum(passing.pauses) < SECONDS + MAX_PAUSE
    assert passing.pauses == sorted(passing.pauses)


def test_a_read_does_not_wait(cursor: BusyRetryCursor, passing: Passing) -> None:
    assert cursor.execute("SELECT b FROM a").fetchall() == []
    assert passing.pauses == []


@pytest.mark.parametrize("sql", ["SELECT nothing FROM nowhere", "?"])
def test_any_other_failure_is_raised_at_once(
    cursor: BusyRetryCursor, passing: Passing, sql: str
) -> None:
    with pytest.raises(sqlite3.OperationalError):
        cursor.execute(sql)
    assert passing.pauses == []


def test_a_retry_may_fail_for_another_reason(
    cursor: BusyRetryCursor, other: sqlite3.Connection, passing: Passing
) -> None:
    def drop() -> None:
        other.execute("DROP TABLE a")
        other.commit()

    passing.meanwhile = drop
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        cursor.execute(INSERT)
    assert len(passing.pauses) == 1


def test_a_checkpoint_lets_the_wal_start_from_its_beginning(
    cursor: BusyRetryCursor, other: sqlite3.Connection, tmp_path: Path
) -> None:
    other.execute(INSERT)
    other.commit()
    checkpoint_wal(cursor)
    log = tmp_path / "file-wal"
    before = log.stat().st_size
    other.execute(INSERT)
    assert log.stat().st_size == before
    assert cursor.execute("SELECT count(*) FROM a").fetchall() == [(2,)]


def test_a_checkpoint_leaves_a_wal_that_others_write_to(
    cursor: BusyRetryCursor, other: sqlite3.Connection, passing: Passing
) -> None:
    other.execute(INSERT)
    checkpoint_wal(cursor)
    other.commit()
    assert cursor.execute("SELECT count(*) FROM a").fetchall() == [(1,)]
    assert cursor.execute("PRAGMA busy_timeout").fetchall() == [(0,)]
    assert passing.pauses == []
