"""The journal's cost for a licence, and its lists with a million entries.

    python -m tests.bench.journal               the workers' CPU for a licence: all, faults and off
    python -m tests.bench.journal postgresql    the same with databases of PostgreSQL
    python -m tests.bench.journal million       the first page of each filter

Servers with each setting are measured alternately, so that other load affects all of them.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from rightsmanager.assembly import open_journal
from tests.bench import million, overhttp
from tests.bench.fixture import Bench
from tests.postgresql import PostgreSQL

ROUNDS = 16
EACH = 400
SETTINGS = ("off", "faults", "all")
LIMITS: Mapping[str, float] = {"faults": 1.03, "all": 1.12}
"""The workers' CPU, as a ratio to that without a journal."""


class Measured(overhttp.Measured):
    """A server whose journal is written before a round ends."""

    def __init__(self, bench: Bench, url: str, pid: int) -> None:
        super().__init__(url, pid, 1)
        self._journal = open_journal(bench.settings())

    def settle(self) -> None:
        """Wait until all entries are written."""
        until = time.monotonic() + 30
        while self._journal.accounting().waiting and time.monotonic() < until:
            time.sleep(0.02)


def measure(folder: Path, make_url: Callable[[], str]) -> dict[str, float]:
    """Return the CPU seconds of a licence with each setting."""
    with ExitStack() as stack:
        benches, servers = {}, {}
        for record in SETTINGS:
            bench = benches[record] = Bench(folder / record, make_url())
            bench.prepare()
            given = {
                "RIGHTSMANAGER_JOURNAL__RECORD": record,
                "RIGHTSMANAGER_DATABASE_URL": bench.database_url,
            }
            served = stack.enter_context(overhttp.serving(bench, 1, given))
            servers[record] = Measured(bench, *served)
        ready = {name: _batches(bench) for name, bench in benches.items()}
        for name, server in servers.items():
            server.warm_up(next(ready[name]))
            server.settle()
        for _ in range(ROUNDS):
            for name, server in servers.items():
                server.take_round(next(ready[name]), _no_limit, server.settle)
        return {
            name: median(
                each.cpu / off.cpu
                for each, off in zip(server.rounds, servers["off"].rounds, strict=True)
            )
            for name, server in servers.items()
        } | {"seconds": median(each.cpu for each in servers["off"].rounds)}


@contextmanager
def _databases(name: str) -> Iterator[Callable[[], str]]:
    """Yield the function that makes a database and returns its URL, empty for SQLite."""
    if name != "postgresql":
        yield str
        return
    server = PostgreSQL()
    try:
        server.start()
        yield lambda: server.url(server.create_database())
    finally:
        server.remove()


def _batches(bench: Bench) -> Iterator[list[bytes]]:
    device = bench.device()
    while True:
        yield list(bench.challenges(device, EACH))


def _no_limit(_samples: int) -> float:
    return 1.0


def main() -> None:
    """Measure and print; the exit status is 1 if a limit is exceeded."""
    name = "".join(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, _databases(name) as make_url:
        if name == "million":
            sys.exit(not million.main(Path(folder)))
        costs = measure(Path(folder), make_url)
    sys.stdout.write(f"{'a licence over HTTP, journal off':44}{costs['seconds'] * 1e6:8.1f} µs\n")
    for name, limit in LIMITS.items():
        sys.stdout.write(f"{f'journal {name}':44}{costs[name]:8.3f} x off, limit {limit}\n")
    sys.exit(any(costs[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    main()
