"""A group whose commands are imported when they are asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import click


class LazyGroup(click.Group):
    """A table of commands as a group.

    table: where each command is, as `module:name`, in the order in which help lists them.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 -- what click.Group takes
        table: Mapping[str, str],
        **more: Any,  # noqa: ANN401 -- as above
    ) -> None:
        super().__init__(*arguments, **more)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now, or None."""
        del ctx
        if cmd_name not in self._table:
            return None
        module, name = self._table[cmd_name].split(":")
        return cast("click.Command", getattr(import_module(module), name))
