"""Counts of all worker processes, in memory that they share.

The memory is made before the workers are forked. Each worker adds to a row of its own, so that no
two processes write the same cell, and any of them reads all rows. The counts of a worker that was
killed stay; the worker that takes over its row adds to them.

    row 0           of the whole server: rows in use, CPU seconds of ended workers
    row 1           of a process outside gunicorn
    rows 2, 3, …    of workers

The files of prometheus_client's own multiprocess mode would do the same for three times the cost,
and need a folder that is emptied at each start.
"""

import mmap
import os
from collections.abc import Collection
from threading import Lock
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from rightsmanager.hooks.backend.breaker import CallOutcome
from rightsmanager.monitoring.layout import (
    CONNECTION_CELLS,
    HOOK_CALL_CELLS,
    PROCESS_CELLS,
    REFUSAL_CELLS,
    REFUSAL_STATUSES,
    WIDTH,
)
from rightsmanager.store.database import Values

MAX_WORKERS: Final = 500
"""Workers that live at the same time, those of before a reload included."""
FIRST_WORKER: Final = 2
_OWN_ROW: Final = 1
_USED, _ENDED_CPU = range(2)
"""Cells of row 0."""
_FLOAT_BYTES: Final = 8
_REFUSALS: Final = {status: REFUSAL_CELLS[at] for at, status in enumerate(REFUSAL_STATUSES)}
_OTHER_REFUSAL: Final = REFUSAL_CELLS[-1]
_HOOK_CALLS: Final = dict(zip(CallOutcome, HOOK_CALL_CELLS, strict=True))


class Meter(Protocol):
    """A part of the server that counts: it adds to its values, wherever they are kept."""

    values: Values


class SharedCells:
    """The rows of all processes."""

    def __init__(self) -> None:
        # Pages that no row uses take no memory.
        size = _FLOAT_BYTES * WIDTH * (FIRST_WORKER + MAX_WORKERS)
        self._all = memoryview(mmap.mmap(-1, size)).cast("d")
        self._server = self._row(0)
        self._server[_USED] = FIRST_WORKER
        # Of servers that are gone there is nothing to count: each reload makes one to check it.
        self._meters = WeakKeyDictionary[Meter, range]()
        self.own = self._row(_OWN_ROW)
        """The row of this process."""
        self._lock = Lock()

    def bind(self, meter: Meter, cells: range) -> None:
        """Let a meter add to some cells of this process's row."""
        self._meters[meter] = cells
        self._bind(meter, cells)

    def reserve(self, taken: Collection[int]) -> int:
        """Return the row for a new worker: one that no living worker has."""
        # In the parent of all workers, so no two of them choose at once.
        free = (row for row in range(FIRST_WORKER, FIRST_WORKER + MAX_WORKERS) if row not in taken)
        # Beyond the limit workers share a row, and may lose counts.
        row = next(free, FIRST_WORKER + MAX_WORKERS - 1)
        self._server[_USED] = max(self._server[_USED], row + 1)
        return row

    def enter(self, row: int) -> None:
        """Make a row this process's own, after the fork."""
        self.own = self._row(row)
        self.own[PROCESS_CELLS.start] = os.getpid()
        self.own[CONNECTION_CELLS.start] = 0
        for meter, cells in self._meters.items():
            self._bind(meter, cells)

    def count_refusal(self, status: str) -> None:
        """Count an answer that is a refusal, by the status at the beginning of its line."""
        cell = _REFUSALS.get(status[:3], _OTHER_REFUSAL)
        # Threads of requests and the main thread of a worker.
        with self._lock:
            self.own[cell] += 1

    def count_hook_call(self, outcome: CallOutcome) -> None:
        """Count a call of the back end of hooks."""
        # Threads of requests, in any world.
        with self._lock:
            self.own[_HOOK_CALLS[outcome]] += 1

    def leave(self, row: int, ended_cpu_seconds: float) -> None:
        """Note that the worker of a row has ended, and the CPU seconds of all that have."""
        cells = self._row(row)
        cells[PROCESS_CELLS.start] = cells[CONNECTION_CELLS.start] = 0
        self._server[_ENDED_CPU] = ended_cpu_seconds

    def totals(self) -> list[float]:
        """Return the sum of all rows, cell by cell."""
        rows = [self._row(row).tolist() for row in range(_OWN_ROW, int(self._server[_USED]))]
        return [sum(column) for column in zip(*rows, strict=True)]

    def processes(self) -> list[int]:
        """Return the ids of the living workers, or this process's own without any."""
        cells = (
            self._all[row * WIDTH + PROCESS_CELLS.start]
            for row in range(FIRST_WORKER, int(self._server[_USED]))
        )
        return [int(each) for each in cells if each] or [os.getpid()]

    @property
    def ended_cpu_seconds(self) -> float:
        """The CPU seconds of all workers that have ended."""
        return float(self._server[_ENDED_CPU])

    def _row(self, row: int) -> "memoryview[Any]":
        return self._all[row * WIDTH : (row + 1) * WIDTH]

    def _bind(self, meter: Meter, cells: range) -> None:
        meter.values = self.own[cells.start : cells.stop]


SHARED_CELLS: Final = SharedCells()
