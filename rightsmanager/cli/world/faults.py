"""`rightsmanager world fault`: the faults of a world."""

import json
from typing import Any, Final

import click

from rightsmanager.cli.options import Parsed, read_input
from rightsmanager.cli.printing import (
    Form,
    date_text,
    form_options,
    json_option,
    print_facts,
    print_list,
    print_result,
)
from rightsmanager.cli.world.client import WORLDS, client_options
from rightsmanager.cli.world.life import PAIR, Pairs
from rightsmanager.testing.control import Control, segment

_COLUMNS: Final = {
    "id": "id",
    "kind": "kind",
    "values": "values",
    "used": "used",
}
_ANSWERS: Final = Parsed("file", lambda name: json.loads(read_input(name)))
"""The JSON of a file."""
_APART: Final = frozenset({"id", "kind", "used", "created_at"})


@click.group()
def fault() -> None:
    """Manage the faults of a world.

    rightsmanager fault list prints all kinds.
    """


@fault.command()
@client_options
@json_option
@click.argument("name")
@click.argument("kind")
@click.argument("fields", metavar="[FIELD=VALUE]...", type=PAIR, nargs=-1)
def add(client: Control, *, name: str, kind: str, fields: Pairs, form: Form) -> None:
    """Add a fault to a world.

    Example: rightsmanager world fault add a status status=0x8004c600 count=1
    """
    body = {"kind": kind, **dict(fields)}
    added = client.post(f"{WORLDS}/{segment(name)}/faults", body)
    shown = added if form == "json" else {**added, "created_at": date_text(added["created_at"])}
    print_facts(form, shown)


@fault.command(name="list")
@client_options
@form_options
@click.argument("name")
def list_(client: Control, *, name: str, form: Form) -> None:
    """List the faults of a world."""
    _print_all(form, client.get(f"{WORLDS}/{segment(name)}/faults")["faults"])


@fault.command()
@client_options
@form_options
@click.argument("name")
@click.argument("answers", metavar="FILE", type=_ANSWERS)
def script(client: Control, *, name: str, answers: object, form: Form) -> None:
    """Script the next answers of a world.

    FILE has a JSON list of faults, each for one request, in this order; - for standard input.

    Example: rightsmanager world fault script a answers.json
    """
    _print_all(form, client.post(f"{WORLDS}/{segment(name)}/answers", answers)["faults"])


@fault.command()
@client_options
@json_option
@click.argument("name")
@click.argument("fault_id", metavar="[ID]", required=False)
def remove(client: Control, *, name: str, fault_id: str | None, form: Form) -> None:
    """Remove a fault of a world, or all of them."""
    path = f"{WORLDS}/{segment(name)}/faults"
    client.delete(path if fault_id is None else f"{path}/{segment(fault_id)}")
    what = "all faults" if fault_id is None else f"fault {fault_id}"
    print_result(form, {"name": name, "removed": fault_id}, f"{what} of {name} removed")


def _print_all(form: Form, found: list[dict[str, Any]]) -> None:
    shown = found if form == "json" else [{**each, "values": _values(each)} for each in found]
    print_list(form, shown, _COLUMNS)


def _values(facts: dict[str, Any]) -> str:
    """Return the requests that a fault is for and the values of its kind, as `add` takes them."""
    rest = {name: value for name, value in facts.items() if name not in _APART}
    return " ".join(f"{name}={value}" for name, value in rest.items() if value is not None)
