"""CPU time, throughput and memory of a server's workers over HTTP.

The clients keep their connections, send prepared requests and only count the answers, since they
share the machine with the server.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from tests.bench import limit
from tests.bench.fixture import Bench

CONNECTIONS_PER_WORKER = 2
ROUNDS = 16
RATE_ROUNDS = 4
EACH = 400
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(
    bench: Bench, workers: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Yield the URL and process id of a server on the bench's data folder."""
    command = [
        *(sys.executable, "-m", "rightsmanager", "serve", "--json", "--bind", "127.0.0.1:0"),
        *("--data", str(bench.data), "--workers", str(workers)),
    ]
    with (bench.data / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            # The journal is measured by itself: tests.bench.journal.
            env={**os.environ, "RIGHTSMANAGER_JOURNAL__RECORD": "off", **(environment or {})},
        )
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["url"], server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one round of requests."""

    cpu: float
    """CPU seconds of the workers per licence."""
    rate: float
    """Licences per second."""
    ratio: float
    """The CPU seconds as a ratio to the limit, measured right after."""


class Measured:
    """A server that is measured in rounds."""

    def __init__(self, url: str, pid: int, workers: int) -> None:
        self._url = url
        self._pid = pid
        self._workers = workers
        self._pids: list[int] = []
        self.rounds: list[Round] = []

    def warm_up(self, bodies: Sequence[bytes]) -> None:
        """Send requests that do not count, until all workers have started."""
        _round(self._url, self._workers, bodies)
        self._pids = children(self._pid)

    def take_round(
        self,
        bodies: Sequence[bytes],
        least: Callable[[int], float],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """Send requests that count; `settle` waits for what workers do after their replies."""
        before = _cpu(self._pids)
        seconds = _round(self._url, self._workers, bodies)
        settle()
        cpu = (_cpu(self._pids) - before) / len(bodies)
        self.rounds.append(Round(cpu, len(bodies) / seconds, cpu / least(60)))

    def figures(self) -> dict[str, float]:
        """Return the CPU cost of a licence, licences per second and a worker's memory."""
        return {
            "seconds": median(each.cpu for each in self.rounds),
            "ratio": median(each.ratio for each in self.rounds),
            "licences_per_second": median(each.rate for each in self.rounds),
            "rss_mib": max(map(rss, self._pids)) / 2**20,
        }


def measure(bench: Bench) -> dict[str, Any]:
    """Return the figures of servers with one and two workers, and their ratio.

    Rounds alternate, so that other load affects both.
    """
    with ExitStack() as stack:
        least = stack.enter_context(limit.at_once(1))
        servers = {
            workers: Measured(*stack.enter_context(serving(bench, workers)), workers)
            for workers in (1, 2)
        }
        challenges = bench.challenges(bench.device(), (ROUNDS + 1) * EACH * len(servers))
        batches = iter(lambda: list(islice(challenges, EACH)), [])
        ready = list(batches)
        for server in servers.values():
            server.warm_up(ready.pop())
        while ready:
            for server in servers.values():
                server.take_round(ready.pop(), least)
        return {
            **{str(workers): server.figures() for workers, server in servers.items()},
            "scaling": median(
                two.rate / one.rate
                for one, two in zip(servers[1].rounds, servers[2].rounds, strict=True)
            ),
        }


def rate(
    bench: Bench,
    workers: int,
    make: Callable[[int], list[bytes]],
    environment: Mapping[str, str],
) -> float:
    """Return the requests per second that a server answers; `make` makes the requests."""
    with serving(bench, workers, environment) as (url, _):
        _round(url, workers, make(EACH // RATE_ROUNDS))
        return median(EACH / _round(url, workers, make(EACH)) for _ in range(RATE_ROUNDS))


def _round(url: str, workers: int, bodies: Sequence[bytes]) -> float:
    """Return the seconds until all requests were answered.

    Each connection takes the next request, so that none waits for the slowest at the end.
    """
    left = iter(bodies)
    clients = [
        threading.Thread(target=_client, args=(url, left))
        for _ in range(CONNECTIONS_PER_WORKER * workers)
    ]
    begun = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return time.perf_counter() - begun


def _client(url: str, bodies: Iterator[bytes]) -> None:
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "Content-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for body in bodies:
            connection.sendall((head % len(body)).encode() + body)
            _expect_ok(connection)


def _expect_ok(connection: socket.socket) -> None:
    answer = connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise AssertionError(answer[:2000])
    left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _cpu(pids: Sequence[int]) -> float:
    """Return the CPU seconds of processes, user and system time."""
    return sum(_schedstat(pid) for pid in pids)


def _schedstat(pid: int) -> float:
    # Nanoseconds of each thread on a processor; the ticks in stat are too coarse for a round.
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def rss(pid: int) -> int:
    """Return the bytes of memory that a process uses."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
