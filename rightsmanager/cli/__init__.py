"""The commands of `rightsmanager`, from `serve` to `show`.

A command is imported when it is asked for: what `serve` needs takes a second to import, and
`device` needs little of it.
"""

import sys
from importlib import import_module
from typing import Final

import click

from rightsmanager import __version__
from rightsmanager.errors import Refusal

COMMANDS: Final = {
    "serve": "rightsmanager.cli.serve:serve",
    "init": "rightsmanager.cli.keys:init",
    "keys": "rightsmanager.cli.keys:keys",
    "content": "rightsmanager.cli.content:content",
    "device": "rightsmanager.cli.device:device",
    "revoke": "rightsmanager.cli.revocation:revoke",
    "unrevoke": "rightsmanager.cli.revocation:unrevoke",
    "revocations": "rightsmanager.cli.revocation:revocations",
    "show": "rightsmanager.cli.show:show",
    "explain": "rightsmanager.cli.explain:explain_",
    "request-token": "rightsmanager.cli.request_token:request_token",
}
"""Where each command is, in the order in which help lists them."""


class Commands(click.Group):
    """The table above as a group."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__)
def rightsmanager() -> None:
    """Stand in for PlayReady's RightsManager.asmx with a test PKI of its own."""


def main() -> None:
    """Run a command; a refusal becomes one line and exit status 1."""
    try:
        rightsmanager()
    except Refusal as refusal:
        click.echo(f"rightsmanager: {refusal.text} ({refusal.status.hex})", err=True)
        if refusal.custom_data:
            click.echo(refusal.custom_data, err=True)
        sys.exit(1)
