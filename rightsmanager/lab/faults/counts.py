"""Counts how often each fault was met and used, in a file that all workers share.

    record   fault id(8), requests that matched u64, requests that it acted on u64

A lock on the file makes the decisions of all workers and threads one after the other, so that a
fault with a count of 1 acts exactly once. Changed records are written in place by one call, so that
a killed worker leaves whole ones. Records of removed faults are dropped when others are added.
"""

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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


class Tally:
    """The counts of all faults, while the lock is held."""

    def __init__(self, records: dict[bytes, _Record]) -> None:
        self._records = records
        self._first = self._end = 0
        """The places of changed records."""

    def match(self, fault: Fault) -> int:
        """Count a request that matches a fault; return its number, from 1."""
        record = self._change(fault)
        record.matched += 1
        return record.matched

    def used(self, fault: Fault) -> int:
        """Return the number of requests that a fault acted on."""
        found = self._records.get(_key(fault.id))
        return 0 if found is None else found.used

    def use(self, fault: Fault, by: int = 1) -> None:
        """Count a request that a fault acts on; -1 takes it back."""
        record = self._change(fault)
        record.used = max(0, record.used + by)

    def changes(self) -> tuple[int, bytes]:
        """Return the changed records, and their offset in the file."""
        changed = list(self._records.items())[self._first : self._end]
        return self._first * _RECORD.size, _build(changed)

    def _change(self, fault: Fault) -> _Record:
        key = _key(fault.id)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = _Record(len(self._records))
        if self._end == 0:
            self._first = record.place
        self._first = min(self._first, record.place)
        self._end = max(self._end, record.place + 1)
        return record


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
            tally = Tally(_load(opened, known))
            yield tally
            offset, data = tally.changes()
            os.pwrite(opened, data, offset)
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


def _key(fault_id: str) -> bytes:
    return bytes.fromhex(fault_id)


def _load(opened: int, known: Sequence[Fault]) -> dict[bytes, _Record]:
    """Return the records; without those of unknown faults if these are the larger part."""
    records = _parse(os.pread(opened, os.fstat(opened).st_size, 0))
    kept = {_key(fault.id) for fault in known}
    if not known or len(records) <= 2 * len(kept):
        return records
    left = [(key, each) for key, each in records.items() if key in kept]
    os.pwrite(opened, _build(left), 0)
    os.ftruncate(opened, len(left) * _RECORD.size)
    return {key: replace(each, place=place) for place, (key, each) in enumerate(left)}


def _build(records: Iterable[tuple[bytes, _Record]]) -> bytes:
    return b"".join(_RECORD.pack(key, each.matched, each.used) for key, each in records)


def _parse(data: bytes) -> dict[bytes, _Record]:
    whole = len(data) - len(data) % _RECORD.size
    records: dict[bytes, _Record] = {}
    for key, matched, used in _RECORD.iter_unpack(data[:whole]):
        # A worker that was killed while it dropped records leaves some of them twice.
        records.setdefault(key, _Record(len(records), matched, used))
    return records
