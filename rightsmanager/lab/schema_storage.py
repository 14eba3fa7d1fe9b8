"""Stores of worlds in PostgreSQL: a schema each, which another world uses later.

    DATA/worlds/.schemas/REVISION/used/NAME    of worlds; the place's file `schema` has the name
                                 /spare/NAME   empty schemas; a rename takes one

A schema has its file before it exists, so that none is forgotten.
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rightsmanager.journal.journal import Journal, counts_folder
from rightsmanager.lab.storage import OpenedStore, copy_files

if TYPE_CHECKING:
    from rightsmanager.store.schemas import Schemas

MAX_SPARE: Final = 32
"""The most empty schemas that are kept."""
READY: Final = 8
"""The empty schemas that are made in advance."""
FORGOTTEN_SECONDS: Final = 60.0
"""The age at which a schema that no place has is that of a process that was killed."""
_FILE: Final = "schema"


@dataclass(frozen=True)
class SchemaStorage:
    """A schema for each place."""

    url: str
    folder: Path
    """Of the schemas' names, below that of all revisions."""
    busy_seconds: float
    max_open_journals: int = 4
    kind: str = "postgresql"

    def make(self, place: Path) -> None:
        """Take an empty schema, or create one."""
        if not (place / _FILE).exists():
            self._assign(place, self._take_spare() or self._create())

    def close(self) -> None:
        """Close the connections of all schemas."""
        self._schemas.close()

    def prepare(self) -> None:
        """Create an empty schema, if there are few."""
        if len(list(self._spare.glob("*"))) < READY:
            self._keep(self._create())

    def collect(self, places: Iterable[Path]) -> None:
        """Remove schemas that no place has, and those of other revisions."""
        for folder in self.folder.parent.iterdir():
            if folder != self.folder:
                for file in folder.glob("*/*"):
                    self._schemas.drop(file.name)
                shutil.rmtree(folder, ignore_errors=True)
        names = [file.name for file in self._used.glob("*")]
        assigned = {_name(place) for place in places}
        for name in names:
            if name not in assigned and self._is_forgotten(name):
                self._drop(name)

    def open(self, place: Path) -> OpenedStore:
        """Return the store of the place's schema."""
        from rightsmanager.store.schemas import SchemaJournal  # noqa: PLC0415 -- as below

        name = _name(place)
        database = SchemaJournal(self.url, schemas=self._schemas, schema=name)
        return OpenedStore(self._schemas.open(name), Journal(database, counts_folder(place)))

    def remove(self, place: Path) -> None:
        """Remove the folder, and empty its schema for another world."""
        name = _name(place)
        if name:
            (self._used / name).touch()
            self._schemas.empty(name)
        shutil.rmtree(place, ignore_errors=True)
        if not name:
            return
        if len(list(self._spare.glob("*"))) < MAX_SPARE:
            self._keep(name)
        else:
            self._drop(name)

    def save(self, place: Path, snapshot: Path) -> None:
        """Write all rows into files."""
        self._schemas.save(_name(place), snapshot)
        copy_files(place, snapshot)

    def load(self, snapshot: Path, place: Path) -> None:
        """Take an empty schema, and read the files."""
        copy_files(snapshot, place)
        name = self._take_spare() or self._create()
        self._schemas.load(name, snapshot)
        self._assign(place, name)

    @cached_property
    def _schemas(self) -> "Schemas":
        # Imported here: the driver takes 60 ms, which SQLite does not need.
        from rightsmanager.store.schemas import Schemas  # noqa: PLC0415

        return Schemas(self.url, self.busy_seconds)

    @cached_property
    def _used(self) -> Path:
        return _folder(self.folder / "used")

    @cached_property
    def _spare(self) -> Path:
        return _folder(self.folder / "spare")

    def _assign(self, place: Path, name: str) -> None:
        draft = place / f".{_FILE}"
        draft.write_text(name)
        draft.replace(place / _FILE)

    def _is_forgotten(self, name: str) -> bool:
        """Return whether no process is about to assign a schema, or to keep it."""
        try:
            age = time.time() - (self._used / name).stat().st_mtime
        except FileNotFoundError:
            return False
        return age > FORGOTTEN_SECONDS

    def _take_spare(self) -> str | None:
        for file in self._spare.glob("*"):
            # Another process may be first.
            with suppress(FileNotFoundError):
                os.utime(file)
                file.rename(self._used / file.name)
                return file.name
        return None

    def _create(self) -> str:
        name = f"lab_{secrets.token_hex(8)}"
        (self._used / name).touch()
        self._schemas.create(name)
        return name

    def _keep(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self._used / name).rename(self._spare / name)

    def _drop(self, name: str) -> None:
        self._schemas.drop(name)
        (self._used / name).unlink(missing_ok=True)


def _name(place: Path) -> str:
    """Return the name of a place's schema, empty if it has none yet."""
    try:
        return (place / _FILE).read_text()
    except FileNotFoundError:
        return ""


def _folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
