"""Rows of counts: one for each process, kept when it ends, summed by any of them."""

from __future__ import annotations

import os

import pytest

from rightsmanager.monitoring.layout import (
    CONNECTION_CELLS,
    DATABASE_CELLS,
    LICENSE_CELLS,
    PROCESS_CELLS,
)
from rightsmanager.monitoring.shared_cells import FIRST_WORKER, MAX_WORKERS, SharedCells
from rightsmanager.store.database import READS, WRITES, Meter

LICENSES = LICENSE_CELLS.start


def serve(cells: SharedCells, row: int, licenses: int) -> None:
    """Count licences in a row, as a worker after its fork."""
    cells.enter(row)
    for _ in range(licenses):
        cells.own[LICENSES] += 1


def test_the_counts_of_all_workers_are_summed() -> None:
    cells = SharedCells()
    rows: set[int] = set()
    for licenses in (3, 4):
        rows.add(cells.reserve(rows))
        serve(cells, max(rows), licenses)
    assert cells.totals()[LICENSES] == 7


def test_a_worker_gets_the_first_row_that_no_living_one_has() -> None:
    cells = SharedCells()
    assert cells.reserve(set()) == FIRST_WORKER
    assert cells.reserve({FIRST_WORKER, FIRST_WORKER + 2}) == FIRST_WORKER + 1
    every_row = set(range(FIRST_WORKER, FIRST_WORKER + MAX_WORKERS))
    assert cells.reserve(every_row) == max(every_row)


def test_a_row_that_is_used_again_goes_on_counting() -> None:
    cells = SharedCells()
    for licenses in (3, 4):
        row = cells.reserve(set())
        serve(cells, row, licenses)
        cells.leave(row, 0.0)
    assert cells.totals()[LICENSES] == 7


def test_the_connections_and_the_id_of_an_ended_worker_are_gone() -> None:
    cells = SharedCells()
    assert cells.processes() == [os.getpid()]
    row = cells.reserve(set())
    cells.enter(row)
    cells.own[CONNECTION_CELLS.start] = 5
    assert cells.processes() == [os.getpid()]
    assert cells.totals()[PROCESS_CELLS.start] == os.getpid()
    cells.leave(row, 2.5)
    assert cells.totals()[CONNECTION_CELLS.start] == cells.totals()[PROCESS_CELLS.start] == 0
    assert cells.ended_cpu_seconds == 2.5


@pytest.mark.parametrize("is_bound_first", [True, False])
def test_a_meter_counts_in_the_row_of_its_process(is_bound_first: bool) -> None:  # noqa: FBT001
    cells, meter = SharedCells(), Meter()
    if is_bound_first:
        cells.bind(meter, DATABASE_CELLS)
        meter.values[WRITES] += 1
    cells.enter(cells.reserve(set()))
    if not is_bound_first:
        cells.bind(meter, DATABASE_CELLS)
    meter.values[READS] += 2
    assert cells.own[DATABASE_CELLS.start + READS] == 2
    assert cells.own[DATABASE_CELLS.start + WRITES] == 0
    assert cells.totals()[DATABASE_CELLS.start + WRITES] == int(is_bound_first)
