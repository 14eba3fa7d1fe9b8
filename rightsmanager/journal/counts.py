"""Counts of each worker, in a file that outlives a worker that is killed.

A worker counts an entry before it sends the reply. Its file is mapped into memory, so the kernel
has the count at once, for a third of a microsecond. The worker holds a lock on its file. The file
of a worker that was killed is not locked: entries that it accepted, but neither stored nor dropped,
are lost.

    accepted, dropped, written      unsigned integers of 8 bytes, in the machine's order

The entries that were written are in the journal too, which an operator may delete.
"""

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.store.journal.entries import Accounting, WorkerCounts

SUFFIX: Final = ".counts"
_SIZE: Final = 24


class CountFile:
    """The counts of this worker; not thread-safe."""

    def __init__(self, folder: Path, worker: str) -> None:
        """Make the file; without one, as on a full disk, the counts end with the process."""
        self.worker = worker
        self.file = folder / f"{worker}{SUFFIX}"
        self._descriptor: int | None = None
        try:
            self._memory = self._make(folder)
        except OSError:
            self._discard()
            self._memory = mmap.mmap(-1, _SIZE)
        self._counts = memoryview(self._memory).cast("Q")

    @property
    def accepted(self) -> int:
        """The number of accepted entries."""
        return self._counts[0]

    @property
    def dropped(self) -> int:
        """The number of entries that will not be stored."""
        return self._counts[1]

    def accept(self) -> None:
        """Count an entry."""
        self._counts[0] += 1

    def drop(self, count: int) -> None:
        """Count entries that will not be stored."""
        self._counts[1] += count

    def note_written(self, count: int) -> None:
        """Keep the number of entries that were stored so far."""
        self._counts[2] = count

    def end(self, *, is_stored: bool) -> None:
        """Release the file; remove it if the counts are stored elsewhere."""
        if is_stored:
            self._discard()
        elif self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def leave(self) -> None:
        """After a fork, close the parent's file, which stays locked as long as it is open here."""
        self.end(is_stored=False)
        self._counts.release()
        # It has a descriptor of its own.
        self._memory.close()

    def _make(self, folder: Path) -> mmap.mmap:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        # Waits for a reader that is looking at the new file.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        # Written, not truncated to this size: a mapped hole on a full disk would end the process.
        os.write(self._descriptor, bytes(_SIZE))
        return mmap.mmap(self._descriptor, _SIZE)

    def _discard(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                self.file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The counts in a worker's file."""

    worker: str
    accepted: int
    dropped: int
    written: int
    is_running: bool


def read_counts(folder: Path) -> Iterator[WorkerState]:
    """Yield the counts of every worker that has a file."""
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        with _opened(file) as descriptor:
            if descriptor is None:
                continue
            is_running = not _lock(descriptor)
            data = os.pread(descriptor, _SIZE, 0)
            if len(data) == _SIZE:
                accepted, dropped, written = memoryview(data).cast("Q")
                worker = file.name.removesuffix(SUFFIX)
                yield WorkerState(worker, accepted, dropped, written, is_running)


def remove_counts(folder: Path, worker: str) -> None:
    """Remove the file of a worker that has ended."""
    with suppress(OSError):
        (folder / f"{worker}{SUFFIX}").unlink(missing_ok=True)


def add_up(stored: Iterable[WorkerCounts], states: Iterable[WorkerState]) -> Accounting:
    """Return the counts of all workers; `stored` was read before `states`."""
    total = {"accepted": 0, "written": 0, "dropped": 0, "lost": 0, "waiting": 0}
    rows = {each.worker: each for each in stored}
    by_worker = {each.worker: each for each in states}
    for worker in rows.keys() | by_worker.keys():
        row = rows.get(worker) or WorkerCounts(worker, 0, 0, 0)
        state = by_worker.get(worker)
        accepted = max(row.accepted, state.accepted if state else 0)
        dropped = max(row.dropped, state.dropped if state else 0)
        written = max(row.written, state.written if state else 0)
        total["accepted"] += accepted
        total["written"] += written
        total["dropped"] += dropped
        rest = max(0, accepted - dropped - written)
        total["waiting" if state and state.is_running else "lost"] += rest
    return Accounting(**total)


@contextmanager
def _opened(file: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Return whether a shared lock was taken, as it is on the file of a worker that has ended."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
