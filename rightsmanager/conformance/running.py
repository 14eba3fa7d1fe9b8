"""Takes a client through scenarios and grades what the world's journal saw."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.conformance.checks import Check, Finding, Outcome
from rightsmanager.conformance.evidence import Evidence, Seen, see
from rightsmanager.conformance.scenarios import Action, Names, Scenario, new_names
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.device.acquire import header_of_kids
from rightsmanager.errors import InternalError
from rightsmanager.protocol.formats.pssh import build_object, object_of
from rightsmanager.testing.world import World

SETTLE_SECONDS: Final = 10.0
"""The longest wait for the journal after a step."""
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Task:
    """A step for a client, with everything that it needs."""

    scenario: str
    step: int
    """From 1."""
    action: Action
    instruction: str
    url: str
    """For all requests; its query is part of it."""
    names: Names
    times: int = 1
    in_domain: bool = False

    @property
    def header(self) -> bytes:
        """The content's PlayReady Object."""
        return build_object(object_of(header_of_kids([self.names.kid])))

    def environment(self) -> dict[str, str]:
        """Return the variables for a command that drives a client."""
        variables = {
            "scenario": self.scenario,
            "step": str(self.step),
            "action": self.action.value,
            "instruction": self.instruction,
            "url": self.url,
            "kid": self.names.kid.text,
            "header": base64.b64encode(self.header).decode(),
            "times": str(self.times),
            "mid": self.names.mid,
            "account": self.names.account.text if self.in_domain else "",
        }
        return {f"CONFORMANCE_{name.upper()}": value for name, value in variables.items()}


Drive = Callable[[Task], None]
"""Makes the client do a task; raises DriveFailed if it cannot."""


class DriveFailed(InternalError):  # noqa: N818 -- named as its siblings
    """A client could not be driven, whatever it sent."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check and its outcome in one scenario."""

    check: Check
    finding: Finding


@dataclass(frozen=True, slots=True)
class Result:
    """A scenario and its verdicts."""

    scenario: Scenario
    verdicts: tuple[Verdict, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run."""

    world: str
    url: str
    results: tuple[Result, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of all scenarios."""
        return tuple(each for result in self.results for each in result.verdicts)

    def count(self, outcome: Outcome) -> int:
        """Return the number of verdicts of an outcome."""
        return sum(each.finding.outcome is outcome for each in self.verdicts)

    @property
    def has_passed(self) -> bool:
        """Whether every check passed."""
        return self.count(Outcome.PASSED) == len(self.verdicts)


@dataclass(frozen=True, slots=True)
class Runner:
    """Takes a client through scenarios in one world."""

    world: World
    drive: Drive = field(repr=False)
    rng: Rng = field(default=system_random, repr=False)

    def run(
        self, scenarios: Sequence[Scenario], on_result: Callable[[Result], None] | None = None
    ) -> Report:
        """Return the report; `on_result` gets each result as soon as it is known.

        Raises ControlFailed and ConnectionFailed if the server cannot be controlled.
        """
        results = []
        mid = self.world.metering.mid
        for scenario in scenarios:
            results.append(self._run_one(scenario, new_names(self.rng, mid)))
            if on_result is not None:
                on_result(results[-1])
        return Report(self.world.name, self.world.url, tuple(results))

    def _run_one(self, scenario: Scenario, names: Names) -> Result:
        began, problem = time.monotonic(), ""
        seen: list[Seen] = []
        since = self._newest()
        try:
            for step, task in zip(scenario.steps, self._tasks(scenario, names), strict=True):
                for act in step.before:
                    act(self.world, names)
                self.drive(task)
                found = self._read(since, task.step)
                seen += found
                since = max([since, *(each.id for each in found)])
        except DriveFailed as error:
            problem = error.text
            seen += self._read(since, len(scenario.steps))
        finally:
            self.world.faults.clear()
        evidence = self._evidence(tuple(seen), names)
        verdicts = tuple(_grade(check, evidence, problem) for check in scenario.checks)
        return Result(scenario, verdicts, time.monotonic() - began)

    def _tasks(self, scenario: Scenario, names: Names) -> Iterator[Task]:
        query = names.fill(scenario.query)
        url = f"{self.world.url}?{query}" if query else self.world.url
        for number, step in enumerate(scenario.steps, 1):
            yield Task(
                scenario.name,
                number,
                step.action,
                names.fill(step.instruction),
                url,
                names,
                step.times,
                scenario.in_domain,
            )

    def _newest(self) -> int:
        self._settle()
        return max((each.id for each in self.world.journal.requests()), default=0)

    def _read(self, since: int, step: int) -> list[Seen]:
        self._settle()
        journal = self.world.journal
        return [see(journal.show(each), step) for each in journal.requests(since=since)]

    def _settle(self) -> None:
        """Wait until every answered request is in the journal."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.world.journal.waiting() > 0 and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _evidence(self, seen: tuple[Seen, ...], names: Names) -> Evidence:
        kid = names.kid.text
        stopped = [each for each in self.world.sessions(kid=kid) if each["stopped"]]
        return Evidence(
            seen=seen,
            lists=self._list_versions(),
            plays=self.world.metering.usage(names.mid).get(kid, 0),
            stopped_sessions=len(stopped),
        )

    def _list_versions(self) -> Mapping[str, int]:
        lists = self.world.revocations()["lists"]
        return {each["id"]: each["version"] for each in lists}


def _grade(check: Check, evidence: Evidence, problem: str) -> Verdict:
    finding = check.grade(evidence)
    if problem and finding.outcome is Outcome.NOT_SEEN:
        finding = Finding(Outcome.NOT_SEEN, f"{finding.text}; the client failed: {problem}")
    return Verdict(check, finding)
