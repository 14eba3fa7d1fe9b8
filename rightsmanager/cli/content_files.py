"""`rightsmanager content import` and `export`: lists of content keys in the clear."""

import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

import click

from rightsmanager.admin.content_keys import (
    ImportContext,
    find_registered,
    key_entries,
    register_keys,
)
from rightsmanager.assembly import content_keys, open_keyring
from rightsmanager.cli.options import (
    KidParameter,
    data_option,
    made_store_of,
    settings_of,
    write_private,
)
from rightsmanager.crypto.random import system_random
from rightsmanager.environment import passphrase
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.formats.keylists import build_document, build_table, parse_key_list
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.sources import IMPORT

MAX_BYTES: Final = 16 * 1024 * 1024
"""How long a list may be."""
FORMATS: Final = {"cpix": build_document, "csv": build_table}


@click.command(name="import")
@data_option
@click.argument("file", type=click.File("rb"))
def import_(data: Path, file: BinaryIO) -> None:
    """Store the content keys of FILE, CPIX or CSV (- for standard input): all of them, or none.

    Keys that are stored already are left as they are, and one that contradicts them is refused.
    """
    settings = settings_of(data)
    keys = content_keys(settings, open_keyring(settings, passphrase()))
    text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise InvalidMessage(f"the list has more than {MAX_BYTES} bytes")
    entries = parse_key_list(text)
    registration = ImportContext(keys, IMPORT, int(time.time()), system_random)
    with made_store_of(settings).transaction() as transaction:
        new = register_keys(transaction, entries, registration)
    click.echo(f"{new} added, {len(entries) - new} there already")


@click.command()
@data_option
@click.option(
    "--as",
    "form",
    type=click.Choice(list(FORMATS)),
    help="The form of the list.  [default: csv if FILE ends so, else cpix]",
)
@click.option("--program", help="Only the keys of this program.")
@click.option("--kid", "kids", multiple=True, type=KidParameter(), help="Only the keys of these.")
@click.option("--keys", "show_keys", is_flag=True, help="Print keys, where FILE is -.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
def export(  # noqa: PLR0913 -- one parameter for each option
    data: Path,
    *,
    form: str | None,
    program: str | None,
    kids: tuple[Kid, ...],
    show_keys: bool,
    file: Path,
) -> None:
    """Write stored content keys in the clear into a new FILE that only its owner can read."""
    is_stdout = str(file) == "-"
    if is_stdout and not show_keys:
        raise click.UsageError("give --keys to print content keys in the clear")
    settings = settings_of(data)
    keys = content_keys(settings, open_keyring(settings, passphrase()))
    with made_store_of(settings).transaction() as transaction:
        registered = find_registered(
            transaction,
            lambda kid, source: (
                (not kids or kid in kids) and (program is None or source.program == program)
            ),
        )
    if not registered:
        raise ServiceSpecific("no such content key is stored")
    build = FORMATS[form or ("csv" if file.suffix.lower() == ".csv" else "cpix")]
    text = build(key_entries(registered, keys))
    if is_stdout:
        sys.stdout.write(text.decode())
        return
    write_private(file, text)
    click.echo(f"{len(registered)} in {file}")
