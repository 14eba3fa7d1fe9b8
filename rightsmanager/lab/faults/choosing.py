"""Finds the faults that act on a request.

Faults are asked in the order in which they were added. At each place the first one acts; a request
that is taken at a place is not counted by later faults there, nor by later ones of the same script.
A fault of a script that waits for its place holds back the later ones of its script.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.lab.faults.asking import UNKNOWN, Asking
from rightsmanager.lab.faults.counts import Counts, Tally
from rightsmanager.lab.faults.fault import Fault

_BITS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault that acts on a request."""

    fault: Fault
    number: int
    """The request's number among those that matched the fault, from 1."""

    @property
    def rng(self) -> Rng:
        """Randomness that follows from the fault's seed and the request's number."""
        return seeded_random(f"fault\0{self.fault.seed}\0{self.number}".encode())


def choose(
    faults: Sequence[Fault],
    operation: str,
    now: int,
    find_asking: Callable[[], Asking],
    counts: Counts,
) -> tuple[Chosen, ...]:
    """Return the faults that act on a request; `now` in Unix seconds of the world's clock."""
    fitting = [each for each in faults if _fits(each, operation, now)]
    if any(each.device is not None or each.kid is not None for each in fitting):
        asking = find_asking()
        fitting = [each for each in fitting if _names(each, asking)]
    if not fitting:
        return ()
    with counts.locked(faults) as tally:
        return _take(fitting, tally)


def _fits(fault: Fault, operation: str, now: int) -> bool:
    until = fault.until
    return (
        operation in fault.toxic.operations
        and fault.operation in (None, operation)
        and (until is None or now < until)
    )


def _names(fault: Fault, asking: Asking) -> bool:
    if asking is UNKNOWN:
        return fault.device is None and fault.kid is None
    is_device = fault.device in (None, asking.device)
    return is_device and (fault.kid is None or asking.names(fault.kid))


def _take(faults: Sequence[Fault], tally: Tally) -> tuple[Chosen, ...]:
    chosen: list[Chosen] = []
    taken: set[object] = set()
    for fault in faults:
        if fault.script in taken or (fault.count is not None and tally.used(fault) >= fault.count):
            continue
        if fault.toxic.place in taken:
            _hold(fault, taken)
            continue
        number = tally.match(fault)
        if number >= fault.nth and draws(fault, number):
            tally.use(fault)
            chosen.append(Chosen(fault, number))
            taken.add(fault.toxic.place)
            _hold(fault, taken)
    return tuple(chosen)


def _hold(fault: Fault, taken: set[object]) -> None:
    """Let no later fault of the same script act on the request."""
    if fault.script:
        taken.add(fault.script)


def draws(fault: Fault, number: int) -> bool:
    """Return whether the rate of a fault makes it act on its number-th request."""
    if fault.rate >= 1:
        return True
    digest = hashlib.sha256(f"rate\0{fault.seed}\0{number}".encode()).digest()
    return int.from_bytes(digest[:8]) < fault.rate * _BITS
