"""The workflow for continuous integration has commands that exist."""

from __future__ import annotations

import re
import shlex

import click

from rightsmanager.cli import rightsmanager
from tests.docs.documents import ROOT

WORKFLOW = ROOT / "examples" / "ci" / "github-actions.yml"


def test_each_command_of_the_workflow_exists_with_its_options() -> None:
    text = WORKFLOW.read_text().replace("\\\n", " ")
    lines = [line.strip().removesuffix(" &") for line in text.splitlines()]
    found = [line for line in lines if line.startswith("rightsmanager ")]
    found += re.findall(r'--client "([^"]+)"', text)
    assert len(found) == 5
    for line in found:
        parse(rightsmanager, shlex.split(line)[1:])


def parse(command: click.Command, arguments: list[str]) -> None:
    """Parse the arguments of a command without running it."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        found = command.get_command(context, arguments[0])
        assert found is not None, arguments
        parse(found, arguments[1:])
    else:
        # Raises NoSuchOption.
        command.make_parser(context).parse_args(arguments)
