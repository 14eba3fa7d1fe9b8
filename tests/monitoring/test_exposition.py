"""Counts as Prometheus reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rightsmanager.errors import (
    REFUSALS,
    InternalError,
    InvalidMessage,
    ServiceSpecific,
    StatusCode,
)
from rightsmanager.hooks.backend.breaker import CallOutcome
from rightsmanager.hooks.facts import Progress
from rightsmanager.monitoring.checks import DATABASE
from rightsmanager.monitoring.exposition import Sources, make_expose
from rightsmanager.monitoring.health import CheckResult
from rightsmanager.monitoring.layout import PROCESS_CELLS
from rightsmanager.monitoring.request_counter import CACHES_SECONDS, RequestCounter
from rightsmanager.monitoring.shared_cells import SharedCells
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.journal.entries import Accounting
from tests.monitoring.conftest import exchange

if TYPE_CHECKING:
    from collections.abc import Callable

KIDS = (Kid(bytes(15) + b"\x01"), Kid(bytes(15) + b"\x02"))
CHECKS = (
    CheckResult("disk", is_ok=True, text="", ms=0.1),
    CheckResult("clock", is_ok=False, text="", ms=0.1),
)

SOURCES = Sources(lambda: CHECKS, lambda: Accounting(10, 6, 1, 1, 2))
UNUSED_ROW = 400

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(cells: SharedCells, sources: Sources = SOURCES) -> Figures:
    """Return each sample of the metrics by its name and labels."""
    text, content_type = make_expose(cells, sources, {"version": "1"})("")
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class Shown:
    """The metrics of some counts."""

    def __init__(self, cells: SharedCells) -> None:
        self.figures = figures(cells)

    def __call__(self, metric: str, **labels: str) -> float:
        return self.figures[f"rightsmanager_{metric}", frozenset(labels.items())]


@pytest.fixture
def cells() -> SharedCells:
    return SharedCells()


def test_requests_are_counted_by_operation_and_outcome(cells: SharedCells) -> None:
    record = RequestCounter(cells, {})
    record(exchange())
    record(exchange(refusal=ServiceSpecific("no")))
    record(exchange("JoinDomain", refusal=ServiceSpecific("no")))
    record(exchange("", refusal=InvalidMessage("no")))
    shown = Shown(cells)
    assert shown("requests_total", operation="AcquireLicense", outcome="ok") == 1
    assert shown("requests_total", operation="AcquireLicense", outcome="0x8004c604") == 1
    assert shown("requests_total", operation="unknown", outcome="0x8004c601") == 1
    assert shown("faults_total", code="0x8004c604", name="SERVICE_SPECIFIC") == 2
    assert shown("faults_total", code="0x8004c601", name="INVALID_MESSAGE") == 1
    assert shown("faults_total", code="0x8004c600", name="INTERNAL_ERROR") == 0


def test_each_operation_and_each_status_code_has_a_series_of_its_own(cells: SharedCells) -> None:
    record = RequestCounter(cells, {})
    for operation in OPERATIONS:
        record(exchange(operation))
        for refusal in REFUSALS.values():
            record(exchange(operation, refusal=refusal("no")))
    shown = Shown(cells)
    for operation in OPERATIONS:
        for outcome in ("ok", *(code.hex for code in StatusCode)):
            assert shown("requests_total", operation=operation, outcome=outcome) == 1


def test_licences_are_those_issued(cells: SharedCells) -> None:
    record = RequestCounter(cells, {})
    record(exchange(progress=Progress(kids=KIDS)))
    record(exchange(progress=Progress(kids=KIDS), refusal=InvalidMessage("no")))
    record(exchange("AcquirePackagingData", progress=Progress(kids=KIDS)))
    assert Shown(cells)("licenses_issued_total") == 2


def test_durations_are_in_the_first_bucket_that_holds_them(cells: SharedCells) -> None:
    record = RequestCounter(cells, {})
    for seconds in (0.03125, 0.25, 8.0):
        record(exchange("LeaveDomain", seconds=seconds))
    shown = Shown(cells)

    def bucket(bound: str) -> float:
        return shown("request_duration_seconds_bucket", operation="LeaveDomain", le=bound)

    # A bound belongs to its bucket.
    assert [bucket(bound) for bound in ("0.025", "0.05", "0.25", "5.0", "+Inf")] == [0, 1, 2, 2, 3]
    assert shown("request_duration_seconds_count", operation="LeaveDomain") == 3
    assert shown("request_duration_seconds_sum", operation="LeaveDomain") == 8.28125


def test_stages_are_those_that_began(cells: SharedCells) -> None:
    marks = Progress(verified=1.015625, decided=1.0234375, recorded=1.02734375)
    record = RequestCounter(cells, {})
    record(exchange(progress=marks))
    record(exchange(progress=Progress(verified=1.015625), refusal=ServiceSpecific("no")))
    shown = Shown(cells)

    def stage(name: str) -> tuple[float, float]:
        labels = {"operation": "AcquireLicense", "stage": name}
        return (
            shown("stage_duration_seconds_count", **labels),
            shown("stage_duration_seconds_sum", **labels),
        )

    assert stage("read") == stage("verify") == (2, 2 * 0.0078125)
    assert stage("decide") == (2, 0.0078125 + 0.015625)
    assert stage("record") == stage("seal") == (1, 0.00390625)


def test_caches_are_counted_at_intervals(cells: SharedCells) -> None:
    counts = {"chains": (0, 2), "revocations": (1, 0)}

    def counter(name: str) -> Callable[[], tuple[int, int]]:
        return lambda: counts[name]

    record = RequestCounter(cells, {name: counter(name) for name in counts})
    record(exchange())
    counts["chains"] = (5, 3)
    record(exchange(seconds=0.5))
    assert Shown(cells)("cache_lookups_total", cache="chains", result="hit") == 0
    record(exchange(seconds=CACHES_SECONDS + 1))
    record(exchange(seconds=2 * CACHES_SECONDS + 2))
    shown = Shown(cells)
    assert shown("cache_lookups_total", cache="chains", result="hit") == 5
    assert shown("cache_lookups_total", cache="chains", result="miss") == 3
    assert shown("cache_lookups_total", cache="revocations", result="hit") == 1
    assert shown("cache_lookups_total", cache="clients", result="hit") == 0


def test_threads_lose_no_count(cells: SharedCells) -> None:
    record = RequestCounter(cells, {})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(record, [exchange()] * 4000))
    shown = Shown(cells)
    assert shown("requests_total", operation="AcquireLicense", outcome="ok") == 4000
    assert shown("request_duration_seconds_count", operation="AcquireLicense") == 4000


def test_calls_of_the_hooks_back_end_are_counted_by_outcome(cells: SharedCells) -> None:
    for outcome in (CallOutcome.ANSWERED, CallOutcome.SKIPPED, CallOutcome.SKIPPED):
        cells.count_hook_call(outcome)
    shown = Shown(cells)
    calls = {each.value: shown("hook_calls_total", outcome=each.value) for each in CallOutcome}
    assert calls == {"answered": 1, "failed": 0, "skipped": 2}


def test_the_journals_counts_are_its_own(cells: SharedCells) -> None:
    shown = Shown(cells)
    names = ("accepted_total", "written_total", "dropped_total", "lost_total", "backlog")
    assert [shown(f"journal_{name}") for name in names] == [10, 6, 1, 1, 2]


def test_the_journal_is_not_asked_while_the_database_fails(cells: SharedCells) -> None:
    def fail() -> Accounting:
        raise InternalError("the journal's file is damaged")

    def hang() -> Accounting:
        raise AssertionError

    away = CheckResult(DATABASE, is_ok=False, text="", ms=0.1)
    for sources in (Sources(lambda: CHECKS, fail), Sources(lambda: (away,), hang)):
        shown = figures(cells, sources)
        assert not [name for name, _ in shown if "journal" in name]
        assert ("rightsmanager_workers", frozenset[tuple[str, str]]()) in shown


def test_checks_and_build_are_shown(cells: SharedCells) -> None:
    shown = Shown(cells)
    assert shown("check_ok", check="disk") == 1
    assert shown("check_ok", check="clock") == 0
    assert shown("build_info", version="1") == 1
    assert shown("workers") == 1


def test_figures_of_processes_are_summed(cells: SharedCells) -> None:
    alone = figures(cells)
    row = cells.reserve(set())
    cells.enter(row)
    other = cells.reserve({row})
    cells.enter(other)
    assert cells.processes() == [os.getpid()] * 2
    cells.leave(UNUSED_ROW, 1000.0)
    both = figures(cells)
    name = "process_resident_memory_bytes", frozenset[tuple[str, str]]()
    assert 1.5 < both[name] / alone[name] < 2.5
    assert both["process_cpu_seconds_total", frozenset()] > 1000
    start = "process_start_time_seconds", frozenset[tuple[str, str]]()
    assert both[start] == alone[start]


def test_a_process_that_has_just_ended_is_left_out(cells: SharedCells) -> None:
    cells.enter(cells.reserve(set()))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    cells.own[PROCESS_CELLS.start] = ended.pid
    assert cells.processes() == [ended.pid]
    assert not [name for name, _ in figures(cells) if name.startswith("process_")]


def test_open_metrics_are_written_where_they_are_asked_for(cells: SharedCells) -> None:
    RequestCounter(cells, {})(exchange())
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    text, content_type = make_expose(cells, SOURCES, {})(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
