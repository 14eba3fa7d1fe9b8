"""`rightsmanager conformance`, with a client that is a command and with one that is a person."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from lxml import etree

from rightsmanager.cli import rightsmanager
from rightsmanager.conformance.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.testing import Server, World

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
PROGRAM = f"{sys.executable} -m rightsmanager"


def run(*arguments: str, **more: object) -> Result:
    return CliRunner().invoke(rightsmanager, ["conformance", *arguments], **more)  # type: ignore[arg-type]


@pytest.fixture
def device(world: World) -> Path:
    """The folder of a device."""
    return world.device().session.folder


def test_list_names_every_scenario_and_check() -> None:
    facts = json.loads(run("list", "--json").stdout)
    assert [each["name"] for each in facts] == [each.name for each in SCENARIOS]
    assert "nonce-fresh digest-exact signature-exact" in run("list").stdout


def test_a_command_drives_the_client(
    lab: Server, world: World, device: Path, tmp_path: Path
) -> None:
    client = f"{PROGRAM} conformance client --device {device}"
    files = ["--junit", str(tmp_path / "junit.xml"), "--html", str(tmp_path / "page.html")]
    chosen = ["--scenario", "secure-delete", "--scenario", "secure-stop"]
    given = ["--url", lab.url, "--world", world.name, "--client", client]
    ran = run("run", *given, *chosen, *files)
    assert ran.exit_code == 0, ran.output
    assert "2 passed, 0 failed, 0 not seen" in ran.stdout
    suites = etree.parse(tmp_path / "junit.xml").getroot()
    assert [each.get("name") for each in suites] == ["secure-stop", "secure-delete"]
    assert "secure-stop-reported" in (tmp_path / "page.html").read_text()


def test_the_client_of_the_simulated_device_takes_its_step_from_the_environment(
    world: World, device: Path
) -> None:
    step = {"ACTION": "acquire", "URL": f"{world.url}?cfg=(persist:true)", "KID": KID, "TIMES": "2"}
    variables = {f"CONFORMANCE_{name}": value for name, value in step.items()}
    ran = run("client", "--device", str(device), env=variables)
    assert ran.exit_code == 0, ran.output
    world.journal.assert_count(2, operation="AcquireLicense", outcome="ok", kid=KID)


def test_without_a_command_steps_are_printed(lab: Server, world: World) -> None:
    given = ["--url", lab.url, "--world", world.name, "--scenario", "acknowledgement"]
    ran = run("run", *given, input="\n")
    assert ran.exit_code == 1
    assert "acknowledgement, step 1: Acquire a licence for KID" in ran.stderr
    assert "acknowledges: A reply with a TransactionID is acknowledged under it." in ran.stdout


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("/no/such/program", "cannot be run"),
        (f"{sys.executable} -c 'raise SystemExit(7)'", "ended with status 7"),
        (f"{sys.executable} -c 'while True: input()'", "ended with status 1"),
        (f"{sys.executable} -c 'import time; time.sleep(60)'", "took more than 0.5 s"),
    ],
    ids=["missing", "failing", "reading", "slow"],
)
def test_a_client_that_fails_shows_nothing(
    lab: Server, world: World, command: str, problem: str
) -> None:
    given = ["--url", lab.url, "--world", world.name, "--scenario", "secure-stop", "--json"]
    ran = run("run", *given, "--client", command, "--timeout-seconds", "0.5")
    assert ran.exit_code == 1
    facts = json.loads(ran.stdout)
    assert (facts["passed"], facts["failed"], facts["not_seen"]) == (0, 0, 1)
    assert problem in facts["verdicts"][0]["found"]


def test_an_unknown_scenario_and_an_empty_command_are_wrong_usage() -> None:
    ran = run("run", "--world", "a", "--scenario", "none-such")
    assert (ran.exit_code, "expected one of first-licence" in ran.stderr) == (2, True)
