"""Failures of the database are internal errors, and the store recovers by itself."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from rightsmanager.errors import InternalError
from rightsmanager.store.database import Store, open_store
from rightsmanager.store.schema import upgrade
from tests.postgresql import PostgreSQL
from tests.store.records import all_licenses, license_of, record

THREADS = 4
REPLY_SECONDS = 60


@pytest.fixture
def away(own_postgresql: PostgreSQL) -> Iterator[Store]:
    """Return a store on a server that the test may stop."""
    upgrade(own_postgresql.url())
    store = open_store(own_postgresql.url(), busy_seconds=0.05)
    yield store
    store.close()


def test_every_thread_uses_a_restarted_server_without_a_failure(
    own_postgresql: PostgreSQL, away: Store
) -> None:
    with threads_of(THREADS) as run:
        run(lambda number: record(away, license_of(number)))
        own_postgresql.stop()
        own_postgresql.start()
        run(lambda number: record(away, license_of(THREADS + number)))
    assert len(all_licenses(away)) == 2 * THREADS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_each_use_is_an_internal_error_while_the_server_is_away(
    own_postgresql: PostgreSQL, away: Store, number: int
) -> None:
    def refused(ordinal: int) -> None:
        with pytest.raises(InternalError, match="the store failed: OperationalError"):
            record(away, license_of(ordinal))
        with pytest.raises(InternalError, match="the store failed"), away.reading() as found:
            found.licenses.find_all()

    with threads_of(THREADS) as run:
        run(lambda ordinal: record(away, license_of(ordinal)))
        own_postgresql.stop(number)
        run(refused)
        own_postgresql.start()
        run(lambda ordinal: record(away, license_of(THREADS + ordinal)))
    assert len(all_licenses(away)) == 2 * THREADS


@contextmanager
def threads_of(count: int) -> Iterator[Callable[[Callable[[int], object]], object]]:
    """Return a function that runs another one in each of some threads, the same ones each time."""
    barrier = threading.Barrier(count)

    def at_once(function: Callable[[int], object], number: int) -> None:
        barrier.wait(REPLY_SECONDS)
        try:
            function(number)
        finally:
            barrier.wait(REPLY_SECONDS)

    with ThreadPoolExecutor(count) as pool:
        yield lambda function: list(pool.map(partial(at_once, function), range(count)))


def test_a_server_that_ends_within_a_transaction_leaves_nothing_of_it(
    own_postgresql: PostgreSQL, away: Store
) -> None:
    def broken_off() -> None:
        with away.transaction() as transaction:
            transaction.licenses.record([license_of(0)])
            (client,) = own_postgresql.clients("postgres")
            own_postgresql.execute(f"SELECT pg_terminate_backend({client}, 5000)")
            transaction.licenses.record([license_of(1)])

    with pytest.raises(InternalError, match="the store failed: AdminShutdown"):
        broken_off()
    record(away, license_of(2))
    assert [license_of(2)] == all_licenses(away)


def test_waiting_for_a_server_that_hangs_ends(own_postgresql: PostgreSQL, away: Store) -> None:
    record(away, license_of(0))
    (hanging,) = own_postgresql.clients("postgres")
    os.kill(hanging, signal.SIGSTOP)
    try:
        with pytest.raises(InternalError, match="the store failed: _WaitTimeout"):
            record(away, license_of(1))
        record(away, license_of(2))
    finally:
        os.kill(hanging, signal.SIGCONT)
    assert [license_of(0), license_of(2)] == all_licenses(away)


def test_waiting_for_a_server_that_accepts_but_never_answers_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=1"
        store = open_store(url)
        with pytest.raises(InternalError, match="the store failed: ConnectionTimeout"):
            all_licenses(store)
        store.close()


def test_connection_parameters_of_the_url_are_used(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        database_url += "?timeout=7"
    else:
        database_url += "?application_name=mine&options=-c%20statement_timeout%3D7s"
    store = open_store(database_url)
    with store.reading() as found:
        connection = found.link.cursor.connection
        if not database_url.startswith("sqlite"):
            shown = connection.execute("SHOW statement_timeout").fetchone()
            assert (shown, connection.info.get_parameters()["application_name"]) == (
                ("7s",),
                "mine",
            )
    store.close()


def await_connections(count: int, url: str, postgresql: PostgreSQL) -> None:
    """Wait until this process has so many connections: PostgreSQL closes one a bit later."""
    deadline = time.monotonic() + REPLY_SECONDS
    while (found := connections(url, postgresql)) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def connections(url: str, postgresql: PostgreSQL) -> int:
    if url.startswith("postgresql"):
        return len(postgresql.clients(url.rpartition("/")[2]))
    opened = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return opened.count(Path(url.removeprefix("sqlite:///")))


def test_a_thread_that_ends_closes_its_connection(
    store: Store, database_url: str, postgresql: PostgreSQL
) -> None:
    record(store, license_of(0))
    for number in range(1, 6):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(record, store, license_of(number)).result()
    # SQLite keeps one open file for the next connection: closing it would release all locks.
    await_connections(2 if database_url.startswith("sqlite") else 1, database_url, postgresql)


def test_a_closed_store_has_no_connections_and_opens_new_ones(
    store: Store, database_url: str, postgresql: PostgreSQL
) -> None:
    with threads_of(THREADS) as run:
        run(lambda number: record(store, license_of(number)))
        await_connections(THREADS, database_url, postgresql)
        store.close()
        await_connections(0, database_url, postgresql)
        run(lambda number: record(store, license_of(THREADS + number)))
    assert len(all_licenses(store)) == 2 * THREADS


_SHARED: list[Store] = []


def _record_in_a_fork(number: int) -> None:
    record(_SHARED[0], license_of(number))


def test_a_forked_process_has_connections_of_its_own(store: Store) -> None:
    record(store, license_of(0))
    _SHARED.append(store)
    fork = get_context("fork")
    processes = [fork.Process(target=_record_in_a_fork, args=(number,)) for number in (1, 2)]
    for process in processes:
        process.start()
    record(store, license_of(3))
    for process in processes:
        process.join()
    _SHARED.clear()
    assert [process.exitcode for process in processes] == [0, 0]
    record(store, license_of(4))
    assert all_licenses(store) == [license_of(number) for number in range(5)]


FULL = {
    "sqlite": ("PRAGMA max_page_count=100", "CREATE TABLE large AS SELECT zeroblob(2000000)"),
    "postgresql": (
        "SET LOCAL temp_file_limit=64",
        "SELECT 1 FROM generate_series(1, 500000) AS n ORDER BY -n",
    ),
}
"""A statement that limits the space of each database, and one that needs more."""


def test_a_full_disk_is_an_internal_error_and_loses_nothing(
    store: Store, database_url: str
) -> None:
    record(store, license_of(0))
    limit, large = FULL[database_url.partition(":")[0]]

    def too_much() -> None:
        with store.transaction() as transaction:
            transaction.licenses.record([license_of(1)])
            transaction.link.cursor.execute(limit)
            transaction.link.cursor.execute(large)

    with pytest.raises(InternalError, match=r"the store failed: (Operational|Config)"):
        too_much()
    record(store, license_of(2))
    assert [license_of(0), license_of(2)] == all_licenses(store)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@127.0.0.1:1/x",
        "postgresql://user:s3cret@127.0.0.1:x/x",
        "postgresql://user:s3cret@127.0.0.1:1/x?sslmode=none",
        "postgresql://user:s3cret@127.0.0.1:1/x?nothing=none",
        "postgresql://user:s3cret@127.0.0.1:1/x?password=s3cret&host=%2Fnone",
        "mysql://user:s3cret@127.0.0.1:1/x",
        "sqlite://user:s3cret@127.0.0.1:1/x",
    ],
)
def test_no_password_is_in_any_text(url: str) -> None:
    for use in (lambda: all_licenses(open_store(url)), lambda: upgrade(url)):
        with pytest.raises(InternalError) as refused:
            use()
        error: BaseException | None = refused.value
        while error is not None:
            assert "s3cret" not in str(error)
            assert "s3cret" not in repr(error)
            error = error.__cause__
