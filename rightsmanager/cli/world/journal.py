"""`rightsmanager world journal`, `wait` and `assert`: what a world was asked."""

from typing import Any, Final

import click

from rightsmanager.cli.journal.requests import print_requests
from rightsmanager.cli.options import Parsed, add_options
from rightsmanager.cli.printing import (
    Form,
    counted,
    form_options,
    json_option,
    print_result,
)
from rightsmanager.cli.world.client import (
    WORLDS,
    client_options,
    given,
    parse_value,
)
from rightsmanager.testing.control import Control, segment

_filters: Final = add_options(
    click.option("--operation", help="Of this operation, such as AcquireLicense."),
    click.option("--outcome", help="With this outcome: ok, fault, or a status code."),
    click.option("--device", help="Of the device with this id."),
    click.option("--kid", help="For this KID."),
    click.option("--account", help="Of this account."),
    click.option("--text", help="With this text in it, such as a part of the refusal."),
)
_since: Final = click.option(
    "--since",
    type=Parsed("id or time", parse_value),
    help="After the entry with this id, or at this time of the world or later.",
)


@click.command()
@client_options
@form_options
@click.argument("name")
@_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="At most so many.")
def journal(
    client: Control,
    /,
    *,
    name: str,
    limit: int,
    form: Form,
    **filters: Any,  # noqa: ANN401 -- the options' own
) -> None:
    """List the requests to a world.

    The newest come first.
    """
    path = f"{WORLDS}/{segment(name)}/journal"
    print_requests(form, client.get(path, limit=limit, **filters)["entries"])


@click.command()
@client_options
@form_options
@click.argument("name")
@_filters
@_since
@click.option("--count", type=click.IntRange(min=1), help="So many requests; 1 by default.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0, 60),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest wait.",
)
def wait(
    client: Control,
    /,
    *,
    name: str,
    timeout_seconds: float,
    form: Form,
    **filters: Any,  # noqa: ANN401 -- as above
) -> None:
    """Wait for requests to a world."""
    body = {**given(**filters), "timeout_seconds": timeout_seconds}
    path = f"{WORLDS}/{segment(name)}/journal/wait"
    print_requests(form, client.post(path, body)["entries"])


@click.command(name="assert")
@client_options
@json_option
@click.argument("name")
@_filters
@_since
@click.option("--count", type=click.IntRange(min=0), help="Exactly so many requests.")
@click.option("--at-least", type=click.IntRange(min=0), help="At least so many requests.")
@click.option("--at-most", type=click.IntRange(min=0), help="At most so many requests.")
def assert_(
    client: Control,
    /,
    *,
    name: str,
    form: Form,
    **filters: Any,  # noqa: ANN401 -- as above
) -> None:
    """Fail unless a world had so many requests.

    Example: rightsmanager world assert a --operation AcquireLicense --count 1
    """
    path = f"{WORLDS}/{segment(name)}/journal/assert"
    found = client.post(path, given(**filters))
    print_result(form, found, f"{counted(found['count'], 'request')} as expected")
