"""The limit: what OpenSSL alone costs for one licence, through `cryptography` on ready objects."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256, Hash

CURVE = ec.SECP256R1()
ECDSA = ec.ECDSA(SHA256())


def steps() -> dict[str, Callable[[], object]]:
    """Return the steps of one licence, each ready to run, by what they are."""
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


def scaling() -> float:
    """Return how many times as often two processes do the steps as one, by the clock.

    No server on the machine, as it is just now, can be expected to scale better.
    """
    one, two = (min(_seconds(processes) for _ in range(5)) for processes in (1, 2))
    return 2 * one / two


def _seconds(processes: int) -> float:
    """Return the seconds in which each of so many processes, all at once, has done its steps."""
    command = [sys.executable, "-m", "tests.bench.limit"]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    begun = time.perf_counter()
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    for process in started:
        assert process.stdout is not None
        process.stdout.read()
    seconds = time.perf_counter() - begun
    for process in started:
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    return seconds


def measure() -> dict[str, float]:
    """Return the CPU seconds of each step alone and, under "limit", of all one after the other."""
    ready = steps()
    costs = {name: cost_of(step, rounds=15, each=40) for name, step in ready.items()}
    return {**costs, "limit": median(sample(list(ready.values()), 40) for _ in range(15))}


def main() -> None:
    """Say that all is ready and, when the input ends, do the steps of many licences."""
    every = list(steps().values())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    sample(every, 1000)


if __name__ == "__main__":
    main()
