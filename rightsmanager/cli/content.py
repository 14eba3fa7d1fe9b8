"""`rightsmanager content`: content keys of the operator, of imports and of packagers."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rightsmanager.admin.content_keys import (
    ImportContext,
    StoredKeyEntry,
    find_registered,
    register_keys,
    remove_key,
)
from rightsmanager.assembly import content_keys, open_keyring
from rightsmanager.cli.content_files import export, import_
from rightsmanager.cli.options import (
    KidParameter,
    data_option,
    json_option,
    made_store_of,
    settings_of,
)
from rightsmanager.cli.printing import print_table, printable
from rightsmanager.crypto.random import system_random
from rightsmanager.environment import passphrase
from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.formats.keylists import KEY_TYPES, KeyEntry, parse_content_key
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.sources import OPERATOR


@click.group()
def content() -> None:
    """Add, list, remove, import and export content keys."""


content.add_command(import_)
content.add_command(export)


@content.command()
@data_option
@click.option("--type", "key_type", type=click.Choice(list(KEY_TYPES)), default="aesctr")
@click.option("--program", help="What the key is for: packagers that ask for this program get it.")
@click.option(
    "--period",
    type=click.IntRange(min=0),
    help="Which key period of the program.  [default: 0]",
)
@click.argument("kid", type=KidParameter())
@click.argument("key", type=str)
def add(  # noqa: PLR0913 -- one parameter for each option
    data: Path, *, key_type: str, program: str | None, period: int | None, kid: Kid, key: str
) -> None:
    """Store the content KEY (32 hexadecimal digits or base64; - reads it) of a KID."""
    settings = settings_of(data)
    keys = content_keys(settings, open_keyring(settings, passphrase()))
    clear = parse_content_key(sys.stdin.readline() if key == "-" else key, "the content key")
    if program is not None and period is None:
        period = 0
    entry = KeyEntry(kid, clear, key_type, program, period)
    registration = ImportContext(keys, OPERATOR, int(time.time()), system_random)
    with made_store_of(settings).transaction() as transaction:
        if transaction.content_keys.find(kid) is not None:
            raise ServiceSpecific(f"KID {kid.text} has a content key already; remove it first")
        register_keys(transaction, [entry], registration)
    click.echo(f"{kid.text} added")


@content.command(name="list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List the KIDs whose content keys are stored; the keys stay where they are."""
    with made_store_of(settings_of(data)).transaction() as transaction:
        facts = [_facts(each) for each in find_registered(transaction)]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    columns = ("KID", "base64", "type", "added", "origin", "program", "period")
    rows = [["" if value is None else str(value) for value in fact.values()] for fact in facts]
    print_table(columns, [list(map(printable, row)) for row in rows])


@content.command()
@data_option
@click.argument("kid", type=KidParameter())
def remove(data: Path, kid: Kid) -> None:
    """Remove the stored content key of a KID; the seed's takes its place."""
    with made_store_of(settings_of(data)).transaction() as transaction:
        if not remove_key(transaction, kid):
            raise ServiceSpecific(f"KID {kid.text} has no stored content key")
    click.echo(f"{kid.text} removed")


def _facts(registered: StoredKeyEntry) -> dict[str, Any]:
    key, source = registered.key, registered.source
    return {
        "kid": key.kid.text,
        "kid_base64": key.kid.base64,
        "type": key.key_type,
        "added_at": datetime.fromtimestamp(key.added_at, UTC).isoformat(),
        "origin": source.origin,
        "program": source.program,
        "period": source.period,
    }
