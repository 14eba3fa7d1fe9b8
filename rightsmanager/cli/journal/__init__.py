"""`rightsmanager journal`: requests and their replies, as the server recorded them."""

from typing import Final

import click

from rightsmanager.cli.lazy import Lazy, LazyGroup

_HERE: Final = "rightsmanager.cli.journal"
COMMANDS: Final = {
    "list": Lazy(f"{_HERE}.listing:list_", "List requests, newest first"),
    "show": Lazy(f"{_HERE}.entry:show", "Show a request and its reply, decoded and checked"),
    "follow": Lazy(f"{_HERE}.listing:follow", "Print requests as they come"),
    "export": Lazy(f"{_HERE}.listing:export", "Print requests with their bodies as JSON lines"),
    "replay": Lazy(f"{_HERE}.entry:replay_", "Send a recorded request again"),
    "clear": Lazy(f"{_HERE}.listing:clear", "Remove all recorded requests"),
}
"""All commands, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def journal() -> None:
    """Show what was asked and answered.

    The settings of [journal] say which requests a server records.

    Example: rightsmanager journal list --outcome fault
    """
