"""Counts how often each fault was met and used, in a file that all workers share.

    record   fault id(8), requests that matched u64, requests that it acted on u64

A lock on the file makes the decisions of all workers and threads one after the other, so that a
fault with a count of 1 acts exactly once. Records are changed in place: a worker that is killed
leaves whole ones. Records of removed faults are dropped when others are added.
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.lab.faults.fault import Fault

FILE: Final = "faults.counts"
"""The name of the file in a world's place."""
_RECORD: Final = struct.Struct(">8sQQ")


@dataclass(slots=True)
class _Record:
    """The counts of one fault."""

    place: int
    matched: int = 0
    used: int = 0


@dataclass(slots=True)
class Tally:
    """The counts of all faults, while the lock is held."""

    _file: int
    _records: dict[bytes, _Record] = field(default_factory=dict)

    def match(self, fault: Fault) -> int:
        """Count a request that matches a fault; return its number, from 1."""
        record = self._record(fault)
        record.matched += 1
        self._write(fault, record)
        return record.matched

    def used(self, fault: Fault) -> int:
        """Return the number of requests that a fault acted on."""
        found = self._records.get(_key(fault.id))
        return 0 if found is None else found.used

    def use(self, fault: Fault, by: int = 1) -> None:
        """Count a request that a fault acts on; -1 takes it back."""
        record = self._record(fault)
        record.used = max(0, record.used + by)
        self._write(fault, record)

    def _record(self, fault: Fault) -> _Record:
        key = _key(fault.id)
        if key not in self._records:
            self._records[key] = _Record(len(self._records))
        return self._records[key]

    def _write(self, fault: Fault, record: _Record) -> None:
        data = _RECORD.pack(_key(fault.id), record.matched, record.used)
        os.pwrite(self._file, data, record.place * _RECORD.size)


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a world's faults."""

    file: Path

    @contextmanager
    def locked(self, known: Sequence[Fault] = ()) -> Iterator[Tally]:
        """Lock the counts; other workers and threads wait. known: the faults that are kept."""
        opened = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield Tally(opened, _load(opened, known))
        finally:
            # Closing also unlocks.
            os.close(opened)

    def used(self) -> dict[str, int]:
        """Return the number of requests that each fault acted on, by fault id."""
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return {}
        return {key.hex(): record.used for key, record in _parse(data).items()}

    def forget(self) -> None:
        """Begin at zero again."""
        # Emptied and not removed: a worker may hold the lock of the file.
        with self.locked() as _:
            os.truncate(self.file, 0)


def _key(fault_id: str) -> bytes:
    return bytes.fromhex(fault_id)


def _load(opened: int, known: Sequence[Fault]) -> dict[bytes, _Record]:
    """Return the records; without those of unknown faults if these are the larger part."""
    records = _parse(os.pread(opened, os.fstat(opened).st_size, 0))
    kept = {_key(fault.id) for fault in known}
    if not known or len(records) <= 2 * len(kept):
        return records
    records = {key: each for key, each in records.items() if key in kept}
    for place, (key, record) in enumerate(records.items()):
        record.place = place
        data = _RECORD.pack(key, record.matched, record.used)
        os.pwrite(opened, data, place * _RECORD.size)
    os.ftruncate(opened, len(records) * _RECORD.size)
    return records


def _parse(data: bytes) -> dict[bytes, _Record]:
    whole = len(data) - len(data) % _RECORD.size
    return {
        key: _Record(place, matched, used)
        for place, (key, matched, used) in enumerate(_RECORD.iter_unpack(data[:whole]))
    }
