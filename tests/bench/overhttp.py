"""CPU, throughput and memory of the workers of a real server over HTTP.

The clients keep their connections, send requests made beforehand and do no more with an answer
than count it, so that they take as little as can be from the machine they share with the server.
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
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from tests.bench import limit
from tests.bench.fixture import Bench

CONNECTIONS_PER_WORKER = 2
ROUNDS = 6
EACH = 400
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(
    bench: Bench, workers: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Give the URL and process id of a server over the bench's data folder."""
    command = [
        *(sys.executable, "-m", "rightsmanager", "serve", "--json", "--bind", "127.0.0.1:0"),
        *("--data", str(bench.data), "--workers", str(workers)),
    ]
    with (bench.data / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["url"], server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def measure(bench: Bench, workers: int) -> dict[str, float]:
    """Return what a licence costs the workers, how many a second there are, and a worker's size."""
    with serving(bench, workers) as (url, pid), limit.at_once(1) as least:
        bodies = list(bench.challenges(bench.device(), (ROUNDS + 1) * EACH))
        _round(url, workers, bodies[:EACH])
        children = _children(pid)
        rounds = []
        for number in range(1, ROUNDS + 1):
            before = _cpu(children)
            seconds = _round(url, workers, bodies[number * EACH : (number + 1) * EACH])
            cpu = (_cpu(children) - before) / EACH
            rounds.append((cpu, EACH / seconds, cpu / least(60)))
        size = max(_rss(child) for child in children)
    return {
        "seconds": median(cpu for cpu, _, _ in rounds),
        "ratio": median(ratio for _, _, ratio in rounds),
        "licences_per_second": median(rate for _, rate, _ in rounds),
        "rss_mib": size / 2**20,
    }


def rate(
    bench: Bench,
    workers: int,
    make: Callable[[int], list[bytes]],
    environment: Mapping[str, str],
) -> float:
    """Return how many requests a second a server answers; `make` makes so many of them."""
    with serving(bench, workers, environment) as (url, _):
        _round(url, workers, make(EACH // ROUNDS))
        return median(EACH / _round(url, workers, make(EACH)) for _ in range(ROUNDS // 2))


def _round(url: str, workers: int, bodies: Sequence[bytes]) -> float:
    """Return the seconds in which all the requests were answered."""
    count = CONNECTIONS_PER_WORKER * workers
    clients = [
        threading.Thread(target=_client, args=(url, bodies[number::count]))
        for number in range(count)
    ]
    begun = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return time.perf_counter() - begun


def _client(url: str, bodies: Sequence[bytes]) -> None:
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


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _cpu(pids: Sequence[int]) -> float:
    """Return the CPU seconds that processes have used, their own and the system's for them."""
    return sum(_schedstat(pid) for pid in pids)


def _schedstat(pid: int) -> float:
    # Nanoseconds on a processor, of each thread; the ticks in stat are too coarse for a round.
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
