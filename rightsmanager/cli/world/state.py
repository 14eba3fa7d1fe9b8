"""`rightsmanager world clock`, `seed` and snapshots."""

from typing import Any, Final

import click

from rightsmanager.cli.options import Parsed
from rightsmanager.cli.printing import (
    Form,
    form_options,
    json_option,
    print_facts,
    print_list,
    print_result,
)
from rightsmanager.cli.world.client import WORLDS, client_options, given
from rightsmanager.testing.control import Control, segment

_COLUMNS: Final = {
    "name": "name",
    "created_at": "created",
    "revision": "revision",
    "database": "database",
}


def _parse_seconds(text: str) -> float | str:
    """Return a number of seconds, or a text that the server reads as a duration."""
    try:
        return float(text)
    except ValueError:
        return text


def _parse_seed(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a seed, expected a number or none")
    return int(text)


@click.command()
@client_options
@json_option
@click.argument("name")
@click.option("--now", metavar="TIME", help="Set it, such as to 2031-01-01T00:00:00Z.")
@click.option(
    "--advance",
    type=Parsed("duration", _parse_seconds),
    help="Add seconds, or a duration such as P1DT2H.",
)
@click.option("--freeze/--run", default=None, help="Stop it, or let it run.")
@click.option("--offset", type=int, help="Seconds that are added to every reading.")
@click.option("--drift", type=float, help="Seconds of the world in a second.")
def clock(client: Control, /, *, name: str, form: Form, **change: Any) -> None:  # noqa: ANN401 -- the options' own
    """Show or change the clock of a world.

    Example: rightsmanager world clock a --advance PT1H
    """
    body, path = given(**change), f"{WORLDS}/{segment(name)}/clock"
    print_facts(form, client.put(path, body) if body else client.get(path))


@click.command()
@client_options
@json_option
@click.argument("name")
@click.argument("value", metavar="SEED|none", type=Parsed("seed", _parse_seed))
def seed(client: Control, *, name: str, value: int | None, form: Form) -> None:
    """Set or remove the seed of a world.

    From now on everything random in it follows from the seed and from each request.
    """
    client.put(f"{WORLDS}/{segment(name)}/seed", {"seed": value})
    shown = "none" if value is None else value
    print_result(form, {"name": name, "seed": value}, f"seed of {name}: {shown}")


@click.command()
@client_options
@json_option
@click.argument("name")
@click.argument("snapshot_name", metavar="[SNAPSHOT]", required=False)
def snapshot(client: Control, *, name: str, snapshot_name: str | None, form: Form) -> None:
    """Make a snapshot of a world."""
    path = f"{WORLDS}/{segment(name)}/snapshots"
    print_facts(form, client.post(path, given(name=snapshot_name)))


@click.command()
@client_options
@form_options
@click.argument("name")
def snapshots(client: Control, *, name: str, form: Form) -> None:
    """List the snapshots of a world."""
    print_list(form, client.get(f"{WORLDS}/{segment(name)}/snapshots")["snapshots"], _COLUMNS)


@click.command()
@client_options
@json_option
@click.argument("name")
@click.argument("snapshot_name", metavar="SNAPSHOT")
def restore(client: Control, *, name: str, snapshot_name: str, form: Form) -> None:
    """Return a world to a snapshot."""
    client.post(f"{WORLDS}/{segment(name)}/snapshots/{segment(snapshot_name)}/restore")
    facts = {"name": name, "snapshot": snapshot_name}
    print_result(form, facts, f"world {name} is as in snapshot {snapshot_name}")
