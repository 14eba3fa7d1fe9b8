"""The counts of all workers in Prometheus' form, written by its client library."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from rightsmanager.errors import InternalError, StatusCode
from rightsmanager.hooks.backend.breaker import CallOutcome
from rightsmanager.hooks.exchange import STAGES
from rightsmanager.monitoring.checks import DATABASE
from rightsmanager.monitoring.health import CheckResult
from rightsmanager.monitoring.layout import (
    BOUNDS,
    BUCKETS,
    CACHE_CELLS,
    CACHES,
    CONNECTION_CELLS,
    DATABASE_CELLS,
    DURATION_CELLS,
    HISTOGRAM,
    HOOK_CALL_CELLS,
    LICENSE_CELLS,
    OPERATION_LABELS,
    OTHER,
    OUTCOMES,
    REFUSAL_CELLS,
    REFUSAL_STATUSES,
    REQUEST_CELLS,
    STAGE_CELLS,
)
from rightsmanager.monitoring.shared_cells import SharedCells
from rightsmanager.store.journal.entries import Accounting

_CPU: Final = "process_cpu_seconds"
_LEAST: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""Figures of processes of which the least is shown; of all others it is the sum."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Figures that are found at each scrape."""

    check: Callable[[], tuple[CheckResult, ...]]
    """Returns the checks of readiness."""
    find_accounting: Callable[[], Accounting]
    """Returns the journal's counts over all workers; raises InternalError."""


def make_expose(
    cells: SharedCells, sources: Sources, build_info: Mapping[str, str]
) -> Callable[[str], tuple[bytes, str]]:
    """Return the function that writes the metrics in the form that an Accept header asks for."""
    # A registry of our own: the library's has figures of one process only.
    own = CollectorRegistry(auto_describe=False)
    own.register(CellsCollector(cells))
    own.register(ServerCollector(cells, sources, build_info))

    def expose(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(own), content_type

    return expose


class CellsCollector(Collector):
    """The counts that workers keep."""

    def __init__(self, cells: SharedCells) -> None:
        self._cells = cells

    def collect(self) -> Iterator[Metric]:
        """Yield the sums of all workers."""
        totals = self._cells.totals()
        yield from _requests(totals)
        yield _histogram(
            "request_duration_seconds",
            "Time from a request's arrival to its reply.",
            {
                (name,): _cells(totals, DURATION_CELLS, at)
                for at, name in enumerate(OPERATION_LABELS)
            },
            ("operation",),
        )
        stages = [(name, stage) for name in OPERATION_LABELS for stage in STAGES]
        yield _histogram(
            "stage_duration_seconds",
            "Time of each stage of a request.",
            {labels: _cells(totals, STAGE_CELLS, at) for at, labels in enumerate(stages)},
            ("operation", "stage"),
        )
        yield from _database(totals)
        caches = CounterMetricFamily(
            "rightsmanager_cache_lookups",
            "Lookups in the caches of certificate chains, clients, headers and revocations.",
            labels=("cache", "result"),
        )
        for at, name in enumerate(CACHES):
            for offset, result in enumerate(("hit", "miss")):
                caches.add_metric((name, result), totals[CACHE_CELLS.start + 2 * at + offset])
        yield caches
        yield _hook_calls(totals)
        refusals = CounterMetricFamily(
            "rightsmanager_http_refusals",
            "Answers of pages, console, API and HTTP itself with a status of 400 or more.",
            labels=("status",),
        )
        statuses = (*REFUSAL_STATUSES, OTHER)
        for status, count in zip(statuses, _slice(totals, REFUSAL_CELLS), strict=True):
            refusals.add_metric((status,), count)
        yield refusals
        yield _gauge(
            "open_connections",
            "Open connections of clients, with the worker class buffered.",
            totals[CONNECTION_CELLS.start],
        )


class ServerCollector(Collector):
    """The figures of processes, the checks of readiness, and the version."""

    def __init__(self, cells: SharedCells, sources: Sources, build_info: Mapping[str, str]) -> None:
        self._cells = cells
        self._sources = sources
        self._build_info = dict(build_info)

    def collect(self) -> Iterator[Metric]:
        """Yield figures that are read at each scrape."""
        processes = self._cells.processes()
        yield InfoMetricFamily("rightsmanager_build", "Version of the server.", self._build_info)
        yield _gauge("workers", "Worker processes.", len(processes))
        checks = GaugeMetricFamily(
            "rightsmanager_check_ok", "1 if a check of /readyz is well.", labels=("check",)
        )
        results = self._sources.check()
        for each in results:
            checks.add_metric((each.name,), float(each.is_ok))
        yield checks
        # The journal would wait for a database that hangs, and the scrape with it.
        if all(each.is_ok for each in results if each.name == DATABASE):
            with suppress(InternalError):
                yield from _journal(self._sources.find_accounting())
        yield from sum_processes(processes, self._cells.ended_cpu_seconds)


def sum_processes(processes: Iterable[int], ended_cpu_seconds: float) -> Iterator[Metric]:
    """Yield the standard figures of processes, over all workers."""
    found: dict[str, list[Metric]] = {}
    for process in processes:
        for metric in ProcessCollector(pid=partial(int, process), registry=None).collect():
            found.setdefault(metric.name, []).append(metric)
    for name, metrics in found.items():
        values = [metric.samples[0].value for metric in metrics]
        ended = ended_cpu_seconds if name == _CPU else 0.0
        value = min(values) if name in _LEAST else sum(values) + ended
        kind = CounterMetricFamily if metrics[0].type == "counter" else GaugeMetricFamily
        yield kind(name, metrics[0].documentation, value=value)


def _requests(totals: list[float]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "rightsmanager_requests",
        "Requests to the service by operation and outcome: ok, or the fault's status code.",
        labels=("operation", "outcome"),
    )
    faults = dict.fromkeys(OUTCOMES[1:], 0.0)
    labels = [(name, outcome) for name in OPERATION_LABELS for outcome in OUTCOMES]
    for (name, outcome), count in zip(labels, _slice(totals, REQUEST_CELLS), strict=True):
        requests.add_metric((name, outcome), count)
        if outcome in faults:
            faults[outcome] += count
    yield requests
    by_code = CounterMetricFamily(
        "rightsmanager_faults", "Faults by status code.", labels=("code", "name")
    )
    for code in StatusCode:
        by_code.add_metric((code.hex, code.name), faults[code.hex])
    yield by_code
    yield _counter("licenses_issued", "Licences issued.", totals[LICENSE_CELLS.start])


def _database(totals: list[float]) -> Iterator[Metric]:
    reads, read_seconds, writes, write_seconds, failures = _slice(totals, DATABASE_CELLS)
    transactions = CounterMetricFamily(
        "rightsmanager_database_transactions", "Transactions by kind.", labels=("kind",)
    )
    seconds = CounterMetricFamily(
        "rightsmanager_database_seconds", "Time within transactions by kind.", labels=("kind",)
    )
    for kind, count, spent in (
        ("read", reads, read_seconds),
        ("write", writes, write_seconds),
    ):
        transactions.add_metric((kind,), count)
        seconds.add_metric((kind,), spent)
    yield transactions
    yield seconds
    yield _counter("database_errors", "Transactions that the database failed.", failures)


def _hook_calls(totals: list[float]) -> Metric:
    calls = CounterMetricFamily(
        "rightsmanager_hook_calls",
        "Calls of the HTTP hook's back end for decisions; skipped while it is not asked.",
        labels=("outcome",),
    )
    for outcome, count in zip(CallOutcome, _slice(totals, HOOK_CALL_CELLS), strict=True):
        calls.add_metric((outcome.value,), count)
    return calls


def _journal(found: Accounting) -> Iterator[Metric]:
    yield _counter("journal_accepted", "Requests to be recorded.", found.accepted)
    yield _counter("journal_written", "Entries that were stored.", found.written)
    yield _counter("journal_dropped", "Entries that the journal could not store.", found.dropped)
    yield _counter("journal_lost", "Entries in the queue of a killed worker.", found.lost)
    yield _gauge("journal_backlog", "Entries that wait to be stored.", found.waiting)


def _slice(totals: list[float], cells: range) -> list[float]:
    return totals[cells.start : cells.stop]


def _cells(totals: list[float], cells: range, index: int) -> list[float]:
    start = cells.start + index * HISTOGRAM
    return totals[start : start + HISTOGRAM]


def _histogram(
    name: str,
    text: str,
    cells: Mapping[tuple[str, ...], list[float]],
    labels: tuple[str, ...],
) -> Metric:
    """Return a histogram, without the labels that have no observation."""
    made = HistogramMetricFamily(f"rightsmanager_{name}", text, labels=labels)
    bounds = [*map(str, BOUNDS), "+Inf"]
    for values, counted in cells.items():
        counts = list(accumulate(counted[:BUCKETS]))
        if counts[-1]:
            made.add_metric(values, list(zip(bounds, counts, strict=True)), counted[BUCKETS])
    return made


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"rightsmanager_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"rightsmanager_{name}", text, value=value)
