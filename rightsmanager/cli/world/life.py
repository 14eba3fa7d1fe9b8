"""`rightsmanager world list` to `delete`: worlds as wholes."""

from typing import Any, Final

import click

from rightsmanager.cli.options import Parsed, add_options
from rightsmanager.cli.printing import (
    Form,
    form_options,
    json_option,
    print_facts,
    print_list,
    print_result,
)
from rightsmanager.cli.world.client import (
    WORLDS,
    client_options,
    get_all,
    given,
    nest,
    parse_pair,
)
from rightsmanager.testing.control import Control, segment

_COLUMNS: Final = {
    "name": "name",
    "now": "clock",
    "last_used_at": "last used",
    "seed": "seed",
    "faults": "faults",
    "url": "URL",
}
PAIR: Final = Parsed("name=value", parse_pair)
Pairs = tuple[tuple[str, Any], ...]
_options: Final = add_options(
    click.option(
        "--set",
        "settings",
        type=PAIR,
        multiple=True,
        help="A setting of its own, such as streams.max_per_device=1.",
    ),
    click.option(
        "--expires-after",
        "expires",
        type=click.IntRange(min=1),
        metavar="SECONDS",
        help="The time after its last use at which it is removed.",
    ),
)


@click.command(name="list")
@client_options
@form_options
def list_(client: Control, *, form: Form) -> None:
    """List the worlds of a server."""
    worlds = get_all(client, WORLDS, "worlds")
    print_list(form, [{**each, "now": each["clock"]["now"]} for each in worlds], _COLUMNS)


@click.command()
@client_options
@json_option
@click.argument("name", required=False)
@click.option("--seed", type=click.IntRange(min=0), help="Repeats everything random.")
@click.option("--now", metavar="TIME", help="The time of its clock, such as 2031-01-01T00:00:00Z.")
@click.option("--freeze/--run", default=None, help="Whether its clock stands still.")
@click.option("--own-pki", is_flag=True, help="Give it keys and certificates of its own.")
@_options
def create(  # noqa: PLR0913 -- one for each option
    client: Control,
    *,
    name: str | None,
    seed: int | None,
    now: str | None,
    freeze: bool | None,
    own_pki: bool,
    settings: Pairs,
    expires: int | None,
    form: Form,
) -> None:
    """Create a world with options.

    Without a NAME it gets one of 17 characters. With a seed and no clock it is frozen in 2030.

    Example: rightsmanager world create a --seed 42 --set streams.max_per_device=1
    """
    clock = given(now=now, freeze=freeze) or None
    body = given(
        name=name,
        seed=seed,
        clock=clock,
        pki="own" if own_pki else None,
        settings=nest(settings) or None,
        expires_after_seconds=expires,
    )
    _print(form, client.post(WORLDS, body))


@click.command()
@client_options
@json_option
@click.argument("name")
def show(client: Control, *, name: str, form: Form) -> None:
    """Show a world, its URL and its clock."""
    _print(form, client.get(f"{WORLDS}/{segment(name)}"))


@click.command()
@client_options
@json_option
@click.argument("name")
@_options
def change(client: Control, *, name: str, settings: Pairs, expires: int | None, form: Form) -> None:
    """Change the settings or the lifetime of a world.

    Example: rightsmanager world change a --set license.acknowledge=persistent
    """
    body = given(settings=nest(settings) or None, expires_after_seconds=expires)
    if not body:
        raise click.UsageError("Name a setting or a lifetime.")
    _print(form, client.patch(f"{WORLDS}/{segment(name)}", body))


@click.command()
@client_options
@json_option
@click.argument("name")
@click.option("--part", "parts", multiple=True, help="This part alone, such as licenses.")
def reset(client: Control, *, name: str, parts: tuple[str, ...], form: Form) -> None:
    """Empty a world, or create it.

    It has the clock, the seed and the settings again that it was created with, and no faults.
    """
    body = given(parts=list(parts) or None)
    _print(form, client.post(f"{WORLDS}/{segment(name)}/reset", body))


@click.command()
@client_options
@json_option
@click.argument("name")
@click.option("--snapshot", metavar="SNAPSHOT", help="Remove this snapshot of it alone.")
def delete(client: Control, *, name: str, snapshot: str | None, form: Form) -> None:
    """Remove a world with everything in it."""
    path = f"{WORLDS}/{segment(name)}"
    if snapshot is not None:
        client.delete(f"{path}/snapshots/{segment(snapshot)}")
        print_result(form, {"removed": snapshot}, f"snapshot {snapshot} of {name} removed")
        return
    client.delete(path)
    print_result(form, {"removed": name}, f"world {name} removed")


def _print(form: Form, world: dict[str, Any]) -> None:
    if form == "json":
        print_facts(form, world)
        return
    clock = world["clock"]
    shown = {name: value for name, value in world.items() if name not in {"clock", "settings"}}
    for section, values in world["settings"].items():
        shown |= {f"{section}.{name}": value for name, value in values.items()}
    state = "frozen" if clock["frozen"] else "runs"
    print_facts(form, {**shown, "clock": f"{clock['now']} ({state})"})
