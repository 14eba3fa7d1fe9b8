"""Snapshots of a world: its store, journal, clock, settings and faults at one moment.

    DATA/worlds/NAME/snapshots/S/snapshot.json      revision and kind of the store, and the time
                                /control.json       the control state
                                /…                  the store's own files

A snapshot of another revision or database is refused: its rows would not fit into the tables.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.lab import control, locks
from rightsmanager.lab.clock import SYSTEM_CLOCK
from rightsmanager.lab.control import NAME, Control, new_generation, read_control
from rightsmanager.lab.folders import LOCK, WorldFolder
from rightsmanager.lab.watching import SETTLE_SECONDS
from rightsmanager.lab.worlds import NAME_TEXT, WorldFacts, Worlds

MAX_SNAPSHOTS: Final = 100
"""The most snapshots of a world."""
_FILE: Final = "snapshot.json"


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot."""

    name: str
    created_at: float
    """Unix seconds, by the system's clock."""
    revision: str
    """Of the store's schema."""
    kind: str
    """Of the database: `sqlite` or `postgresql`."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of all worlds."""

    worlds: Worlds

    def create(self, name: str, snapshot: str | None) -> SnapshotFacts:
        """Make a snapshot of a world; raises NotFound, Conflict and InvalidMessage."""
        chosen = f"s{secrets.token_hex(8)}" if snapshot is None else snapshot
        if not NAME.fullmatch(chosen):
            raise InvalidMessage(f"the snapshot's name is {chosen[:80]!r}, expected {NAME_TEXT}")
        folder = self.worlds.folders.world(name)
        with self.worlds.opened.using(name) as world:
            self._refuse_taken(folder, chosen)
            storage = self.worlds.storage
            now = self.worlds.real()
            facts = SnapshotFacts(chosen, now, world.control.revision, storage.kind)
            world.server.journal.settle(SETTLE_SECONDS)
            draft = _draft(folder)
            try:
                storage.save(folder.place(world.control.generation), draft)
                (draft / control.FILE).write_bytes(control.build_control(world.control))
                (draft / _FILE).write_text(json.dumps(_json(facts)))
                self._keep(name, folder, draft, chosen)
            except Exception:
                self._refuse_removed(name, world.control.generation)
                raise
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return facts

    def find_all(self, name: str) -> tuple[SnapshotFacts, ...]:
        """Return the snapshots of a world by name; raises NotFound."""
        self.worlds.find(name)
        found = (_read(each) for each in _folders(self.worlds.folders.world(name)))
        return tuple(each for each in found if each is not None)

    def restore(self, name: str, snapshot: str) -> WorldFacts:
        """Give a world the state of a snapshot; requests that are in it end in the old state.

        Raises NotFound, and Conflict for a snapshot of another revision or database.
        """
        self.worlds.find(name)
        folder = self.worlds.folders.world(name)
        source = folder.snapshots / snapshot
        facts = self._expect(source, snapshot)
        self._refuse_foreign(facts)
        with self._new_place(name, folder) as (generation, place):
            try:
                self.worlds.storage.load(source, place)
                saved = control.parse_control((source / control.FILE).read_bytes())
            except FileNotFoundError:
                raise NotFound(f"there is no snapshot {snapshot!r} any more") from None

            def restored(before: Control, _: WorldFolder) -> Control:
                return replace(
                    self._run_on(saved, facts),
                    generation=generation,
                    created_at=before.created_at,
                    epoch=before.epoch + 1,
                    initial=before.initial,
                )

            return self.worlds.update(name, restored)

    def delete(self, name: str, snapshot: str) -> None:
        """Remove a snapshot; raises NotFound."""
        self.worlds.find(name)
        folder = self.worlds.folders.world(name)
        self._expect(folder.snapshots / snapshot, snapshot)
        hidden = folder.snapshots / f".{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            (folder.snapshots / snapshot).rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def _run_on(self, saved: Control, facts: SnapshotFacts) -> Control:
        """Return the control state, whose clock goes on from the time that it read then."""
        clock = saved.options.clock
        if clock != SYSTEM_CLOCK and not clock.is_frozen:
            at = clock.at + (facts.created_at - clock.real_at) * clock.drift
            clock = replace(clock, at=at, real_at=self.worlds.real())
        return replace(saved, options=replace(saved.options, clock=clock))

    def _refuse_removed(self, name: str, generation: str) -> None:
        """Raise NotFound or Conflict if the world was removed, and the folders with it."""
        if self.worlds.find(name).control.generation != generation:
            raise Conflict(f"the world {name!r} was removed meanwhile: make the snapshot again")

    def _refuse_taken(self, folder: WorldFolder, snapshot: str) -> None:
        names = [each.name for each in _folders(folder)]
        if snapshot in names:
            raise Conflict(f"there is a snapshot {snapshot!r} already")
        if len(names) >= MAX_SNAPSHOTS:
            raise Conflict(f"the world has {MAX_SNAPSHOTS} snapshots, expected fewer: remove some")

    def _keep(self, name: str, folder: WorldFolder, draft: Path, snapshot: str) -> None:
        with self.worlds.folders.lock(name):
            self._refuse_taken(folder, snapshot)
            if read_control(folder.control) is None:
                raise NotFound(f"there is no world {name!r} any more")
            draft.rename(folder.snapshots / snapshot)

    def _expect(self, source: Path, snapshot: str) -> SnapshotFacts:
        found = _read(source) if NAME.fullmatch(snapshot) else None
        if found is None:
            raise NotFound(f"there is no snapshot {snapshot[:64]!r}")
        return found

    def _refuse_foreign(self, facts: SnapshotFacts) -> None:
        given = {"revision": facts.revision, "database": facts.kind}
        expected = {"revision": self.worlds.revision, "database": self.worlds.storage.kind}
        for what, value in given.items():
            if value != expected[what]:
                raise Conflict(
                    f"the snapshot {facts.name!r} is of the {what} {value}, "
                    f"expected {expected[what]}: make it again"
                )

    @contextmanager
    def _new_place(self, name: str, folder: WorldFolder) -> Iterator[tuple[str, Path]]:
        """Yield a new generation and its place, which is not removed meanwhile."""
        generation = new_generation()
        with self.worlds.folders.lock(name):
            place = folder.add_place(generation)
            lock = locks.share(place / LOCK)
        if lock is None:
            raise InternalError(f"the folder {place} cannot be locked")
        try:
            yield generation, place
        finally:
            os.close(lock)


def _draft(folder: WorldFolder) -> Path:
    draft = folder.snapshots / f".{secrets.token_hex(8)}"
    draft.mkdir(mode=0o700, parents=True)
    return draft


def _folders(folder: WorldFolder) -> list[Path]:
    try:
        return sorted(each for each in folder.snapshots.iterdir() if NAME.fullmatch(each.name))
    except FileNotFoundError:
        return []


def _json(facts: SnapshotFacts) -> dict[str, object]:
    return {"created_at": facts.created_at, "revision": facts.revision, "kind": facts.kind}


def _read(source: Path) -> SnapshotFacts | None:
    try:
        given = json.loads((source / _FILE).read_bytes())
        return SnapshotFacts(
            source.name, float(given["created_at"]), str(given["revision"]), str(given["kind"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
