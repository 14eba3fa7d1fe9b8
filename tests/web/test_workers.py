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
from gunicorn.workers.gthread import TConn, ThreadWorker

from rightsmanager import wsgi
from rightsmanager.wsgi import ACCEPT_BACKOFF, Connections, Worker, cache_config, forget

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
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    connections = Connections()
    monkeypatch.setattr(wsgi, "CONNECTIONS", connections)
    return connections


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    passing = Passing()
    monkeypatch.setattr(time, "monotonic", lambda: passing.now)
    monkeypatch.setattr(time, "sleep", passing.sleep)
    return passing


@pytest.fixture
def worker(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker that takes connections and has none."""

    def accept(worker: Worker, _listener: object) -> None:
        worker.nr_conns += 1

    monkeypatch.setattr(ThreadWorker, "accept", accept)
    worker = Worker.__new__(Worker)
    worker.age = OURS
    worker._accepting = True
    worker.nr_conns = 0
    assert connections.fewest() == 0
    return worker


def test_the_fewest_are_those_of_a_worker_that_takes_connections(connections: Connections) -> None:
    assert connections.fewest() == 0
    connections.record(OURS, 3)
    connections.record(THEIRS, 5)
    assert connections.fewest() == 3
    connections.record(OURS, None)
    assert connections.fewest() == 5


def test_a_worker_takes_the_place_of_one_long_gone(connections: Connections) -> None:
    connections.record(OURS, 3)
    connections.record(OURS + Connections.PLACES, 4)
    assert connections.fewest() == 4


def test_a_worker_that_is_gone_is_waited_for_no_more(
    worker: Worker, connections: Connections
) -> None:
    worker.nr_conns = 7
    connections.record(THEIRS, 0)
    gone = Worker.__new__(Worker)
    gone.age = THEIRS
    forget(object(), gone)
    assert connections.fewest() == 7


def test_a_worker_with_as_few_as_any_takes_a_connection_at_once(
    worker: Worker, connections: Connections, passing: Passing
) -> None:
    connections.record(THEIRS, 0)
    worker.accept(None)
    assert (worker.nr_conns, passing.now) == (1, 0)


def test_a_worker_leaves_a_connection_to_one_that_has_fewer(
    worker: Worker, connections: Connections, passing: Passing
) -> None:
    worker.nr_conns = 1
    connections.record(THEIRS, 0)
    passing.meanwhile = lambda: connections.record(THEIRS, 1)
    worker.accept(None)
    assert 0 < passing.now < ACCEPT_BACKOFF


def test_a_worker_does_not_leave_a_connection_to_one_that_is_stuck(
    worker: Worker, connections: Connections, passing: Passing
) -> None:
    worker.nr_conns = 1
    connections.record(THEIRS, 0)
    worker.accept(None)
    assert worker.nr_conns == 2
    assert passing.now >= ACCEPT_BACKOFF


def test_settled_settings_are_those_that_were_set() -> None:
    config = Config()
    config.set("keepalive", 17)
    config.set("bind", "127.0.0.1:1")
    before = {name: getattr(config, name) for name in config.settings}
    cache_config(config)
    assert {name: getattr(config, name) for name in config.settings} == before
    assert config.keepalive == 17
    assert config.address == [("127.0.0.1", 1)]


@pytest.fixture
def idle(connections: Connections) -> Iterator[Worker]:
    """A worker that has one connection which is kept and one that has sent nothing yet."""
    config = Config()
    application, log = SimpleNamespace(callable=None), Logger(config)
    worker = Worker(OURS, os.getpid(), [], application, 30, config, log)
    worker.poller = selectors.DefaultSelector()
    worker.method_queue.init()
    pairs = [socket.socketpair() for _ in range(2)]
    kept, pending = (TConn(config, ours, "", "") for ours, _ in pairs)
    for connection in (kept, pending):
        connection.set_timeout()
        worker.poller.register(connection.sock, selectors.EVENT_READ)
        worker.nr_conns += 1
    worker.keepalived_conns.append(kept)
    worker.pending_conns.append(pending)
    assert connections.fewest() == 0
    yield worker
    worker.tmp.close()
    worker.poller.close()
    worker.method_queue.close()
    for pair in pairs:
        for end in pair:
            end.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_worker_that_is_to_end_at_once_raises_nothing_and_keeps_nobody(
    idle: Worker, number: signal.Signals
) -> None:
    idle.murder_keepalived()
    idle.murder_pending()
    assert idle.nr_conns == 2
    idle.handle_quit(number, None)
    idle.handle_quit(number, None)
    assert not idle.alive
    idle.murder_keepalived()
    idle.murder_pending()
    assert (idle.nr_conns, list(idle.keepalived_conns), list(idle.pending_conns)) == (0, [], [])
