"""The worker that has the fewest connections is to have the next one."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from rightsmanager.serving import worker as worker_module
from rightsmanager.serving.connection import Connection
from rightsmanager.serving.framing import RequestBuffer
from rightsmanager.serving.worker import (
    ACCEPT_BACKOFF,
    ConnectionCounts,
    Worker,
    cache_config,
    clear_count,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS, THEIRS = 1, 2


class Passing:
    """A clock that only sleeping moves, and what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> ConnectionCounts:
    connections = ConnectionCounts()
    monkeypatch.setattr(worker_module, "CONNECTION_COUNTS", connections)
    return connections


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    passing = Passing()
    monkeypatch.setattr(time, "monotonic", lambda: passing.now)
    monkeypatch.setattr(time, "sleep", passing.sleep)
    return passing


@pytest.fixture
def worker(connections: ConnectionCounts) -> Worker:
    """A worker that takes connections and has none."""
    worker = Worker.__new__(Worker)
    worker.age = OURS
    worker._accepting = True
    worker.nr_conns = 0
    assert connections.find_fewest() == 0
    return worker


def test_the_fewest_are_those_of_a_worker_that_takes_connections(
    connections: ConnectionCounts,
) -> None:
    assert connections.find_fewest() == 0
    connections.record(OURS, 3)
    connections.record(THEIRS, 5)
    assert connections.find_fewest() == 3
    connections.record(OURS, None)
    assert connections.find_fewest() == 5


def test_a_worker_reuses_the_slot_of_an_ended_one(connections: ConnectionCounts) -> None:
    connections.record(OURS, 3)
    connections.record(OURS + ConnectionCounts.SLOTS, 4)
    assert connections.find_fewest() == 4


def test_an_ended_worker_no_longer_counts(worker: Worker, connections: ConnectionCounts) -> None:
    worker.nr_conns = 7
    connections.record(THEIRS, 0)
    gone = Worker.__new__(Worker)
    gone.age = THEIRS
    clear_count(object(), gone)
    assert connections.find_fewest() == 7


def test_a_worker_with_as_few_as_any_takes_a_connection_at_once(
    worker: Worker, connections: ConnectionCounts, passing: Passing
) -> None:
    connections.record(THEIRS, 0)
    worker._wait_for_others()
    assert passing.now == 0


def test_a_worker_leaves_a_connection_to_one_that_has_fewer(
    worker: Worker, connections: ConnectionCounts, passing: Passing
) -> None:
    worker.nr_conns = 1
    connections.record(THEIRS, 0)
    passing.meanwhile = lambda: connections.record(THEIRS, 1)
    worker._wait_for_others()
    assert 0 < passing.now < ACCEPT_BACKOFF


def test_a_worker_does_not_leave_a_connection_to_one_that_is_stuck(
    worker: Worker, connections: ConnectionCounts, passing: Passing
) -> None:
    worker.nr_conns = 1
    connections.record(THEIRS, 0)
    worker._wait_for_others()
    assert passing.now >= ACCEPT_BACKOFF


def test_cached_options_equal_the_set_ones() -> None:
    config = Config()
    config.set("keepalive", 17)
    config.set("bind", "127.0.0.1:1")
    before = {name: getattr(config, name) for name in config.settings}
    cache_config(config)
    assert {name: getattr(config, name) for name in config.settings} == before
    assert config.keepalive == 17
    assert config.address == [("127.0.0.1", 1)]


@pytest.fixture
def idle(connections: ConnectionCounts) -> Iterator[Worker]:
    """A worker with an idle connection and one that has sent nothing yet."""
    config = Config()
    application, log = SimpleNamespace(callable=None), Logger(config)
    worker = Worker(OURS, os.getpid(), [], application, 30, config, log)
    worker.poller = selectors.DefaultSelector()
    worker.method_queue.init()
    pairs = [socket.socketpair() for _ in range(2)]
    for ours, _ in pairs:
        conn = Connection(config, ours, ("", ""), RequestBuffer(100, 100))
        conn.is_served = ours is pairs[0][0]
        worker.nr_conns += 1
        worker._watch(conn, selectors.EVENT_READ)
    assert connections.find_fewest() == 0
    yield worker
    worker.tmp.close()
    worker.poller.close()
    worker.method_queue.close()
    for pair in pairs:
        for end in pair:
            end.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quitting_worker_raises_nothing_and_closes_idle_connections(
    idle: Worker, number: signal.Signals
) -> None:
    idle.murder_pending()
    assert idle.nr_conns == 2
    idle.handle_quit(number, None)
    idle.handle_quit(number, None)
    assert not idle.alive
    idle.murder_pending()
    assert (idle.nr_conns, idle._waiting) == (0, {})


def test_a_full_worker_closes_its_longest_idle_connection(idle: Worker) -> None:
    kept, pending = idle._waiting
    idle._close_longest_idle()
    assert (idle.nr_conns, list(idle._waiting)) == (1, [pending])
    idle._close_longest_idle()
    assert (idle.nr_conns, list(idle._waiting)) == (1, [pending])
    assert kept.sock.fileno() == -1


def test_a_slow_client_of_a_unix_socket_ends_no_worker(
    idle: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Such a client has no address.
    (conn,) = [each for each in idle._waiting if not each.is_served]
    conn.client = ""
    conn.buffer.data += b"GET /livez HTTP/1.1\r\n"
    passed = conn.begun + 2 * idle.options.request_seconds
    monkeypatch.setattr(time, "monotonic", lambda: passed)
    idle.murder_pending()
    assert conn.is_closing
    assert conn.remote == "a Unix socket"
