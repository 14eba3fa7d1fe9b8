"""The commands of `rightsmanager`, from `serve` to `show`.

A command is imported when it is asked for: what `serve` needs takes a second to import, and
`device` needs little of it.
"""

import sys
from typing import Final

import click

from rightsmanager import __version__
from rightsmanager.cli.lazy import LazyGroup
from rightsmanager.errors import Refusal

COMMANDS: Final = {
    "serve": "rightsmanager.cli.serve:serve",
    "init": "rightsmanager.cli.keys:init",
    "keys": "rightsmanager.cli.keys:keys",
    "database": "rightsmanager.cli.database:database",
    "content": "rightsmanager.cli.content:content",
    "header": "rightsmanager.cli.header:header",
    "packager": "rightsmanager.cli.packager:packager",
    "device": "rightsmanager.cli.device:device",
    "domain": "rightsmanager.cli.domain:domain",
    "metering": "rightsmanager.cli.metering:metering",
    "purge": "rightsmanager.cli.purge:purge",
    "streams": "rightsmanager.cli.streams:streams",
    "ledger": "rightsmanager.cli.ledger:ledger",
    "revoke": "rightsmanager.cli.revocation:revoke",
    "unrevoke": "rightsmanager.cli.revocation:unrevoke",
    "revocations": "rightsmanager.cli.revocation:revocations",
    "show": "rightsmanager.cli.show:show",
    "explain": "rightsmanager.cli.explain:explain_",
    "request-token": "rightsmanager.cli.request_token:request_token",
}
"""Where each command is, in the order in which help lists them."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
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
