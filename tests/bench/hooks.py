"""The latency that the HTTP hook adds to a licence, with each back end of the examples.

Two servers, with the hook and without, answer in turn over kept connections, so that other load
affects both. The overhead is the difference of their percentiles.

    python -m tests.bench.hooks
"""

import http.client
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from tests.bench.fixture import Bench
from tests.bench.overhttp import serving

ROOT = Path(__file__).parents[2]
LICENCES = 1000
WARM_UP = 50
QUERY = "?token=token-of-alice"


@contextmanager
def back_end(command: Sequence[str]) -> Iterator[str]:
    """Yield the URL of a back end that a command starts."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def measure(
    folder: Path, command: Sequence[str], secret_file: Path
) -> dict[str, tuple[float, float]]:
    """Return the median and the 99th percentile in milliseconds, without the hook and with it."""
    bench = Bench(folder)
    bench.prepare()
    with ExitStack() as stack:
        with_hook = {
            "RIGHTSMANAGER_HOOKS__URL": stack.enter_context(back_end(command)),
            "RIGHTSMANAGER_HOOKS__SECRET_FILE": str(secret_file),
        }
        urls = [
            stack.enter_context(serving(bench, 1, environment))[0]
            for environment in ({}, with_hook)
        ]
        connections = [http.client.HTTPConnection(urlsplit(url).netloc) for url in urls]
        challenges = bench.challenges(bench.device(), 2 * (LICENCES + WARM_UP))
        latencies: list[list[float]] = [[], []]
        for _ in range(LICENCES + WARM_UP):
            for connection, found in zip(connections, latencies, strict=True):
                found.append(_time(connection, next(challenges)))
    return {
        name: (median(found[WARM_UP:]), quantiles(found[WARM_UP:], n=100)[98])
        for name, found in zip(("without", "with"), latencies, strict=True)
    }


def _time(connection: http.client.HTTPConnection, body: bytes) -> float:
    """Return the milliseconds of one licence."""
    begun = time.perf_counter()
    connection.request(
        "POST", f"/rightsmanager.asmx{QUERY}", body, {"Content-Type": "text/xml; charset=utf-8"}
    )
    reply = connection.getresponse()
    answer = reply.read()
    assert reply.status == http.client.OK, answer
    assert b"<License>" in answer
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    """Print the figures of each back end."""
    with tempfile.TemporaryDirectory() as folder:
        secret_file = Path(folder) / "hooks.secret"
        secret_file.write_text(secrets.token_hex(32))
        python = [sys.executable, str(ROOT / "examples" / "hooks_backend.py")]
        commands = {
            "Python": [*python, "--secret-file", str(secret_file), "--port", "0"],
            "Node.js": ["node", str(ROOT / "examples/hooks_backend.mjs"), str(secret_file), "0"],
        }
        for name, command in commands.items():
            data = Path(folder) / name
            data.mkdir()
            found = measure(data, command, secret_file)
            (middle, most), (middle_with, most_with) = found["without"], found["with"]
            sys.stdout.write(
                f"{name:8} {LICENCES} licences: median {middle:.2f} ms, with the hook "
                f"{middle_with:.2f} ms; p99 {most:.2f} ms, with the hook {most_with:.2f} ms: "
                f"overhead {middle_with - middle:.2f} ms, p99 {most_with - most:.2f} ms\n"
            )


if __name__ == "__main__":
    main()
