"""`rightsmanager request-token`: the signed tokens that `rightsmanager.hooks.token` asks for."""

import time
from pathlib import Path

import click

from rightsmanager.cli.options import KidParameter, data_option
from rightsmanager.crypto.random import system_random
from rightsmanager.files import keep_file
from rightsmanager.hooks.token import SECRET_FILE, sign
from rightsmanager.protocol.wire import Kid

SECRET_LENGTH = 32


@click.command(name="request-token")
@data_option
@click.option("--subject", default="test", show_default=True, help="Whom it is for.")
@click.option(
    "--seconds", type=click.IntRange(min=1), default=3600, show_default=True, help="Good for."
)
@click.option("--kid", "kids", multiple=True, type=KidParameter(), help="Good for these only.")
def request_token(data: Path, subject: str, seconds: int, kids: tuple[Kid, ...]) -> None:
    """Print a signed token for a request: for CustomData, or as Authorization: Bearer TOKEN.

    The data folder's secret is made with the first one.
    """
    secret = keep_file(data / SECRET_FILE, lambda: system_random(SECRET_LENGTH))
    click.echo(sign(secret, subject, int(time.time()) + seconds, kids))
