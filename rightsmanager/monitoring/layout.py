"""The counts that a process keeps: a row of floats, and the place of each count in it.

    requests      operation x outcome
    durations     a histogram for each operation
    stages        a histogram for each operation and stage
    licenses      licences issued
    database      transactions that read and wrote, their seconds, failures
    caches        hits and misses of each cache
    hook calls    calls of the back end of hooks, by outcome
    refusals      answers of pages and of HTTP itself, by status
    connections   open connections, the one figure that also falls
    process       the process's id, 0 once it has ended

A histogram has a cell for each bucket, and one for the sum. All labels are from closed sets: no
client can add a time series.
"""

from typing import Final

from rightsmanager.errors import StatusCode
from rightsmanager.hooks.backend.breaker import CallOutcome
from rightsmanager.hooks.exchange import STAGES
from rightsmanager.hooks.facts import KEY_PROTOCOLS
from rightsmanager.protocol.messages.operations import OPERATIONS

UNKNOWN: Final = "unknown"
"""The operation of a request that was refused before its envelope named one."""
OPERATION_LABELS: Final = (*OPERATIONS, *KEY_PROTOCOLS, UNKNOWN)
OK: Final = "ok"
OUTCOMES: Final = (OK, *(code.hex for code in StatusCode))
BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
"""Upper bounds of the buckets in seconds; the last bucket has none."""
CACHES: Final = ("chains", "clients", "headers", "revocations")

REFUSAL_STATUSES: Final = (
    *("400", "401", "403", "404", "405", "408", "409", "413", "414", "415", "422", "429", "431"),
    *("500", "501", "503", "505"),
)
OTHER: Final = "other"
"""The label of all other statuses."""

BUCKETS: Final = len(BOUNDS) + 1
HISTOGRAM: Final = BUCKETS + 1
"""Cells of a histogram: its buckets and the sum."""


def _next(before: range, length: int) -> range:
    return range(before.stop, before.stop + length)


REQUEST_CELLS: Final = range(len(OPERATION_LABELS) * len(OUTCOMES))
DURATION_CELLS: Final = _next(REQUEST_CELLS, len(OPERATION_LABELS) * HISTOGRAM)
STAGE_CELLS: Final = _next(DURATION_CELLS, len(OPERATION_LABELS) * len(STAGES) * HISTOGRAM)
LICENSE_CELLS: Final = _next(STAGE_CELLS, 1)
DATABASE_CELLS: Final = _next(LICENSE_CELLS, 5)
CACHE_CELLS: Final = _next(DATABASE_CELLS, 2 * len(CACHES))
HOOK_CALL_CELLS: Final = _next(CACHE_CELLS, len(CallOutcome))
REFUSAL_CELLS: Final = _next(HOOK_CALL_CELLS, len(REFUSAL_STATUSES) + 1)
CONNECTION_CELLS: Final = _next(REFUSAL_CELLS, 1)
PROCESS_CELLS: Final = _next(CONNECTION_CELLS, 1)
WIDTH: Final = PROCESS_CELLS.stop
"""Cells of a row."""
