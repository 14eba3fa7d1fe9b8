"""The flood of reports, long enough to be sure; `make soak` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.flood import Sizes
from tests.e2e.test_metering_flood import run_flood

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Enrol, Start


def test_totals_are_what_devices_played_while_workers_are_killed_again_and_again(
    start: Start, enrol: Enrol, command: Command, tmp_path: Path
) -> None:
    sizes = Sizes(devices=50, reports=120, usage=200, kills=60)
    run_flood(start, enrol, command, tmp_path, sizes)
