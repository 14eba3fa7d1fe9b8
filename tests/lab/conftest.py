"""Worlds in this process, with a stub in place of each server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.journal.journal import Journal
from rightsmanager.lab.control import Overrides
from rightsmanager.lab.faults.fault import Fault
from rightsmanager.lab.folders import Folders
from rightsmanager.lab.opened import OpenWorlds, Plan, Wsgi
from rightsmanager.lab.schema_storage import SchemaStorage
from rightsmanager.lab.storage import SqliteStorage, Storage
from rightsmanager.lab.worlds import Limits, Worlds
from rightsmanager.store.database import Store
from rightsmanager.store.schema import newest_revision

NOW = 1_790_000_000.0


@dataclass
class StubServer:
    """A server that only says whether it is closed."""

    plan: Plan
    ended: list[bool] = field(default_factory=list)
    is_closed: bool = False

    def wsgi(self, _environ: dict[str, Any], _start_response: Callable[..., Any]) -> list[bytes]:
        return [self.plan.name.encode()]

    @property
    def store(self) -> Store:
        return self.plan.stored.store

    @property
    def journal(self) -> Journal:
        return self.plan.stored.journal

    def with_faults(self, _faults: Sequence[Fault]) -> Wsgi:
        return self.wsgi

    def end(self, *, is_discarded: bool) -> None:
        self.ended.append(is_discarded)

    def close(self) -> None:
        self.is_closed = True
        self.store.close()


@dataclass
class Lab:
    """The worlds of a process, and the servers that it has built."""

    worlds: Worlds
    storage: Storage
    built: list[StubServer]
    clock: list[float]

    @property
    def folders(self) -> Folders:
        return self.worlds.folders

    def sweep_folders(self) -> None:
        """Look through all folders, as the sweeper does little by little."""
        for name in self.folders.find_names():
            self.worlds.sweep_folder(name)


MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(tmp_path: Path, database_url: str) -> Iterator[MakeLab]:
    """Yield a function that makes worlds over one folder and database, as each worker does."""
    made: list[Lab] = []

    def make(*, max_open: int = 8, max_worlds: int = 100) -> Lab:
        folders = Folders(tmp_path / "worlds")
        storage = make_storage(folders, database_url)
        built: list[StubServer] = []
        clock = [NOW]

        def build(plan: Plan) -> StubServer:
            built.append(StubServer(plan))
            return built[-1]

        revision = newest_revision()
        opened = OpenWorlds(folders, storage, build, revision, max_open)
        limits = Limits(max_worlds, idle_seconds=60.0, expires_after_seconds=3600)
        worlds = Worlds(folders, storage, opened, limits, refuse_nothing_but_x, revision)
        worlds.real = lambda: clock[0]
        made.append(Lab(worlds, storage, built, clock))
        return made[-1]

    yield make
    for lab in made:
        for world in lab.worlds.opened.find_open():
            lab.worlds.opened.retire(world)
        lab.worlds.opened.close_retired()
        lab.storage.close()


def make_storage(folders: Folders, url: str) -> Storage:
    if url.startswith("sqlite"):
        return SqliteStorage(folders.templates / "newest", 5.0)
    return SchemaStorage(url, folders.root / ".schemas" / "newest", 5.0)


def refuse_nothing_but_x(changes: Overrides) -> None:
    if "x" in changes:
        raise InvalidMessage("there is a section x, expected another one")


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()
