"""The simulated device passes every check, and each wrong one fails the check that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.conformance.checks import Outcome
from rightsmanager.conformance.player import Player
from rightsmanager.conformance.running import Runner
from rightsmanager.conformance.scenarios import SCENARIOS
from tests.conformance.wrong import WRONG

if TYPE_CHECKING:
    from rightsmanager.conformance.scenarios import Scenario
    from rightsmanager.testing.world import World
    from tests.conformance.wrong import NewPlayer

SCENARIO_OF = {check.name: scenario for scenario in SCENARIOS for check in scenario.checks}


def grades(world: World, make: NewPlayer, *scenarios: Scenario) -> dict[str, tuple[str, str]]:
    """Return the outcome and the finding of each check."""
    report = Runner(world, make(world.device())).run(scenarios)
    return {each.check.name: (each.finding.outcome, each.finding.text) for each in report.verdicts}


def test_the_simulated_device_passes_every_check(world: World) -> None:
    found = grades(world, Player, *SCENARIOS)
    assert {name: each for name, each in found.items() if each[0] is not Outcome.PASSED} == {}
    assert set(found) == set(WRONG)


@pytest.mark.parametrize("check", WRONG)
def test_a_wrong_device_fails(world: World, check: str) -> None:
    outcome, text = grades(world, WRONG[check], SCENARIO_OF[check])[check]
    assert outcome is Outcome.FAILED, text
