"""Help: every command has a summary of one line, and every option an explanation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.cli.lazy import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SUMMARY = 60
MAX_WIDTH = 80


def walk(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and group under a group with its path."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, *path, name)


COMMANDS = dict(walk(rightsmanager))
GROUPS = {path: each for path, each in COMMANDS.items() if isinstance(each, click.Group)}


def first_line(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").splitlines()[0]


def render(path: tuple[str, ...]) -> str:
    ran = CliRunner().invoke(rightsmanager, [*path, "--help"], terminal_width=MAX_WIDTH)
    assert ran.exit_code == 0
    return ran.output


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_first_line_of_help_is_a_short_imperative(path: tuple[str, ...]) -> None:
    summary = first_line(COMMANDS[path])
    assert len(summary) <= MAX_SUMMARY
    assert summary.endswith(".")
    assert summary.count(".") == 1 or path == ()
    assert ":" not in summary
    verb = summary.split()[0]
    assert verb.isalpha()
    assert verb[0].isupper()
    assert not verb.endswith("s")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_has_help(path: tuple[str, ...]) -> None:
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    assert [option.name for option in options if not option.help] == []
    # The longest text of one option; more belongs into the command's own help.
    assert [option.name for option in options if len(option.help or "") > 100] == []


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_a_list_of_commands_cuts_no_summary(path: tuple[str, ...]) -> None:
    output, context = render(path), click.Context(GROUPS[path])
    for name in GROUPS[path].list_commands(context):
        command = COMMANDS[*path, name]
        assert f"  {name} " in output
        # click wraps a long line at a space.
        assert first_line(command).removesuffix(".") in " ".join(output.split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_a_terminal(path: tuple[str, ...]) -> None:
    lines = render(path).splitlines()
    assert [line for line in lines if len(line) > MAX_WIDTH] == []


@pytest.mark.parametrize(
    "path", [path for path, each in GROUPS.items() if isinstance(each, LazyGroup)], ids=" ".join
)
def test_a_lazy_summary_is_the_first_line_of_the_commands_help(path: tuple[str, ...]) -> None:
    group = GROUPS[path]
    assert isinstance(group, LazyGroup)
    for name, entry in group.table.items():
        assert first_line(COMMANDS[*path, name]) == f"{entry.summary}."


def test_help_names_the_settings_and_the_documentation() -> None:
    output = render(())
    for word in (
        "rightsmanager.toml",
        "RIGHTSMANAGER_CONFIG",
        "RIGHTSMANAGER_SERVER__WORKERS",
        "RIGHTSMANAGER_DATA",
        "RIGHTSMANAGER_PASSPHRASE",
        "docs/",
    ):
        assert word in output
