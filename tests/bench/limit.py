"""The limit: the cost of one licence's cryptography in OpenSSL, on prepared objects."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import fmean, median

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256, Hash

CURVE = ec.SECP256R1()
ECDSA = ec.ECDSA(SHA256())


def steps() -> dict[str, Callable[[], object]]:
    """Return the steps of one licence by name, each ready to run."""
    ours, theirs = ec.generate_private_key(CURVE), ec.generate_private_key(CURVE)
    peer, message = theirs.public_key(), os.urandom(600)
    signature = ours.sign(message, ECDSA)
    public = ours.public_key()
    six_kb, five_kb, licence, key = (os.urandom(size) for size in (6144, 5120, 400, 16))

    def exchange_twice() -> None:
        ours.exchange(ec.ECDH(), peer)
        theirs.exchange(ec.ECDH(), public)

    def digest() -> None:
        hashed = Hash(SHA256())
        hashed.update(six_kb)
        hashed.finalize()

    def decrypt() -> None:
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key)).decryptor()
        decryptor.update(five_kb)
        decryptor.finalize()

    def authenticate() -> None:
        tag = cmac.CMAC(algorithms.AES(key))
        tag.update(licence)
        tag.finalize()

    return {
        "two P-256 ECDH": exchange_twice,
        "one key generation": lambda: ec.generate_private_key(CURVE),
        "one ECDSA verification": lambda: public.verify(signature, message, ECDSA),
        "one ECDSA signature": lambda: ours.sign(message, ECDSA),
        "SHA-256 of 6 KB": digest,
        "AES-128-CBC of 5 KB": decrypt,
        "CMAC of 400 B": authenticate,
    }


def sample(every: Sequence[Callable[[], object]], licences: int) -> float:
    """Return the CPU seconds of the steps of one licence, one after the other as in a licence."""
    begun = time.process_time()
    for _ in range(licences):
        for step in every:
            step()
    return (time.process_time() - begun) / licences


def cost_of(step: Callable[[], object], rounds: int, each: int) -> float:
    """Return the median CPU seconds of one call over `rounds` samples of `each` calls."""
    samples = []
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(each):
            step()
        samples.append((time.process_time() - begun) / each)
    return median(samples)


@contextmanager
def at_once(processes: int) -> Iterator[Callable[[int], float]]:
    """Yield a function that runs the steps of licences in several processes at once.

    It returns the CPU seconds of one licence, the mean of the processes.
    """
    command = [sys.executable, "-m", "tests.bench.limit"]
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(processes)
        ]

        def sample_all(licences: int) -> float:
            for process in started:
                assert process.stdin is not None
                process.stdin.write(f"{licences}\n")
                process.stdin.flush()
            return fmean(float(_line(process)) for process in started)

        sample_all(100)
        yield sample_all


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def scaling() -> float:
    """Return the speed-up of two processes over one, by the clock.

    No server can scale better on this machine at this moment.
    """
    with at_once(1) as one, at_once(2) as two:
        alone, both = (min(_seconds(sample_all) for _ in range(5)) for sample_all in (one, two))
    return 2 * alone / both


def _seconds(sample_all: Callable[[int], float]) -> float:
    begun = time.perf_counter()
    sample_all(1000)
    return time.perf_counter() - begun


def measure() -> dict[str, float]:
    """Return the CPU seconds of each step alone and, under "limit", of all one after the other."""
    ready = steps()
    costs = {name: cost_of(step, rounds=15, each=40) for name, step in ready.items()}
    return {**costs, "limit": median(sample(list(ready.values()), 40) for _ in range(15))}


def main() -> None:
    """For each number of licences on standard input, print the CPU seconds of one."""
    every = list(steps().values())
    for line in sys.stdin:
        sys.stdout.write(f"{sample(every, int(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
