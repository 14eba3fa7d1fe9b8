"""`rightsmanager device`: a simulated client of the test PKI."""

from typing import Final

import click

from rightsmanager.cli.lazy import Lazy, LazyGroup

_HERE: Final = "rightsmanager.cli.device"
COMMANDS: Final = {
    "new": Lazy(f"{_HERE}.new:new", "Make a device in a new folder"),
    "certify": Lazy(f"{_HERE}.new:certify", "Certify the keys of a client that has its own"),
    "show": Lazy(f"{_HERE}.show:show", "Show a device's id and its pending reports"),
    "acquire": Lazy(f"{_HERE}.acquire:acquire_", "Acquire licences and print their content keys"),
    "challenge": Lazy(f"{_HERE}.messages:challenge", "Write the challenge of an operation"),
    "accept": Lazy(f"{_HERE}.messages:accept", "Verify a reply and store what it brings"),
    "licenses": Lazy(f"{_HERE}.licenses:licenses", "List the stored licences"),
    "open": Lazy(f"{_HERE}.licenses:open_", "Open a stored licence and print its content key"),
    "export": Lazy(f"{_HERE}.licenses:export", "Write a stored licence into a file"),
    "import": Lazy(f"{_HERE}.licenses:import_", "Store a licence from a file"),
    "join": Lazy(f"{_HERE}.domains:join_", "Join a domain, or join it again after a renewal"),
    "leave": Lazy(f"{_HERE}.domains:leave_", "Leave a domain and delete its keys"),
    "domains": Lazy(f"{_HERE}.domains:domains", "List the domains that the device joined"),
    "play": Lazy(f"{_HERE}.play:play", "Play content with a stored or new licence"),
    "meter": Lazy(f"{_HERE}.reports:meter", "Report the plays for each metering id"),
    "stop": Lazy(f"{_HERE}.reports:stop", "Report the sessions under secure stop"),
    "delete": Lazy(f"{_HERE}.reports:delete", "Delete licences and report it"),
}
"""All commands, in the order in which help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def device() -> None:
    """Make simulated devices and use them.

    A device is a folder with its certificate chain and keys, the licences that it stores, and its
    journal.

    Example: rightsmanager device acquire --device players/one --url URL --kid KID
    """
