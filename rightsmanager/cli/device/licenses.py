"""`rightsmanager device licenses`, `open`, `export`, `import`: the licences that a device keeps."""

import json
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.device.acquire import license_facts, print_opened
from rightsmanager.cli.device.player import DeviceSession, counted, device_option, player_of
from rightsmanager.cli.options import KidParameter, json_option
from rightsmanager.cli.printing import print_table
from rightsmanager.device.files import write_whole
from rightsmanager.device.licenses import StoredLicense
from rightsmanager.device.opening import OpenedLicense
from rightsmanager.device.terms import Terms
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.inspection.values import time_text
from rightsmanager.protocol.wire import Guid, Kid

_COLUMNS = ("KID", "bound to", "state", "begins", "ends", "removal", "metering id", "issued")

kid_argument = click.argument("kid", type=KidParameter())
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@device_option
@json_option
def licenses(folder: Path, *, as_json: bool) -> None:
    """List the licences that the device keeps, without opening them.

    A licence whose removal date was reached is listed as removed, and dropped.
    """
    player = player_of(folder)
    stored = player.licenses.find_all()
    player.licenses.drop_removed(player.now)
    facts = [_facts(each, player) for each in stored]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    print_table(_COLUMNS, [_row(each, fact) for each, fact in zip(stored, facts, strict=True)])
    click.echo(counted(len(facts)))


@click.command(name="open")
@device_option
@click.argument("what", metavar="KID|FILE")
@json_option
def open_(folder: Path, *, what: str, as_json: bool) -> None:
    """Open a licence and print its content key, without any server.

    It is the best licence that the device keeps for KID, or the one in FILE, which another member
    of a domain may have given. A leaf licence is opened through the root that the device keeps.
    """
    player = player_of(folder)
    file = Path(what)
    opened = (
        player.shelf.open_file(_read(file))
        if file.is_file()
        else player.shelf.open(_kid_or_file(what))
    )
    if as_json:
        click.echo(json.dumps(license_facts(opened), indent=2))
        return
    print_opened((opened,))


@click.command()
@device_option
@kid_argument
@file_argument
def export(folder: Path, *, kid: Kid, file: Path) -> None:
    """Write the best licence for KID into FILE, for another member of its domain.

    One of a domain is better than one of the device alone, which is of no use to others. A leaf
    licence needs its root's licence beside it.
    """
    opened = player_of(folder).shelf.open_shared(kid)
    write_whole(file, opened.raw)
    click.echo(f"The licence for KID {kid.text} is in {file}{_and_root(opened)}.")


@click.command(name="import")
@device_option
@file_argument
def import_(folder: Path, *, file: Path) -> None:
    """Keep the persistent licence in FILE, if the device can open it."""
    player = player_of(folder)
    opened = player.shelf.open_file(_read(file))
    if not opened.persistent:
        raise InvalidMessage(f"the licence in {file} is not persistent")
    player.licenses.record(opened)
    click.echo(f"The device keeps the licence for KID {opened.kid.text}.")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InternalError(f"{file} cannot be read: {error.strerror}") from None


def _kid_or_file(what: str) -> Kid:
    try:
        return Kid.parse(what)
    except InvalidMessage:
        raise InternalError(f"{what!r} is neither a KID nor a file") from None


def _and_root(opened: OpenedLicense) -> str:
    root = opened.root_kid
    return "" if root is None else f"; it is a leaf, export its root {root.text} too"


def _facts(stored: StoredLicense, player: DeviceSession) -> dict[str, Any]:
    terms = stored.terms
    first_played = player.journal.first_played(stored.license.rights_id)
    return {
        "kid": stored.kid.text,
        "rights_id": stored.license.rights_id.hex(),
        "bound_to": _bound_to(terms),
        "state": terms.state(player.now, first_played).value,
        "begin": terms.begin,
        "end": terms.end_after(first_played),
        "expire_after_first_play": terms.first_play,
        "first_played": first_played,
        "removal_date": terms.removal,
        "metering_id": _text(terms.metering),
        "issued": terms.issued,
        "file": str(stored.file),
    }


def _bound_to(terms: Terms) -> dict[str, Any]:
    if terms.root_kid is not None:
        return {"kind": "root", "root_kid": terms.root_kid.text}
    if terms.domain is not None:
        account_id, revision = terms.domain.account_id, terms.domain.revision
        return {"kind": "domain", "account_id": account_id.text, "revision": revision}
    return {"kind": "device"}


def _text(guid: Guid | None) -> str | None:
    return None if guid is None else guid.text


def _row(stored: StoredLicense, facts: dict[str, Any]) -> list[str]:
    return [
        facts["kid"],
        " ".join(map(str, facts["bound_to"].values())),
        facts["state"],
        _time(facts["begin"]),
        _end(stored.terms, facts),
        _time(facts["removal_date"]),
        facts["metering_id"] or "-",
        _time(facts["issued"]),
    ]


def _end(terms: Terms, facts: dict[str, Any]) -> str:
    if facts["end"] is None and terms.first_play is not None:
        return f"{terms.first_play} s after its first play"
    return _time(facts["end"])


def _time(seconds: int | None) -> str:
    return "-" if seconds is None else time_text(seconds) or str(seconds)
