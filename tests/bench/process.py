"""CPU of one licence in this process: from the request's bytes to the reply's, the store included."""

import time
from collections.abc import Sequence
from statistics import median

from rightsmanager.app import Server
from rightsmanager.protocol.envelope import parse_envelope
from rightsmanager.services.request import Request

from tests.bench.fixture import Bench


def measure(bench: Bench, backend: str, rounds: int, each: int) -> dict[str, float]:
    """Return the CPU seconds of one licence with a known chain, and with a new one each time."""
    server = bench.server(backend)
    device = bench.device()
    cached = _cost(server, list(bench.challenges(device, rounds * each + each)), rounds, each)
    new = [
        challenge
        for _ in range(rounds * each // 2 + each)
        for challenge in bench.challenges(bench.device(), 1)
    ]
    cold = _cost(server, new, rounds, each // 2)
    server.store.close()
    return {"cached": cached, "cold": cold}


def answer(server: Server, body: bytes) -> bytes:
    """Return the reply to one request."""
    envelope = parse_envelope(body)
    request = Request(envelope, "http://127.0.0.1/rightsmanager.asmx", "", {}, "127.0.0.1")
    return server.services["AcquireLicense"](request)


def _cost(server: Server, challenges: Sequence[bytes], rounds: int, each: int) -> float:
    waiting = iter(challenges)
    for _ in range(each):
        answer(server, next(waiting))
    samples = []
    for _ in range(rounds):
        bodies = [next(waiting) for _ in range(each)]
        begun = time.process_time()
        for body in bodies:
            answer(server, body)
        samples.append((time.process_time() - begun) / each)
    return median(samples)
