"""Gunicorn's hooks give each worker a row of the shared counts."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from rightsmanager.monitoring.layout import CONNECTION_CELLS, LICENSE_CELLS
from rightsmanager.monitoring.shared_cells import SharedCells
from rightsmanager.serving import options
from rightsmanager.serving.options import end_worker, gunicorn_options, reserve_row
from rightsmanager.settings import ServerSettings, Settings


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> SharedCells:
    cells = SharedCells()
    monkeypatch.setattr(options, "SHARED_CELLS", cells)
    return cells


class Arbiter:
    """Gunicorn's arbiter, as far as the hooks know it."""

    def __init__(self) -> None:
        self.WORKERS: dict[int, Any] = {}

    def spawn(self) -> Any:  # noqa: ANN401 -- as gunicorn's workers, which have no types
        worker = SimpleNamespace(age=len(self.WORKERS) + 1)
        reserve_row(self, worker)
        self.WORKERS[worker.age] = worker
        return worker

    def reap(self, worker: Any) -> None:  # noqa: ANN401 -- as above
        del self.WORKERS[worker.age]
        end_worker(self, worker)


def test_living_workers_have_different_rows(cells: SharedCells) -> None:
    arbiter = Arbiter()
    first, second = arbiter.spawn(), arbiter.spawn()
    assert first.row != second.row
    arbiter.reap(first)
    assert arbiter.spawn().row == first.row
    assert cells.ended_cpu_seconds >= 0


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_worker_counts_in_its_row_until_it_ends(
    cells: SharedCells,
    monkeypatch: pytest.MonkeyPatch,
    is_pinned: bool,  # noqa: FBT001 -- a case
) -> None:
    pinned: list[Any] = []
    monkeypatch.setattr(options, "pin_to_cpu", lambda _, worker: pinned.append(worker))
    arbiter = Arbiter()
    worker = arbiter.spawn()
    server = ServerSettings(pin_workers=is_pinned)
    prepare = gunicorn_options(Settings(server=server))["post_fork"]
    prepare(arbiter, worker)
    assert pinned == [worker] * is_pinned
    cells.own[LICENSE_CELLS.start] = cells.own[CONNECTION_CELLS.start] = 3
    assert cells.processes() == [os.getpid()]
    arbiter.reap(worker)
    assert cells.totals()[LICENSE_CELLS.start] == 3
    assert cells.totals()[CONNECTION_CELLS.start] == 0
