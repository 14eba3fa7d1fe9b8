"""The commands: `rightsmanager serve`, `init`, `keys`, `content`, `device`, `show`."""

import sys

import click

from rightsmanager import __version__
from rightsmanager.cli.content import content
from rightsmanager.cli.device import device
from rightsmanager.cli.keys import init, keys
from rightsmanager.cli.serve import serve
from rightsmanager.cli.show import show
from rightsmanager.errors import Refusal


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def rightsmanager() -> None:
    """Stand in for PlayReady's RightsManager.asmx with a test PKI of its own."""


for command in (serve, init, keys, content, device, show):
    rightsmanager.add_command(command)


def main() -> None:
    """Run a command; a refusal becomes one line and exit status 1."""
    try:
        rightsmanager()
    except Refusal as refusal:
        click.echo(f"rightsmanager: {refusal.text} ({refusal.status.hex})", err=True)
        if refusal.custom_data:
            click.echo(refusal.custom_data, err=True)
        sys.exit(1)
