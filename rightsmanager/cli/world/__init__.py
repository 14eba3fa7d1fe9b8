"""`rightsmanager world`: worlds of a server that runs with --lab, over its API."""

from typing import Final

import click

from rightsmanager.cli.lazy import Lazy, LazyGroup

_HERE: Final = "rightsmanager.cli.world"
COMMANDS: Final = {
    "list": Lazy(f"{_HERE}.life:list_", "List the worlds of a server"),
    "create": Lazy(f"{_HERE}.life:create", "Create a world with options"),
    "show": Lazy(f"{_HERE}.life:show", "Show a world, its URL and its clock"),
    "change": Lazy(f"{_HERE}.life:change", "Change the settings or the lifetime of a world"),
    "reset": Lazy(f"{_HERE}.life:reset", "Empty a world, or create it"),
    "delete": Lazy(f"{_HERE}.life:delete", "Remove a world with everything in it"),
    "clock": Lazy(f"{_HERE}.state:clock", "Show or change the clock of a world"),
    "seed": Lazy(f"{_HERE}.state:seed", "Set or remove the seed of a world"),
    "snapshot": Lazy(f"{_HERE}.state:snapshot", "Make a snapshot of a world"),
    "snapshots": Lazy(f"{_HERE}.state:snapshots", "List the snapshots of a world"),
    "restore": Lazy(f"{_HERE}.state:restore", "Return a world to a snapshot"),
    "fault": Lazy(f"{_HERE}.faults:fault", "Manage the faults of a world"),
    "journal": Lazy(f"{_HERE}.journal:journal", "List the requests to a world"),
    "wait": Lazy(f"{_HERE}.journal:wait", "Wait for requests to a world"),
    "assert": Lazy(f"{_HERE}.journal:assert_", "Fail unless a world had so many requests"),
}
"""All commands, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def world() -> None:
    """Create worlds for tests and change them.

    The server has to run with --lab.

    Example: rightsmanager world create a --seed 42
    """
