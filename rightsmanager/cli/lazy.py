"""A group that imports a command only when it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """The location and the summary of a command."""

    target: str
    """`module:name`."""
    summary: str
    """The first line of the command's help."""


class LazyGroup(click.Group):
    """A table of commands as a group, in the order in which help lists them."""

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 -- click.Group's own
        table: Mapping[str, Lazy],
        **more: Any,  # noqa: ANN401 -- as above
    ) -> None:
        super().__init__(*arguments, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now, or None."""
        del ctx
        if cmd_name not in self.table:
            return None
        module, name = self.table[cmd_name].target.split(":")
        return cast("click.Command", getattr(import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries of all commands."""
        # click's own imports every command for its first line: 1 s of CPU for --help.
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.summary) for name, each in self.table.items()])
