"""The cost of a setting: CPU time of a licence over HTTP with it, as a ratio to that without.

Two servers run at the same time and are measured in alternate rounds, so that other load affects
both.

    python -m tests.bench.compare RIGHTSMANAGER_METRICS__ACCESS=off
"""

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median

from tests.bench import limit
from tests.bench.fixture import Bench
from tests.bench.overhttp import EACH, Measured, serving

ROUNDS = 40


def measure(folder: Path, environment: Mapping[str, str]) -> dict[str, float]:
    """Return the CPU seconds of a licence, with the settings of the environment and without."""
    with ExitStack() as stack:
        least = stack.enter_context(limit.at_once(1))
        bench = Bench(folder)
        bench.prepare()
        servers = [
            Measured(*stack.enter_context(serving(bench, 1, given)), 1)
            for given in ({}, environment)
        ]
        challenges = bench.challenges(bench.device(), (ROUNDS + 1) * EACH * len(servers))
        batches = iter(lambda: list(islice(challenges, EACH)), [])
        for server in servers:
            server.warm_up(next(batches))
        for number in range(ROUNDS):
            # Neither is always the first.
            for server in servers if number % 2 else reversed(servers):
                server.take_round(next(batches), least)
        without, with_it = ([each.cpu for each in server.rounds] for server in servers)
        return {
            "without": median(without),
            "with": median(with_it),
            "ratio": median(b / a for a, b in zip(without, with_it, strict=True)),
        }


def main() -> None:
    """Print the figures."""
    environment = dict(given.split("=", 1) for given in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(Path(folder), environment)
    sys.stdout.write(
        f"{costs['without'] * 1e6:8.1f} µs, with {' '.join(sys.argv[1:])}"
        f" {costs['with'] * 1e6:.1f} µs, {costs['ratio']:.4f} x\n"
    )


if __name__ == "__main__":
    main()
