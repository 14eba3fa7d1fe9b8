"""Adds, lists and removes the faults of worlds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.errors import InvalidMessage
from rightsmanager.lab.control import FaultFacts
from rightsmanager.lab.faults.counts import FILE, Counts
from rightsmanager.lab.faults.fault import MAX_FAULTS, fault_facts, parse_fault
from rightsmanager.lab.worlds import Worlds

MAX_ANSWERS: Final = 100
"""The most answers of a script."""
_ID_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class UsedFault:
    """A fault and the number of requests that it acted on."""

    facts: FaultFacts
    """As JSON has it."""
    used: int


@dataclass(frozen=True, slots=True)
class FaultControl:
    """The faults of worlds, as operators change them."""

    worlds: Worlds
    rng: Rng = system_random

    def find(self, world: str) -> tuple[UsedFault, ...]:
        """Return the faults of a world in the order of adding; raises NotFound."""
        control = self.worlds.find(world).control
        place = self.worlds.folders.world(world).place(control.generation)
        used = Counts(place / FILE).used()
        return tuple(UsedFault(each, used.get(str(each["id"]), 0)) for each in control.faults)

    def add(self, world: str, given: object) -> UsedFault:
        """Add a fault to a world; raises InvalidMessage, NotFound, and Conflict for too many."""
        (added,) = self._add(world, [given], "")
        return added

    def add_script(self, world: str, given: Sequence[object]) -> tuple[UsedFault, ...]:
        """Add faults that act one after the other, each on one request unless it says otherwise.

        Raises InvalidMessage, NotFound, and Conflict for too many.
        """
        if not 0 < len(given) <= MAX_ANSWERS:
            raise InvalidMessage(
                f"there are {len(given)} answers, expected 1 to {MAX_ANSWERS} in a list"
            )
        return self._add(world, [_once(each) for each in given], self._new_id())

    def remove(self, world: str, fault_id: str) -> None:
        """Remove a fault of a world; raises NotFound."""

        def change(faults: tuple[FaultFacts, ...]) -> tuple[FaultFacts, ...]:
            kept = tuple(each for each in faults if each["id"] != fault_id)
            if len(kept) == len(faults):
                raise NotFound(f"the world has no fault {fault_id[:64]!r}")
            return kept

        self.worlds.change_faults(world, change)

    def clear(self, world: str) -> None:
        """Remove all faults of a world; raises NotFound."""
        self.worlds.change_faults(world, lambda _: ())

    def _add(self, world: str, given: Sequence[object], script: str) -> tuple[UsedFault, ...]:
        now = self.worlds.find(world).now
        added = [fault_facts(parse_fault(each, self._new_id(), now, script)) for each in given]

        def change(faults: tuple[FaultFacts, ...]) -> tuple[FaultFacts, ...]:
            if len(faults) + len(added) > MAX_FAULTS:
                raise Conflict(f"the world has {len(faults)} faults, expected at most {MAX_FAULTS}")
            return (*faults, *added)

        self.worlds.change_faults(world, change)
        return tuple(UsedFault(each, 0) for each in added)

    def _new_id(self) -> str:
        return self.rng(_ID_LENGTH).hex()


def _once(given: object) -> object:
    """Return an answer that is used once unless it says otherwise."""
    if not isinstance(given, Mapping):
        return given
    kind = {} if "kind" in given else {"kind": "answer"}
    return {"count": 1, **kind, **given}
