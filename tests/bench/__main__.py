"""`make bench`: measures everything and prints each figure as a ratio to the limit.

With a revision, `make bench BASE=HEAD~3`, a licence's cost is compared with that revision's too.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rightsmanager.crypto.p256_backends import available_backends
from tests.bench import against, limit, overhttp, process
from tests.bench.fixture import Bench

REPORT = Path("build/bench.json")


def main() -> None:
    """Measure, print and write the report."""
    report: dict[str, Any] = {"limit": limit.measure()}
    _print_limit(report["limit"])
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.prepare()
        report["process"] = {}
        for backend in available_backends():
            costs = process.measure(bench, backend.name)
            report["process"][backend.name] = costs
            for case, cost in costs.items():
                _print(f"in process, {backend.name}, chain {case}", cost)
        report["http"] = overhttp.measure(bench)
    report["scaling"] = report["http"].pop("scaling")
    for workers, cost in report["http"].items():
        _print(f"over HTTP, worker CPU, {workers} worker(s)", cost)
        sys.stdout.write(
            f"{'':44}{cost['licences_per_second']:8.0f} licences/s"
            f"{cost['rss_mib']:8.1f} MiB RSS a worker\n"
        )
    sys.stdout.write(f"{'2 workers':44}{report['scaling']:8.2f} x 1 worker\n")
    report["limit_scaling"] = limit.scaling()
    sys.stdout.write(f"{'2 processes of the limit':44}{report['limit_scaling']:8.2f} x 1 process\n")
    if len(sys.argv) > 1:
        report["against"] = {sys.argv[1]: against.measure(sys.argv[1])}
        sys.stdout.write(f"{'a licence in process':44}{report['against'][sys.argv[1]]:8.3f} x ")
        sys.stdout.write(f"that of {sys.argv[1]}\n")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(f"written to {REPORT}\n")


def _print_limit(costs: dict[str, float]) -> None:
    for name, seconds in costs.items():
        sys.stdout.write(f"{name:44}{seconds * 1e6:8.1f} µs\n")


def _print(name: str, cost: dict[str, float]) -> None:
    micro = cost["seconds"] * 1e6
    sys.stdout.write(f"{name:44}{micro:8.1f} µs{cost['ratio']:8.2f} x limit\n")


if __name__ == "__main__":
    main()
