"""`rightsmanager metering`: metering ids, and the reports that clients sent for them."""

from typing import Final

import click

from rightsmanager.cli.lazy import Lazy, LazyGroup

_HERE: Final = "rightsmanager.cli.metering"
COMMANDS: Final = {
    "create": Lazy(f"{_HERE}.ids:create", "Create a metering id with its own key and certificate"),
    "list": Lazy(f"{_HERE}.ids:list_", "List the metering ids, the keyring's own first"),
    "show": Lazy(f"{_HERE}.ids:show", "Show a metering id and its certificate"),
    "retire": Lazy(f"{_HERE}.ids:retire", "Stop issuing a metering id's certificate"),
    "report": Lazy(f"{_HERE}.report:report", "Report how often content was played"),
    "royalty": Lazy(f"{_HERE}.royalty:royalty", "Compare pay-per-play with a flat rate"),
    "chart": Lazy(f"{_HERE}.chart:chart", "Draw usage as a PNG or SVG chart"),
}
"""All commands, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def metering() -> None:
    """Manage metering ids and reports.

    Example: rightsmanager metering report --by day --from 2026-11-01
    """
