"""`rightsmanager metering`: whose reports are taken, and what they come to."""

from typing import Final

import click

from rightsmanager.cli.lazy import LazyGroup

COMMANDS: Final = {
    "create": "rightsmanager.cli.metering.ids:create",
    "list": "rightsmanager.cli.metering.ids:list_",
    "show": "rightsmanager.cli.metering.ids:show",
    "retire": "rightsmanager.cli.metering.ids:retire",
    "report": "rightsmanager.cli.metering.report:report",
    "royalty": "rightsmanager.cli.metering.royalty:royalty",
    "chart": "rightsmanager.cli.metering.chart:chart",
}
"""Where each command is, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def metering() -> None:
    """Have metering ids, and see what devices reported to have played."""
