"""Everything that is done to worlds: create, find, change, reset and remove them.

Each change replaces the world's control file while the lock of its name is held; see lab.control.
"""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.errors import InvalidMessage
from rightsmanager.lab import locks
from rightsmanager.lab.clock import ClockChange
from rightsmanager.lab.control import (
    MAX_SEED,
    NAME,
    Control,
    FaultFacts,
    Options,
    Overrides,
    Pki,
    clock_for,
    new_generation,
    read_control,
    write_control,
)
from rightsmanager.lab.folders import LOCK, Folders, WorldFolder
from rightsmanager.lab.opened import OpenWorlds
from rightsmanager.lab.storage import Storage
from rightsmanager.lab.watching import SETTLE_SECONDS
from rightsmanager.store import emptying

NAME_TEXT: Final = "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit"
PARTS: Final = (*emptying.PARTS, "journal", "clock", "faults", "settings")
"""The parts of a world that can be reset by themselves."""
MAX_EXPIRES_SECONDS: Final = 366 * 86400


@dataclass(frozen=True, slots=True)
class WorldRequest:
    """The options of a new world; None for defaults."""

    name: str | None = None
    seed: int | None = None
    clock: ClockChange | None = None
    pki: Pki = "shared"
    settings: Overrides = field(default_factory=dict)
    expires_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class WorldFacts:
    """A world as operators see it."""

    name: str
    created_at: float
    last_used_at: float
    """Unix seconds of the system's clock, some seconds too early."""
    control: Control
    now: int
    """The reading of its clock."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of all worlds of a server."""

    max_worlds: int
    idle_seconds: float
    """The time after which an unused world is closed."""
    expires_after_seconds: int
    """The default of new worlds."""


@dataclass(eq=False)
class Worlds:
    """The worlds of a server."""

    folders: Folders
    storage: Storage
    opened: OpenWorlds
    limits: Limits
    check_settings: Callable[[Overrides], None]
    """Raises InvalidMessage for settings that no world can have."""
    revision: str
    rng: Rng = system_random
    real: Callable[[], float] = time.time
    _budget: int = 0
    """The worlds that may be made before they are counted again."""

    def create(self, request: WorldRequest) -> WorldFacts:
        """Create a world; raises Conflict if it exists, and InvalidMessage."""
        name = f"w{self.rng(8).hex()}" if request.name is None else request.name
        refuse_name(name)
        options = self._options(request)
        with self.folders.lock(name):
            folder = self.folders.world(name)
            if read_control(folder.control) is not None:
                raise Conflict(f"there is a world {name!r} already")
            return self._facts(name, self._make(folder, options))

    def ensure(self, name: str) -> None:
        """Create a world with default options unless it exists.

        Raises InvalidMessage, and Conflict if there are too many.
        """
        refuse_name(name)
        folder = self.folders.world(name)
        with self.folders.lock(name):
            if read_control(folder.control) is None:
                self._make(folder, self._options(WorldRequest()))

    def find(self, name: str) -> WorldFacts:
        """Return a world; raises NotFound."""
        return self._facts(name, self._expect(name))

    def find_page(self, limit: int, after: str | None) -> tuple[tuple[WorldFacts, ...], str | None]:
        """Return worlds by name after one, and the name that the next page is after."""
        found: list[WorldFacts] = []
        names = [name for name in self.folders.find_names() if after is None or name > after]
        for name in names:
            read = read_control(self.folders.world(name).control)
            if read is None:
                continue
            if len(found) == limit:
                return tuple(found), found[-1].name
            found.append(self._facts(name, read[0]))
        return tuple(found), None

    def delete(self, name: str) -> None:
        """Remove a world; requests that are in it end as if it still existed. Raises NotFound."""
        with self.folders.lock(name):
            removed = self._expect(name)
            self.folders.world(name).remove_state()
        self._discard_open(name, removed.generation)

    def reset(self, name: str, parts: Collection[str] | None = None) -> WorldFacts:
        """Give a world, or parts of it, the state in which it was created.

        A missing world is created. If everything is reset, requests that are in it end in the old
        state. parts: some of PARTS, None for everything. Raises InvalidMessage.
        """
        self.ensure(name)
        if parts is None:
            return self.update(name, self._emptied)
        with self.opened.using(name) as world:
            emptying.empty(world.server.store, [each for each in emptying.PARTS if each in parts])
            # After it: a server that another worker builds before has caches of what goes.
            facts = self.update(name, lambda control, _: _reset_control(control, parts))
            if "journal" in parts:
                # Entries of requests that were answered go too.
                world.server.journal.settle(SETTLE_SECONDS)
                world.server.journal.clear()
        return facts

    def change_clock(self, name: str, change: ClockChange) -> WorldFacts:
        """Change the clock of a world; raises NotFound and InvalidMessage."""

        def changed(control: Control, _: WorldFolder) -> Control:
            clock = control.options.clock.change(change, self.real())
            return _with(control, replace(control.options, clock=clock))

        return self.update(name, changed)

    def change_seed(self, name: str, seed: int | None) -> WorldFacts:
        """Give a world a seed, or none; raises NotFound and InvalidMessage."""
        refuse_seed(seed)
        return self.update(
            name, lambda control, _: _with(control, replace(control.options, seed=seed))
        )

    def change(
        self,
        name: str,
        settings: Overrides | None = None,
        expires_after_seconds: int | None = None,
    ) -> WorldFacts:
        """Change settings of a world, by section and name, and its lifetime.

        Raises NotFound and InvalidMessage.
        """

        def changed(control: Control, _: WorldFolder) -> Control:
            options = control.options
            merged = merge_settings(options.settings, settings or {})
            self.check_settings(merged)
            seconds = expires_after_seconds or options.expires_after_seconds
            return _with(control, replace(options, settings=merged, expires_after_seconds=seconds))

        return self.update(name, changed)

    def change_faults(
        self, name: str, change: Callable[[tuple[FaultFacts, ...]], tuple[FaultFacts, ...]]
    ) -> WorldFacts:
        """Replace the faults of a world by what a function makes of them; raises NotFound."""
        return self.update(
            name, lambda control, _: replace(control, faults=tuple(change(control.faults)))
        )

    def update(self, name: str, change: Callable[[Control, WorldFolder], Control]) -> WorldFacts:
        """Replace the control state of a world by what a function makes of it; raises NotFound."""
        folder = self.folders.world(name)
        with self.folders.lock(name):
            before = self._expect(name)
            after = change(before, folder)
            write_control(folder.control, after)
            folder.note_use()
        if after.generation != before.generation:
            self._discard_open(name, before.generation)
        return self._facts(name, after)

    def _emptied(self, control: Control, folder: WorldFolder) -> Control:
        generation = new_generation()
        folder.add_place(generation)
        return Control(
            generation=generation,
            revision=self.revision,
            created_at=control.created_at,
            options=control.initial,
            initial=control.initial,
        )

    def _options(self, request: WorldRequest) -> Options:
        refuse_seed(request.seed)
        self.check_settings(request.settings)
        clock = clock_for(request.seed)
        if request.clock is not None:
            # With a seed it stays frozen, unless the change says otherwise.
            clock = clock.change(request.clock, self.real())
        seconds = request.expires_after_seconds
        return Options(
            seed=request.seed,
            clock=clock,
            settings=request.settings,
            pki=request.pki,
            expires_after_seconds=self.limits.expires_after_seconds if seconds is None else seconds,
        )

    def _make(self, folder: WorldFolder, options: Options) -> Control:
        self._refuse_surplus()
        control = Control(
            generation=new_generation(),
            revision=self.revision,
            created_at=self.real(),
            options=options,
            initial=options,
        )
        folder.add_place(control.generation)
        write_control(folder.control, control)
        folder.note_use()
        return control

    def _refuse_surplus(self) -> None:
        """Raise Conflict if there are as many worlds as there may be."""
        # Counting thousands takes milliseconds: half of what is left may be made without.
        if self._budget <= 0:
            left = self.limits.max_worlds - len(self.folders.find_names())
            if left <= 0:
                raise Conflict(
                    f"the server has {self.limits.max_worlds} worlds, expected fewer: remove some, "
                    "or raise lab.max_worlds"
                )
            self._budget = (left + 1) // 2
        self._budget -= 1

    def _expect(self, name: str) -> Control:
        found = read_control(self.folders.world(name).control) if NAME.fullmatch(name) else None
        if found is None:
            raise NotFound(f"there is no world {name[:64]!r}")
        return found[0]

    def _facts(self, name: str, control: Control) -> WorldFacts:
        used_at = self.folders.world(name).used_at()
        now = int(control.options.clock.read(self.real()))
        last_used_at = max(used_at, control.created_at)
        return WorldFacts(name, control.created_at, last_used_at, control, now)

    def _discard_open(self, name: str, generation: str) -> None:
        # Another request may have made the world again, and opened it.
        for world in self.opened.find_open():
            if (world.name, world.control.generation) == (name, generation):
                self.opened.retire(world, is_discarded=True)

    # --- housekeeping -----------------------------------------------------------------------------

    def sweep_open(self) -> None:
        """Note the uses of open worlds, close the idle ones, and remove those that are gone."""
        now = time.monotonic()
        for world in self.opened.find_open():
            if not world.is_noted:
                world.is_noted = True
                world.folder.note_use()
            lifetime = world.control.options.expires_after_seconds
            is_gone = not world.folder.control.exists()
            is_idle = now - world.used_at > min(self.limits.idle_seconds, lifetime)
            if (is_idle or is_gone) and not world.users:
                self.opened.retire(world, is_discarded=is_gone)
        for world in self.opened.close_retired():
            if world.is_discarded:
                self.sweep_folder(world.name)

    def prepare(self) -> None:
        """Make in advance what the next worlds need."""
        self.storage.prepare()

    def collect(self) -> None:
        """Remove what processes that were killed have left."""
        names = self.folders.find_names()
        self.storage.collect(
            place for name in names for place in self.folders.world(name).find_places()
        )

    def sweep_folder(self, name: str) -> None:
        """Remove a world if it has expired, and the stores that it no longer has."""
        folder = self.folders.world(name)
        with self.folders.lock(name):
            found = read_control(folder.control)
            if found is not None and self._is_over(folder, found[0]):
                found = None
            if found is None:
                # After a removal too: a snapshot that was made meanwhile leaves its folder.
                folder.remove_state()
            kept = None if found is None else folder.place(found[0].generation)
            for place in folder.find_places():
                if place != kept:
                    self._remove_place(place)
            if kept is None:
                folder.remove_empty()

    def _is_over(self, folder: WorldFolder, control: Control) -> bool:
        """Return whether a world has expired and no process has it open."""
        used_at = max(folder.used_at(), control.created_at)
        if used_at + control.options.expires_after_seconds > self.real():
            return False
        lock = locks.take(folder.place(control.generation) / LOCK)
        if lock is not None:
            os.close(lock)
        return lock is not None

    def _remove_place(self, place: Path) -> None:
        lock = locks.take(place / LOCK)
        if lock is not None:
            try:
                self.storage.remove(place)
            finally:
                os.close(lock)


def refuse_name(name: str) -> None:
    """Raise InvalidMessage for an invalid name of a world."""
    if not NAME.fullmatch(name):
        raise InvalidMessage(f"the world's name is {name[:80]!r}, expected {NAME_TEXT}")


def refuse_seed(seed: int | None) -> None:
    """Raise InvalidMessage for a number that cannot be a seed."""
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise InvalidMessage(f"seed is {seed}, expected 0 to {MAX_SEED}")


def merge_settings(before: Overrides, changes: Overrides) -> Overrides:
    """Return settings with some of them replaced."""
    sections = [*before, *(name for name in changes if name not in before)]
    return {name: {**before.get(name, {}), **changes.get(name, {})} for name in sections}


def _reset_control(control: Control, parts: Collection[str]) -> Control:
    """Return the control state with some of PARTS as they were at first."""
    options, initial = control.options, control.initial
    if "clock" in parts:
        options = replace(options, clock=initial.clock)
    if "settings" in parts:
        options = replace(options, settings=initial.settings)
    faults = () if "faults" in parts else control.faults
    is_stored = not emptying.PARTS.keys().isdisjoint(parts)
    epoch = control.epoch + 1 if is_stored else control.epoch
    return replace(control, options=options, faults=faults, epoch=epoch)


def _with(control: Control, options: Options) -> Control:
    return replace(control, options=options)
