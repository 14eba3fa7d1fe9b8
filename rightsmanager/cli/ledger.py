"""`rightsmanager ledger`: what has become of a device's persistent licences."""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from rightsmanager.admin.ledger import LedgerReader
from rightsmanager.cli.device_parameter import DeviceParameter
from rightsmanager.cli.options import (
    KidParameter,
    data_option,
    json_option,
    made_store_of,
    settings_of,
)
from rightsmanager.cli.printing import print_table
from rightsmanager.errors import Refusal
from rightsmanager.protocol.wire import Kid

_COLUMNS: Final = {
    "kid": "KID",
    "state": "state",
    "license_id": "licence",
    "issued_at": "issued",
    "expires_at": "expires",
    "deleted_at": "deleted",
    "result": "result",
}
_UNKNOWN_COLUMNS: Final = {
    "kid": "KID",
    "session_id": "session",
    "deleted_at": "deleted",
}
YES, NO, FAILED = 0, 1, 2
"""Exit statuses of the question, as those of grep."""


@click.command()
@data_option
@json_option
@click.option(
    "--kid",
    type=KidParameter(),
    help="Must the device ask again for this KID? Exit status 0: yes, 1: no, 2: it failed.",
)
@click.argument("device", type=DeviceParameter())
def ledger(data: Path, device: str, kid: Kid | None, *, as_json: bool) -> None:
    """Show the persistent licences of a DEVICE: its id as recorded, its chain's file, or folder."""
    if kid is None:
        _show(_reader(data).find(device), as_json=as_json)
        return
    try:
        answer = _reader(data).ask(device, kid)
    except Refusal as refusal:
        click.echo(f"rightsmanager: {refusal.text} ({refusal.status.hex})", err=True)
        sys.exit(FAILED)
    _answer(answer, as_json=as_json)
    sys.exit(YES if answer["must_ask_again"] else NO)


def _reader(data: Path) -> LedgerReader:
    return LedgerReader(made_store_of(settings_of(data)), lambda: int(time.time()))


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    _print(_COLUMNS, facts["licenses"])
    if facts["unknown"]:
        click.echo("\nDeleted, but never issued to the device:")
        _print(_UNKNOWN_COLUMNS, facts["unknown"])


def _answer(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    must = "must ask again" if answer["must_ask_again"] else "need not ask again"
    click.echo(f"the device {must} for KID {answer['kid']}")
    if answer["licenses"]:
        _print(_COLUMNS, answer["licenses"])


def _print(columns: dict[str, str], facts: list[dict[str, Any]]) -> None:
    rows = [[fact[name] or "" for name in columns] for fact in facts]
    print_table(tuple(columns.values()), rows)
