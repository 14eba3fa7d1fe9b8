"""`rightsmanager conformance`: takes a client through scenarios and grades what it did."""

import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.options import ACCOUNT, KID, add_options
from rightsmanager.cli.printing import Form, json_option, print_json, print_list
from rightsmanager.files import write_output

if TYPE_CHECKING:
    from rightsmanager.conformance.running import Drive, Report, Result, Task
    from rightsmanager.protocol.wire import AccountId, Kid

_COLUMNS: Final = {
    "scenario": "scenario",
    "check": "check",
    "outcome": "outcome",
    "found": "found",
    "entries": "journal",
    "source": "source",
}
_LIST_COLUMNS: Final = {"name": "scenario", "title": "title", "checks": "checks"}
DEFAULT_TIMEOUT_SECONDS: Final = 60.0


@click.group()
def conformance() -> None:
    """Grade the behaviour of a client.

    The client goes through scenarios in a world of a server with `--lab`: challenges, refusals,
    altered licences, lost replies, reports. Each verdict names its published source and the
    journal's entries.
    """


@conformance.command(name="list")
@json_option
def list_(form: Form) -> None:
    """List the scenarios and their checks."""
    from rightsmanager.conformance.scenarios import SCENARIOS  # noqa: PLC0415 -- for `--help` alone

    facts = [
        {
            "name": each.name,
            "title": each.title,
            "checks": " ".join(check.name for check in each.checks),
            "steps": [step.instruction for step in each.steps],
        }
        for each in SCENARIOS
    ]
    print_list(form, facts, _LIST_COLUMNS)


_files: Final = add_options(
    click.option(
        "--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write JUnit XML."
    ),
    click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Write a page."),
)


@conformance.command()
@click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The server, which runs with --lab.",
)
@click.option("--world", required=True, help="The world, made if it does not exist.")
@click.option("--token", envvar="CONFORMANCE_TOKEN", help="A token of the role operate.")
@click.option(
    "--client",
    "command",
    metavar="COMMAND",
    help="Drive the client by this command; without it you do what is printed.",
)
@click.option(
    "--scenario",
    "names",
    metavar="NAME",
    multiple=True,
    help="Run this scenario alone; repeatable.",
)
@click.option(
    "--timeout-seconds",
    type=float,
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    help="The time that COMMAND may take for a step.",
)
@_files
@json_option
def run(  # noqa: PLR0913 -- one parameter for each option
    *,
    url: str,
    world: str,
    token: str | None,
    command: str | None,
    names: tuple[str, ...],
    timeout_seconds: float,
    junit: Path | None,
    html: Path | None,
    form: Form,
) -> None:
    """Take a client through the scenarios.

    For each step COMMAND runs with the variables CONFORMANCE_ACTION (acquire, play, report or
    delete), CONFORMANCE_URL, CONFORMANCE_KID, CONFORMANCE_HEADER (a PlayReady Object in base64),
    CONFORMANCE_TIMES, CONFORMANCE_MID, CONFORMANCE_ACCOUNT (empty unless the content belongs to a
    domain), CONFORMANCE_SCENARIO, CONFORMANCE_STEP and CONFORMANCE_INSTRUCTION. The exit status is
    1 unless every check passed.

    Example: rightsmanager conformance run --world a --client ./drive-my-player
    """
    from rightsmanager.conformance.reports import as_html, as_junit, report_facts  # noqa: PLC0415
    from rightsmanager.conformance.running import Runner  # noqa: PLC0415 -- as above
    from rightsmanager.conformance.scenarios import SCENARIOS  # noqa: PLC0415
    from rightsmanager.testing.world import connect_world  # noqa: PLC0415

    known = {each.name: each for each in SCENARIOS}
    for name in names:
        if name not in known:
            raise click.UsageError(f"--scenario is {name!r}, expected one of {', '.join(known)}")
    chosen = [each for each in SCENARIOS if not names or each.name in names]
    for file in filter(None, (junit, html)):
        # A run of minutes must not end without its report.
        write_output(file, b"")
    drive = _prompt if command is None else _commanded(command, timeout_seconds)
    runner = Runner(connect_world(url, world, token=token), drive)
    report = runner.run(chosen, None if form == "json" else _print_progress)
    if junit is not None:
        write_output(junit, as_junit(report).encode())
    if html is not None:
        write_output(html, as_html(report).encode())
    if form == "json":
        print_json(report_facts(report))
    else:
        _print(report)
    click.get_current_context().exit(0 if report.has_passed else 1)


def _print_progress(result: "Result") -> None:
    outcomes = ", ".join(each.finding.outcome.value for each in result.verdicts)
    click.echo(f"{result.scenario.name}: {outcomes}", err=True)


def _print(report: "Report") -> None:
    from rightsmanager.conformance.checks import Outcome  # noqa: PLC0415 -- as above
    from rightsmanager.conformance.reports import (  # noqa: PLC0415
        entries_text,
        summary,
        verdict_facts,
    )

    facts = [
        {**verdict_facts(result, each), "entries": entries_text(each)}
        for result in report.results
        for each in result.verdicts
    ]
    print_list(None, facts, _COLUMNS, footer=summary(report))
    failed = [each for each in report.verdicts if each.finding.outcome is not Outcome.PASSED]
    for each in failed:
        click.echo(f"{each.check.name}: {each.check.expected} Source: {each.check.source.text}")


def _prompt(task: "Task") -> None:
    click.echo(f"\n{task.scenario}, step {task.step}: {task.instruction}", err=True)
    click.echo(f"  URL  {task.url}\n  KID  {task.names.kid.text}", err=True)
    click.prompt("Press Enter when it is done", default="", show_default=False, err=True)


def _commanded(command: str, timeout_seconds: float) -> "Drive":
    from rightsmanager.conformance.running import DriveFailed  # noqa: PLC0415 -- as above

    words = shlex.split(command)
    if not words:
        raise click.UsageError("--client is empty, expected a command")

    def drive(task: "Task") -> None:
        environment = {**os.environ, **task.environment()}
        try:
            # The command's output is for people; standard output has the report.
            subprocess.run(  # noqa: S603 -- the caller's own command
                words, env=environment, timeout=timeout_seconds, check=True, stdout=2
            )
        except subprocess.TimeoutExpired:
            raise DriveFailed(f"{words[0]} took more than {timeout_seconds:g} s") from None
        except subprocess.CalledProcessError as error:
            raise DriveFailed(f"{words[0]} ended with status {error.returncode}") from None
        except OSError as error:
            raise DriveFailed(f"{words[0]} cannot be run: {error.strerror}") from None

    return drive


def _variable(name: str) -> str:
    return f"CONFORMANCE_{name}"


@conformance.command()
@click.option(
    "--device",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The device's folder.",
)
@click.option(
    "--action",
    envvar=_variable("ACTION"),
    required=True,
    type=click.Choice(["acquire", "play", "report", "delete"]),
    help="The thing to do.",
)
@click.option("--url", envvar=_variable("URL"), required=True, help="The URL of the service.")
@click.option("--kid", envvar=_variable("KID"), required=True, type=KID, help="The KID.")
@click.option("--mid", envvar=_variable("MID"), default="", help="The metering id.")
@click.option("--account", envvar=_variable("ACCOUNT"), type=ACCOUNT, help="The account.")
@click.option("--times", envvar=_variable("TIMES"), type=int, default=1, help="How many times.")
def client(  # noqa: PLR0913 -- one parameter for each option
    *,
    folder: Path,
    action: str,
    url: str,
    kid: "Kid",
    mid: str,
    account: "AccountId | None",
    times: int,
) -> None:
    """Do one step with a simulated device.

    The options come from the variables of `conformance run`, whose COMMAND this can be.

    Example: rightsmanager conformance run --world a --client "rightsmanager conformance client
    --device players/tv"
    """
    from rightsmanager.conformance.player import Player  # noqa: PLC0415 -- as above
    from rightsmanager.conformance.running import Task  # noqa: PLC0415
    from rightsmanager.conformance.scenarios import Action, Names  # noqa: PLC0415
    from rightsmanager.device.session import open_device  # noqa: PLC0415
    from rightsmanager.protocol.wire import AccountId, TransactionId  # noqa: PLC0415
    from rightsmanager.testing.devices import Device, DeviceTime  # noqa: PLC0415

    clock = DeviceTime(lambda: int(time.time()))
    unknown = bytes(16)
    names = Names(kid, account or AccountId(unknown), TransactionId(unknown), mid)
    task = Task("", 1, Action(action), "", url, names, times, account is not None)
    with open_device(folder, clock=clock) as session:
        Player(Device(session, url, clock))(task)
