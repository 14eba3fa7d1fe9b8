"""Replies that are late, slow or cut, over a pair of sockets in place of a worker's."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.lab.faults import delivery
from rightsmanager.lab.faults.delivery import DELAYED, MAX_DELAYED, delay_seconds, wait
from rightsmanager.lab.faults.fault import parse_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.faults.conftest import Asker, World

ACQUIRE = "http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense"
SOCKET = "gunicorn.socket"


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the server's and the client's end of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=10)
        server, _ = listener.accept()
    with server, client:
        yield server, client


@pytest.fixture(autouse=True)
def _places_are_given_back() -> Iterator[None]:
    yield
    assert DELAYED._value == MAX_DELAYED


@pytest.mark.parametrize("kind", ["cut-before", "reply-lost", "cut-in-reply", "cut-after"])
def test_a_cut_raises_for_the_server_to_close(world: World, device: Asker, kind: str) -> None:
    fault = world.inject(kind)
    with pytest.raises(ConnectionResetError, match=f"cut by fault {fault.id}"):
        world.ask(ACQUIRE, device.challenge())
    assert world.injected == [f"{kind} {fault.id}"]


@pytest.mark.parametrize("kind", ["cut-before", "reply-lost"])
def test_a_reset_is_seen_by_the_client(
    world: World, device: Asker, sockets: tuple[socket.socket, socket.socket], kind: str
) -> None:
    server, client = sockets
    world.inject(kind, reset=True)
    with pytest.raises(ConnectionResetError):
        world.ask(ACQUIRE, device.challenge(), **{SOCKET: server})
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_request_is_recorded_whose_reply_is_lost(world: World, device: Asker) -> None:
    body = device.challenge()
    counts = []
    for kind in ("cut-before", "reply-lost"):
        world.faults.clear()
        world.inject(kind)
        with pytest.raises(ConnectionResetError):
            world.ask(ACQUIRE, body)
        with world.server.store.reading() as found:
            devices = [each.device for each in found.licenses.find_all()]
        counts.append(devices.count(device.opening.device.chain.leaf.device_id))
    assert counts == [0, 1]


def test_a_reply_is_cut_where_the_fault_says(world: World, device: Asker) -> None:
    body = device.challenge()
    world.inject("cut-in-reply", bytes=10)
    begun: list[Any] = []
    environ = world.environ(ACQUIRE, body)
    pieces = iter(
        world.injector.serve(world.faults, world.server.wsgi, environ, lambda *a: begun.append(a))
    )
    assert len(next(pieces)) == 10
    # The whole length is announced.
    assert int(dict(begun[0][1])["Content-Length"]) > 1000
    with pytest.raises(ConnectionResetError):
        next(pieces)


def test_a_reply_is_late(world: World, device: Asker) -> None:
    world.inject("latency", milliseconds=80)
    begun = time.monotonic()
    assert world.ask(ACQUIRE, device.challenge()).status == 200
    assert time.monotonic() - begun >= 0.08


def test_a_reply_is_slow(world: World, device: Asker) -> None:
    body = device.challenge()
    length = len(world.ask(ACQUIRE, body).body)
    world.inject("slow-reply", bytes_per_second=length * 10)
    begun = time.monotonic()
    assert len(world.ask(ACQUIRE, body).body) == length
    assert time.monotonic() - begun >= 0.08


def test_a_slow_reply_ends_in_time(
    world: World, device: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_MAX_SECONDS", 0.05)
    world.inject("slow-reply", bytes_per_second=1000)
    begun = time.monotonic()
    assert len(world.ask(ACQUIRE, device.challenge()).body) > 1000
    assert time.monotonic() - begun < 1


def test_a_client_that_goes_away_ends_the_wait(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    server, client = sockets
    threading.Timer(0.05, client.close).start()
    begun = time.monotonic()
    with pytest.raises(ConnectionResetError, match="the client has gone"):
        wait({SOCKET: server}, 60)
    assert time.monotonic() - begun < 30


def test_bytes_of_the_next_request_do_not_end_the_wait(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    server, client = sockets
    client.sendall(b"POST")
    begun = time.monotonic()
    wait({SOCKET: server}, 0.05)
    assert time.monotonic() - begun >= 0.05


def test_a_worker_delays_so_many_replies_at_once(world: World, device: Asker) -> None:
    fault = world.inject("latency", milliseconds=60_000)
    for _ in range(MAX_DELAYED):
        assert DELAYED.acquire(blocking=False)
    try:
        assert world.ask(ACQUIRE, device.challenge()).status == 200
    finally:
        DELAYED.release(MAX_DELAYED)
    assert world.injected == [""]
    assert world.used(fault) == 0


def test_a_place_is_given_back_after_a_failure(
    world: World, device: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> float:
        raise ConnectionResetError

    monkeypatch.setattr("rightsmanager.lab.faults.injection.wait", fail)
    world.inject("latency", milliseconds=1)
    with pytest.raises(ConnectionResetError):
        world.ask(ACQUIRE, device.challenge())


@pytest.mark.parametrize(
    ("fields", "mean", "low", "high"),
    [
        ({}, 0.1, 0.1, 0.1),
        ({"distribution": "uniform", "jitter_ms": 50}, 0.1, 0.05, 0.15),
        ({"distribution": "normal", "jitter_ms": 20}, 0.1, 0.0, 0.25),
        ({"distribution": "exponential"}, 0.1, 0.0, 2.0),
    ],
)
def test_delays_are_distributed(
    fields: dict[str, Any], mean: float, low: float, high: float
) -> None:
    given = {"kind": "latency", "milliseconds": 100, **fields}
    fault = parse_fault(given, "00" * 8, 0)
    rng = seeded_random(b"delays")
    delays = [delay_seconds(fault, rng) for _ in range(2000)]
    assert abs(sum(delays) / len(delays) - mean) < 0.01
    assert low <= min(delays)
    assert max(delays) <= high
    again = seeded_random(b"delays")
    assert [delay_seconds(fault, again) for _ in range(2000)] == delays
