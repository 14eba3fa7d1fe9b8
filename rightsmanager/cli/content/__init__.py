"""`rightsmanager content`: content keys of the operator, of imports and of packagers."""

from typing import Final

import click

from rightsmanager.cli.lazy import Lazy, LazyGroup

_HERE: Final = "rightsmanager.cli.content"
COMMANDS: Final = {
    "add": Lazy(f"{_HERE}.keys:add", "Store the content key of a KID"),
    "list": Lazy(f"{_HERE}.listing:list_", "List the KIDs with stored keys"),
    "rotate": Lazy(f"{_HERE}.rotation:rotate", "Create the keys of a program's next periods"),
    "track": Lazy(f"{_HERE}.keys:track_", "Set the track of a stored key"),
    "remove": Lazy(f"{_HERE}.keys:remove", "Remove the stored key of a KID"),
    "import": Lazy(f"{_HERE}.keys:import_", "Store all keys of a CPIX or CSV file, or none"),
    "export": Lazy(f"{_HERE}.keys:export", "Write stored keys in the clear into a new file"),
}
"""All commands, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def content() -> None:
    """Manage content keys.

    Example: rightsmanager content add 6f651ae1-dbe4-4434-bcb4-690d1564c41c - < key.txt
    """
