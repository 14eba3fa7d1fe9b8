"""The cost of worlds: time until one is ready, a licence in one, memory by their number.

    python -m tests.bench.worlds [NUMBER]

A licence in a world is compared with one on the plain path of the same server, in alternate
rounds; both are recorded. NUMBER worlds, 1000 by default, are used once by two workers, and nine
times as many are created.
"""

import http.client
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from tests.bench import limit
from tests.bench.fixture import Bench
from tests.bench.overhttp import EACH, Measured, children, rss, serving

ROUNDS: Final = 16
READY: Final = 100
"""The worlds whose time until they are ready is measured."""
LAB: Final = {"RIGHTSMANAGER_LAB__ENABLED": "true", "RIGHTSMANAGER_JOURNAL__RECORD": "all"}
_SETTLE_SECONDS: Final = 0.5
"""The time after a round in which journals are written."""
_ASMX: Final = "/rightsmanager.asmx"


def measure_license(folder: Path) -> dict[str, float]:
    """Return the CPU seconds of a licence on the plain path and in a world."""
    with ExitStack() as stack:
        least = stack.enter_context(limit.at_once(1))
        bench = Bench(folder)
        bench.prepare()
        url, pid = stack.enter_context(serving(bench, 1, LAB))
        paths = [Measured(each, pid, 1) for each in (url, url.replace(_ASMX, f"/w/bench{_ASMX}"))]
        challenges = bench.challenges(bench.device(), (ROUNDS + 1) * EACH * len(paths))
        batches = iter(lambda: list(islice(challenges, EACH)), [])
        for path in paths:
            path.warm_up(next(batches))
        for number in range(ROUNDS):
            for path in paths if number % 2 else reversed(paths):
                path.take_round(next(batches), least, lambda: time.sleep(_SETTLE_SECONDS))
        plain, in_world = ([each.cpu for each in path.rounds] for path in paths)
        return {
            "plain": median(plain),
            "world": median(in_world),
            "ratio": median(b / a for a, b in zip(plain, in_world, strict=True)),
        }


def measure_number(folder: Path, number: int) -> dict[str, float]:
    """Return the time until a world is ready, and the memory of workers by number of worlds."""
    bench = Bench(folder)
    bench.prepare()
    challenges = bench.challenges(bench.device(), number + READY)
    with serving(bench, 2, LAB) as (url, pid):
        client = _Client(url)
        client.license("warm", next(challenges))
        figures = {"rss_mib_1": _largest(pid)}
        times = []
        for each in range(READY):
            challenge, begun = next(challenges), time.perf_counter()
            client.call("POST", f"/api/v1/worlds/ready{each}/reset")
            client.license(f"ready{each}", challenge)
            times.append(time.perf_counter() - begun)
        figures |= {"ready_ms": 1000 * median(times), "ready_max_ms": 1000 * max(times)}
        figures[f"rss_mib_{READY}"] = _largest(pid)
        for each in range(number - READY - 1):
            client.license(f"used{each}", next(challenges))
        figures[f"rss_mib_{number}"] = _largest(pid)
        begun = time.perf_counter()
        for each in range(9 * number):
            client.call("POST", f"/api/v1/worlds/made{each}/reset")
        figures["created_ms"] = 1000 * (time.perf_counter() - begun) / (9 * number)
        figures[f"rss_mib_{10 * number}_created"] = _largest(pid)
        return figures


class _Client:
    """A client that keeps its connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return data

    def license(self, name: str, challenge: bytes) -> None:
        path = f"/w/{name}{_ASMX}"
        self._connection.request("POST", path, challenge, {"Content-Type": "text/xml"})
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data


def _largest(pid: int) -> float:
    return max(map(rss, children(pid))) / 2**20


def main() -> None:
    """Print the figures as JSON."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_license(Path(folder) / "one")
        figures |= measure_number(Path(folder) / "many", number)
    sys.stdout.write(json.dumps({name: round(each, 7) for name, each in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
