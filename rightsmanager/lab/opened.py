"""The worlds that this process has open: a bounded number, each as long as it is used.

A request costs a lookup and a `stat` of the control file. If that was replaced, the world takes the
new clock and faults, or is built again if its store, seed, settings or keys are others. Requests
that began before that end in the old one.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.errors import InternalError
from rightsmanager.journal.journal import Journal
from rightsmanager.lab import locks
from rightsmanager.lab.clock import WorldClock
from rightsmanager.lab.control import Control, Identity, identify, read_control
from rightsmanager.lab.faults.fault import Fault, fault_from
from rightsmanager.lab.folders import LOCK, Folders, WorldFolder
from rightsmanager.lab.randomness import RequestLog, SeededRandom
from rightsmanager.lab.storage import REQUESTS_FILE, OpenedStore, Storage
from rightsmanager.store.database import Store

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
_ATTEMPTS: Final = 20
"""The most resets in a row that one request follows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the server of a world is built from."""

    name: str
    folder: WorldFolder
    control: Control
    stored: OpenedStore
    clock: WorldClock
    rng: Rng
    place: Path
    """The folder of its store."""


class WorldServer(Protocol):
    """The server of a world."""

    @property
    def wsgi(self) -> Wsgi:
        """Answers requests."""

    @property
    def store(self) -> Store:
        """The store of its operations."""

    @property
    def journal(self) -> Journal:
        """The journal, for readers."""

    def with_faults(self, faults: Sequence[Fault]) -> Wsgi:
        """Return an application that answers requests with faults."""

    def end(self, *, is_discarded: bool) -> None:
        """Begin to close the journal; `is_discarded` if it will not be read again."""

    def close(self) -> None:
        """Close the store and the journal."""


Build = Callable[[Plan], WorldServer]


@dataclass(eq=False, slots=True)
class OpenWorld:
    """A world that this process has open."""

    name: str
    folder: WorldFolder
    control: Control
    identity: Identity
    server: WorldServer
    clock: WorldClock
    random: SeededRandom | None
    """None without a seed."""
    lock: int
    """The descriptor of the shared lock of its place."""
    control_file: str
    wsgi: Wsgi
    """Answers requests, with the faults that the world has now."""
    users: int = 0
    """The requests that are in it."""
    used_at: float = 0.0
    """Seconds of the monotonic clock."""
    is_noted: bool = False
    """Whether the last use is in the world's folder."""
    is_retired: bool = False
    """Whether it takes no further requests."""
    is_discarded: bool = False
    """Whether its store will not be used again."""

    def close(self) -> None:
        """Release everything that it has open."""
        try:
            self.server.close()
        finally:
            os.close(self.lock)


@dataclass(eq=False)
class OpenWorlds:
    """Opens worlds, and closes those that were used longest ago."""

    folders: Folders
    storage: Storage
    build: Build
    revision: str
    """The newest revision of the schema."""
    max_open: int
    on_opened: Callable[[], None] = lambda: None
    """Called when a world was opened."""
    on_retired: Callable[[], None] = lambda: None
    """Called when a world is to be closed, which may take a while."""
    _open: dict[str, OpenWorld] = field(default_factory=dict)
    _retired: list[OpenWorld] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: WeakValueDictionary[str, threading.Lock] = field(default_factory=WeakValueDictionary)
    """The locks of worlds that are being opened; one is there as long as a thread has it."""

    @contextmanager
    def using(self, name: str) -> Iterator[OpenWorld]:
        """Yield a world, which stays open meanwhile; raises NotFound."""
        world = self.enter(name)
        try:
            yield world
        finally:
            self.leave(world)

    def enter(self, name: str) -> OpenWorld:
        """Return a world, which stays open until `leave`; raises NotFound."""
        world = self._open.get(name)
        if world is not None and identify(world.control_file) == world.identity:
            with self._lock:
                if not world.is_retired:
                    world.users += 1
                    return world
        return self._enter_changed(name)

    def leave(self, world: OpenWorld) -> None:
        """End a use of a world."""
        with self._lock:
            world.users -= 1
            world.used_at = time.monotonic()
            world.is_noted = False
            is_over = world.is_retired and not world.users
        if is_over:
            self.on_retired()

    def find_open(self) -> list[OpenWorld]:
        """Return the open worlds."""
        with self._lock:
            return list(self._open.values())

    def retire(self, world: OpenWorld, *, is_discarded: bool = False) -> None:
        """Take no further requests into a world, which is closed when the last one has ended."""
        with self._lock:
            self._retire(world, is_discarded=is_discarded)
        self.on_retired()

    def close_retired(self) -> list[OpenWorld]:
        """Close the retired worlds that no request is in, and return them."""
        with self._lock:
            over = [each for each in self._retired if not each.users]
            self._retired = [each for each in self._retired if each.users]
        # All journals at once, which their one writer then does in a row.
        for each in over:
            each.server.end(is_discarded=each.is_discarded)
        for each in over:
            each.close()
        return over

    def _retire(self, world: OpenWorld, *, is_discarded: bool) -> None:
        world.is_discarded |= is_discarded
        if not world.is_retired:
            world.is_retired = True
            self._retired.append(world)
            if self._open.get(world.name) is world:
                del self._open[world.name]

    def _enter_changed(self, name: str) -> OpenWorld:
        with self._lock:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            return self._refresh(name)

    def _refresh(self, name: str) -> OpenWorld:
        """Return the world in its present state, and count a use of it."""
        folder = self.folders.world(name)
        for _ in range(_ATTEMPTS):
            # Looked up first: an open world of a later control state must not be discarded.
            world = self._open.get(name)
            found = read_control(folder.control)
            if found is None:
                if world is not None:
                    self.retire(world, is_discarded=True)
                raise NotFound(f"there is no world {name!r}")
            if found[0].revision != self.revision:
                raise Conflict(
                    f"the world {name!r} was made with revision {found[0].revision}, expected "
                    f"{self.revision}: reset it"
                )
            taken = self._take_over(world, *found) or self._open_new(name, folder, *found)
            if taken is not None:
                return taken
        raise InternalError(f"the world {name!r} is changed too often to be opened")

    def _take_over(
        self, world: OpenWorld | None, control: Control, identity: Identity
    ) -> OpenWorld | None:
        """Return the open world with a new clock and faults, None if it has to be built again."""
        if world is None or world.control.building != control.building:
            return None
        with self._lock:
            if world.is_retired:
                return None
            world.clock.setting = control.options.clock
            world.control, world.identity = control, identity
            world.wsgi = _with_faults(world.server, control)
            world.users += 1
            return world

    def _open_new(
        self, name: str, folder: WorldFolder, control: Control, identity: Identity
    ) -> OpenWorld | None:
        """Return a newly opened world, None if it has changed meanwhile."""
        place = folder.place(control.generation)
        lock = locks.share(place / LOCK)
        # Until now, another process may have removed the place.
        if lock is None or identify(folder.control) != identity:
            _release(lock)
            return None
        try:
            world = self._build(name, folder, control, identity, lock)
        except BaseException:
            os.close(lock)
            raise
        self._keep(world)
        return world

    def _build(
        self, name: str, folder: WorldFolder, control: Control, identity: Identity, lock: int
    ) -> OpenWorld:
        place = folder.place(control.generation)
        with self.folders.lock(name):
            self.storage.make(place)
        clock = WorldClock(control.options.clock)
        seed = control.options.seed
        random = None if seed is None else SeededRandom(seed, RequestLog(place / REQUESTS_FILE))
        stored = self.storage.open(place)
        plan = Plan(name, folder, control, stored, clock, random or system_random, place)
        server = self.build(plan)
        return OpenWorld(
            name=name,
            folder=folder,
            control=control,
            identity=identity,
            server=server,
            wsgi=_with_faults(server, control),
            clock=clock,
            random=random,
            lock=lock,
            control_file=str(folder.control),
            users=1,
        )

    def _keep(self, world: OpenWorld) -> None:
        with self._lock:
            before = self._open.get(world.name)
            if before is not None:
                is_other = before.control.generation != world.control.generation
                self._retire(before, is_discarded=is_other)
            self._open[world.name] = world
            surplus = len(self._open) - self.max_open
            idle = [each for each in self._open.values() if not each.users]
            idle.sort(key=lambda each: each.used_at)
            for each in idle[: max(0, surplus)]:
                self._retire(each, is_discarded=False)
            is_any, is_late = bool(self._retired), len(self._retired) > self.max_open
        self.on_opened()
        if is_late:
            # More are opened than the thread closes.
            self.close_retired()
        elif is_any:
            self.on_retired()


def _with_faults(server: WorldServer, control: Control) -> Wsgi:
    """Return the application of a world with its faults, if it has any."""
    if not control.faults:
        return server.wsgi
    return server.with_faults(tuple(map(fault_from, control.faults)))


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
