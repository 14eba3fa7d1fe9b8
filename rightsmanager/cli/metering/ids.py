"""`rightsmanager metering create`, `list`, `show` and `retire`: the metering ids of this server."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from rightsmanager.cli.metering.options import metering_admin
from rightsmanager.cli.options import GuidParameter, data_option, json_option, key_files
from rightsmanager.cli.printing import print_table
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import MeteringIdentity, certify_metering
from rightsmanager.operations.metering_keys import KnownMeteringId
from rightsmanager.protocol.formats.fingerprints import fingerprint
from rightsmanager.protocol.wire import Mid, encode_base64

_MAX_NAME: Final = 64


@click.command()
@data_option
@click.option("--name", default="", help="What you call it, at most 64 characters.")
@click.option("--url", help="Where it takes reports.  [default: as the settings say]")
@click.option("--mid", type=GuidParameter(Mid), help="Its metering id.  [default: a random one]")
@json_option
def create(data: Path, name: str, url: str | None, mid: Mid | None, *, as_json: bool) -> None:
    """Make a metering id with a key pair and a certificate of its own.

    Its private key lies in the database, encrypted; every server on the database has it at once.
    """
    if len(name) > _MAX_NAME:
        raise click.BadParameter(f"expected at most {_MAX_NAME} characters", param_hint="--name")
    operated, files = metering_admin(data), key_files(data)

    def certify(mid: Mid, url: str) -> MeteringIdentity:
        return certify_metering(files, system_random, mid, url)

    ids = operated.ids
    where = url or operated.settings.effective_metering_url
    _tell(ids.find(ids.create(certify, name, where, mid)), as_json=as_json)


@click.command(name="list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List the metering ids, the keyring's own first."""
    facts = [_facts(each) for each in metering_admin(data).ids.find_all()]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    columns = ("mid", "name", "state", "created_at", "url")
    print_table(
        ("metering id", "name", "state", "created", "URL"),
        [[str(fact[column] or "") for column in columns] for fact in facts],
    )


@click.command()
@data_option
@click.option(
    "--chain",
    "chain_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write its certificate chain to a file.",
)
@json_option
@click.argument("mid", type=GuidParameter(Mid))
def show(data: Path, chain_file: Path | None, mid: Mid, *, as_json: bool) -> None:
    """Show a metering id: its state, its key's fingerprint and where it takes reports."""
    known = metering_admin(data).ids.find(mid)
    if chain_file is not None:
        chain_file.write_bytes(known.certificate.chain.raw)
    _tell(known, as_json=as_json)


@click.command()
@data_option
@click.argument("mid", type=GuidParameter(Mid))
def retire(data: Path, mid: Mid) -> None:
    """Give a metering id's certificate out no more; reports encrypted to it still count."""
    metering_admin(data).ids.retire(mid)
    click.echo(f"{mid.text} is retired; what clients encrypted to it is still read")


def _facts(known: KnownMeteringId) -> dict[str, Any]:
    certificate = known.certificate
    return {
        "mid": known.mid.text,
        "mid_base64": known.mid.base64,
        "name": known.name,
        "state": "in use" if known.retired_at is None else "retired",
        "created_at": _date(known.created_at),
        "retired_at": _date(known.retired_at),
        "url": certificate.url or "",
        "fingerprint": fingerprint(certificate.key.raw),
        "digest": encode_base64(certificate.chain.leaf.digest),
    }


def _date(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _tell(known: KnownMeteringId, *, as_json: bool) -> None:
    facts = _facts(known)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' '):12} {value}")
