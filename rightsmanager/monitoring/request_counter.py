"""Counts each exchange of the service."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from rightsmanager.hooks.exchange import STAGES, Exchange
from rightsmanager.monitoring.layout import (
    BOUNDS,
    BUCKETS,
    CACHE_CELLS,
    CACHES,
    DURATION_CELLS,
    HISTOGRAM,
    LICENSE_CELLS,
    OPERATION_LABELS,
    OUTCOMES,
    REQUEST_CELLS,
    STAGE_CELLS,
    UNKNOWN,
)
from rightsmanager.monitoring.shared_cells import SharedCells

CACHES_SECONDS: Final = 1.0
"""Interval at which caches are counted: with each exchange, that would be 40 % of the cost."""
ISSUING: Final = "AcquireLicense"
CacheCounts = Mapping[str, Callable[[], tuple[int, int]]]
"""Returns the hits and misses of a cache since the process began, by the cache's name."""


@dataclass(frozen=True, slots=True)
class _Cells:
    """The first cell of each kind for an operation."""

    requests: int
    durations: int
    stages: int


_OPERATIONS: Final = {
    name: _Cells(
        REQUEST_CELLS.start + index * len(OUTCOMES),
        DURATION_CELLS.start + index * HISTOGRAM,
        STAGE_CELLS.start + index * len(STAGES) * HISTOGRAM,
    )
    for index, name in enumerate(OPERATION_LABELS)
}
_UNKNOWN: Final = _OPERATIONS[UNKNOWN]
_OUTCOMES: Final = {outcome: index for index, outcome in enumerate(OUTCOMES)}


class RequestCounter:
    """An observer that adds exchanges to the counts of its process."""

    def __init__(self, cells: SharedCells, caches: CacheCounts) -> None:
        self._cells = cells
        self._lock = Lock()
        self._caches = [
            (CACHE_CELLS.start + 2 * index, caches[name])
            for index, name in enumerate(CACHES)
            if name in caches
        ]
        self._counted = [(0, 0)] * len(self._caches)
        self._next_caches = 0.0

    def __call__(self, exchange: Exchange) -> None:
        """Count an exchange, by whichever thread served it."""
        at = _OPERATIONS.get(exchange.operation, _UNKNOWN)
        refusal = exchange.refusal
        outcome = 0 if refusal is None else _OUTCOMES[refusal.status.hex]
        seconds = exchange.ended - exchange.begun
        # One lock and no call of our own for each figure: this costs 1 % of a licence.
        with self._lock:
            own = self._cells.own
            own[at.requests + outcome] += 1
            own[at.durations + bisect_left(BOUNDS, seconds)] += 1
            own[at.durations + BUCKETS] += seconds
            stage = at.stages
            for spent in exchange.stages():
                own[stage + bisect_left(BOUNDS, spent)] += 1
                own[stage + BUCKETS] += spent
                stage += HISTOGRAM
            if refusal is None and exchange.operation == ISSUING:
                own[LICENSE_CELLS.start] += len(exchange.progress.kids)
            if exchange.ended >= self._next_caches:
                self._next_caches = exchange.ended + CACHES_SECONDS
                self._count_caches()

    def _count_caches(self) -> None:
        """Add what the caches have counted since the last time."""
        own, counted = self._cells.own, self._counted
        for index, (cell, find) in enumerate(self._caches):
            hits, misses = now = find()
            before = counted[index]
            own[cell] += hits - before[0]
            own[cell + 1] += misses - before[1]
            counted[index] = now
