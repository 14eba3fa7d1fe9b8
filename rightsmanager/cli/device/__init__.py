"""`rightsmanager device`: a simulated client of the test PKI.

A command is imported when it is asked for, as those of `rightsmanager` are.
"""

from typing import Final

import click

from rightsmanager.cli.lazy import LazyGroup

COMMANDS: Final = {
    "new": "rightsmanager.cli.device.new:new",
    "show": "rightsmanager.cli.device.show:show",
    "acquire": "rightsmanager.cli.device.acquire:acquire_",
    "licenses": "rightsmanager.cli.device.licenses:licenses",
    "open": "rightsmanager.cli.device.licenses:open_",
    "export": "rightsmanager.cli.device.licenses:export",
    "import": "rightsmanager.cli.device.licenses:import_",
    "join": "rightsmanager.cli.device.domains:join_",
    "leave": "rightsmanager.cli.device.domains:leave_",
    "domains": "rightsmanager.cli.device.domains:domains",
    "play": "rightsmanager.cli.device.play:play",
    "meter": "rightsmanager.cli.device.reports:meter",
    "stop": "rightsmanager.cli.device.reports:stop",
    "delete": "rightsmanager.cli.device.reports:delete",
}
"""Where each command is, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def device() -> None:
    """Make simulated devices, acquire licences with them and use these.

    A device is a folder: its certificate chain and keys, the licences that it keeps, and its
    journal.
    """
