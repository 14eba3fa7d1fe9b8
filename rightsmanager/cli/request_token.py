"""`rightsmanager request-token`: signed tokens for the hooks of `rightsmanager.hooks.token`."""

from typing import TYPE_CHECKING

import click

from rightsmanager.admin.request_tokens import RequestTokens
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import KID
from rightsmanager.crypto.random import system_random

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import Kid


@click.command(name="request-token")
@pass_operator
@click.option("--subject", default="test", show_default=True, help="The bearer's name.")
@click.option(
    "--seconds", type=click.IntRange(min=1), default=3600, show_default=True, help="The lifetime."
)
@click.option("--kid", "kids", multiple=True, type=KID, help="Limit the token to this KID.")
def request_token(
    operator: Operator, *, subject: str, seconds: int, kids: "tuple[Kid, ...]"
) -> None:
    """Print a signed request token.

    Send it as CustomData, or as the header Authorization: Bearer TOKEN. The first token makes the
    data folder's secret.
    """
    operator.refuse_missing_data()
    click.echo(RequestTokens(operator.data, now, system_random).sign(subject, seconds, kids))
