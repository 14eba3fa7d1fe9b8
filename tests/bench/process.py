"""CPU time of one licence in this process: from request to reply, store included.

Each sample of licences is between two samples of the limit, so that other load slows both.
"""

import gc
import time
from collections.abc import Iterator
from statistics import median

from rightsmanager.operations.request import Request
from rightsmanager.protocol.xml.fastpath import parse_fast
from rightsmanager.server import Server
from tests.bench import limit
from tests.bench.fixture import Bench

ROUNDS = 12
EACH = 60


def measure(bench: Bench, backend: str) -> dict[str, dict[str, float]]:
    """Return CPU seconds and ratio of a licence with a cached chain, and with a new chain."""
    server = bench.server(backend)
    known = bench.challenges(bench.device(), (ROUNDS + 1) * EACH)
    new = (
        challenge
        for _ in range((ROUNDS + 1) * EACH)
        for challenge in bench.challenges(bench.device(), 1)
    )
    costs = {"cached": _cost(server, known), "cold": _cost(server, new)}
    server.store.close()
    return costs


def answer(server: Server, body: bytes) -> bytes:
    """Return the reply to one request."""
    envelope = parse_fast(body)
    request = Request(envelope, "http://127.0.0.1/rightsmanager.asmx", "", {}, "127.0.0.1")
    return server.operations["AcquireLicense"](request)


def _cost(server: Server, challenges: Iterator[bytes]) -> dict[str, float]:
    steps = list(limit.steps().values())
    sample(server, challenges)
    gc.collect()
    gc.freeze()
    pairs = [(sample(server, challenges), limit.sample(steps, EACH)) for _ in range(ROUNDS)]
    gc.unfreeze()
    return {
        "seconds": median(licence for licence, _ in pairs),
        "ratio": median(licence / least for licence, least in pairs),
    }


def sample(server: Server, challenges: Iterator[bytes]) -> float:
    """Return the CPU seconds of one of the next EACH licences."""
    bodies = [next(challenges) for _ in range(EACH)]
    begun = time.process_time()
    for body in bodies:
        answer(server, body)
    return (time.process_time() - begun) / EACH
