"""`rightsmanager world fault`: the faults of a world."""

from typing import Final

import click

from rightsmanager.cli.printing import (
    Form,
    form_options,
    json_option,
    print_facts,
    print_list,
    print_result,
)
from rightsmanager.cli.world.client import LabClient, client_options, segment
from rightsmanager.cli.world.life import PAIR, Pairs

_COLUMNS: Final = {
    "id": "id",
    "kind": "kind",
    "operation": "operation",
    "used": "used",
}


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
def add(client: LabClient, *, name: str, kind: str, fields: Pairs, form: Form) -> None:
    """Add a fault to a world.

    Example: rightsmanager world fault add a status status=0x8004c600 count=1
    """
    body = {"kind": kind, **dict(fields)}
    print_facts(form, client.call("POST", f"/worlds/{segment(name)}/faults", body))


@fault.command(name="list")
@client_options
@form_options
@click.argument("name")
def list_(client: LabClient, *, name: str, form: Form) -> None:
    """List the faults of a world."""
    found = client.get(f"/worlds/{segment(name)}/faults")["faults"]
    columns = dict.fromkeys(_COLUMNS, None)
    print_list(form, [{**columns, **each} for each in found], _COLUMNS)


@fault.command()
@client_options
@json_option
@click.argument("name")
@click.argument("fault_id", metavar="[ID]", required=False)
def remove(client: LabClient, *, name: str, fault_id: str | None, form: Form) -> None:
    """Remove a fault of a world, or all of them."""
    path = f"/worlds/{segment(name)}/faults"
    client.call("DELETE", path if fault_id is None else f"{path}/{segment(fault_id)}")
    what = "all faults" if fault_id is None else f"fault {fault_id}"
    print_result(form, {"name": name, "removed": fault_id}, f"{what} of {name} removed")
