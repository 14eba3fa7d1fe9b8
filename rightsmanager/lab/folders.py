"""The files of worlds in the data folder.

    DATA/worlds/NAME/control.json       the control state
                    /used               its time is that of the last use
                    /GENERATION/        the store since the last reset, and its lock
                    /keyring, /public   the keys of a world with a PKI of its own
                    /snapshots/S/       a copy of control state and store
    DATA/worlds/.locks/                 locks of names
    DATA/worlds/.templates/             empty databases on SQLite
    DATA/worlds/.schemas/               the names of schemas on PostgreSQL
    DATA/worlds/.sweeping               the lock of the process that removes expired worlds

A world without a control state does not exist.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.lab import control, locks

LOCK: Final = "lock"
_GENERATION: Final = re.compile(r"[0-9a-f]{16}")
_USED: Final = "used"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folder of all worlds."""

    root: Path

    @property
    def templates(self) -> Path:
        """The folder of empty databases."""
        return self.root / ".templates"

    @property
    def sweep_lock(self) -> Path:
        """The file whose lock the process holds that removes expired worlds."""
        return self.root / ".sweeping"

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock of a world's name."""
        return locks.locked(self.root / ".locks", name)

    def find_names(self) -> list[str]:
        """Return the names of the folders of worlds, sorted."""
        try:
            with os.scandir(self.root) as entries:
                found = [each.name for each in entries if control.NAME.fullmatch(each.name)]
        except FileNotFoundError:
            return []
        return sorted(found)

    def world(self, name: str) -> "WorldFolder":
        """Return the folder of a world, which need not exist."""
        return WorldFolder(self.root / name)


@dataclass(frozen=True, slots=True)
class WorldFolder:
    """The folder of one world."""

    path: Path

    @property
    def control(self) -> Path:
        """The file of the control state."""
        return self.path / control.FILE

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots."""
        return self.path / "snapshots"

    def place(self, generation: str) -> Path:
        """Return the folder of a store."""
        return self.path / generation

    def add_place(self, generation: str) -> Path:
        """Make the folder of a store, without the store."""
        place = self.place(generation)
        place.mkdir(mode=0o700, parents=True)
        (place / LOCK).touch(0o600)
        return place

    def find_places(self) -> Iterator[Path]:
        """Yield the folders of all stores, those that a reset has left behind too."""
        # Other errors are raised: what is not found here may be removed.
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as entries:
            for each in entries:
                if _GENERATION.fullmatch(each.name):
                    yield Path(each.path)

    def note_use(self) -> None:
        """Set the time of the last use to now."""
        with suppress(OSError):
            # Not made for a world that was deleted meanwhile.
            if self.control.exists():
                (self.path / _USED).touch(0o600)

    def used_at(self) -> float:
        """Return the time of the last use in Unix seconds, 0 if there is none."""
        try:
            return (self.path / _USED).stat().st_mtime
        except OSError:
            return 0.0

    def remove_state(self) -> None:
        """Remove everything but stores; the control state first."""
        self.control.unlink(missing_ok=True)
        (self.path / _USED).unlink(missing_ok=True)
        # Of processes that were killed while they replaced it.
        for draft in self.path.glob(f".{control.FILE}.*"):
            draft.unlink(missing_ok=True)
        for each in ("snapshots", "keyring", "public"):
            shutil.rmtree(self.path / each, ignore_errors=True)

    def remove_empty(self) -> None:
        """Remove the folder if no store is left in it."""
        with suppress(OSError):
            self.path.rmdir()
