"""`rightsmanager content add`, `remove`, `import` and `export`: changes to the stored keys."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.content_keys import (
    ImportContext,
    find_registered,
    key_entries,
    register_keys,
    remove_key,
)
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import INPUT, KID
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import ServiceSpecific
from rightsmanager.files import create_file
from rightsmanager.protocol.formats.keylists import (
    KEY_TYPES,
    KeyEntry,
    build_document,
    build_table,
    parse_content_key,
    parse_key_list,
)
from rightsmanager.protocol.wire import parse_track
from rightsmanager.store.sources import IMPORT, OPERATOR

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import Kid

_FORMATS: Final = {"cpix": build_document, "csv": build_table}


@click.command()
@pass_operator
@click.option(
    "--type",
    "key_type",
    type=click.Choice(list(KEY_TYPES)),
    default="aesctr",
    show_default=True,
    help="The encryption of the content.",
)
@click.option("--program", help="The program, for packagers that ask for its keys.")
@click.option(
    "--period",
    type=click.IntRange(min=0),
    help="The key period of the program.  [default: 0]",
)
@click.option("--track", help="The kind of streams, whose policy licences have, such as uhd.")
@click.argument("kid", type=KID)
@click.argument("key", type=str)
def add(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    key_type: str,
    program: str | None,
    period: int | None,
    track: str | None,
    kid: "Kid",
    key: str,
) -> None:
    """Store the content key of a KID.

    KEY is 32 hexadecimal digits or base64; - reads it from standard input. A key that is stored
    already stays as it is; another key for the KID is refused.
    """
    clear = parse_content_key(sys.stdin.readline() if key == "-" else key, "the content key")
    if program is not None and period is None:
        period = 0
    named = None if track is None else parse_track(track)
    entry = KeyEntry(kid, clear, key_type, program, period, track=named)
    context = ImportContext(operator.content_keys, OPERATOR, now(), system_random)
    with operator.store.transaction() as transaction:
        is_new = register_keys(transaction, [entry], context) == 1
    click.echo(f"{kid.text} {'added' if is_new else 'stored already'}")


@click.command(name="track")
@pass_operator
@click.option("--none", "is_none", is_flag=True, help="Remove the track.")
@click.argument("kid", type=KID)
@click.argument("name", metavar="[TRACK]", required=False)
def track_(operator: Operator, *, is_none: bool, kid: "Kid", name: str | None) -> None:
    """Set the track of a stored key.

    TRACK is the kind of streams that the key encrypts, such as audio, sd, hd or uhd. Later licences
    for the KID have the track's policy, which the settings name.
    """
    if is_none is (name is not None):
        raise click.UsageError("give TRACK or --none")
    track = None if name is None else parse_track(name)
    with operator.store.transaction() as transaction:
        if not transaction.content_keys.set_track(kid, track):
            raise ServiceSpecific(f"KID {kid.text} has no stored content key")
    click.echo(f"{kid.text} {track or 'without a track'}")


@click.command()
@pass_operator
@click.argument("kid", type=KID)
def remove(operator: Operator, *, kid: "Kid") -> None:
    """Remove the stored key of a KID.

    Later licences for the KID have the key that the key seed gives.
    """
    with operator.store.transaction() as transaction:
        if not remove_key(transaction, kid):
            raise ServiceSpecific(f"KID {kid.text} has no stored content key")
    click.echo(f"{kid.text} removed")


@click.command(name="import")
@pass_operator
@click.argument("file", type=INPUT)
def import_(operator: Operator, *, file: bytes) -> None:
    """Store all keys of a CPIX or CSV file, or none.

    FILE may be - for standard input. Keys that are stored already stay as they are, and one that
    contradicts them is refused.
    """
    entries = parse_key_list(file)
    context = ImportContext(operator.content_keys, IMPORT, now(), system_random)
    with operator.store.transaction() as transaction:
        new = register_keys(transaction, entries, context)
    click.echo(f"{new} added, {len(entries) - new} stored already")
    for entry in entries:
        for note in entry.notes:
            click.echo(f"KID {entry.kid.text}: {note}", err=True)


@click.command()
@pass_operator
@click.option(
    "--as",
    "form",
    type=click.Choice(list(_FORMATS)),
    help="The format.  [default: csv if FILE ends so, else cpix]",
)
@click.option("--program", help="Only the keys of this program.")
@click.option("--kid", "kids", multiple=True, type=KID, help="Only the key of this KID.")
@click.option("--keys", "show_keys", is_flag=True, help="Allow FILE to be - for standard output.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
def export(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    form: str | None,
    program: str | None,
    kids: "tuple[Kid, ...]",
    show_keys: bool,
    file: Path,
) -> None:
    """Write stored keys in the clear into a new file.

    Only its owner can read FILE.
    """
    is_stdout = str(file) == "-"
    if is_stdout and not show_keys:
        raise click.UsageError("give --keys to print content keys in the clear")
    content_keys = operator.content_keys
    with operator.store.transaction() as transaction:
        registered = find_registered(
            transaction,
            lambda kid, source: (
                (not kids or kid in kids) and (program is None or source.program == program)
            ),
        )
    if not registered:
        raise ServiceSpecific("no such content key is stored")
    build = _FORMATS[form or ("csv" if file.suffix.lower() == ".csv" else "cpix")]
    text = build(key_entries(registered, content_keys))
    if is_stdout:
        sys.stdout.write(text.decode())
        return
    create_file(file, text)
    click.echo(f"{len(registered)} in {file}")
