"""`rightsmanager metering create`, `list`, `show` and `retire`: the server's metering ids."""

from pathlib import Path
from typing import Final

import click

from rightsmanager.admin.metering_ids import metering_id_facts
from rightsmanager.cli.metering.options import MeteringAdmin
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import MID
from rightsmanager.cli.printing import (
    Form,
    form_options,
    json_option,
    print_facts,
    print_list,
)
from rightsmanager.crypto.random import system_random
from rightsmanager.files import write_output
from rightsmanager.keyring import MeteringIdentity, certify_metering
from rightsmanager.protocol.wire import Mid

_MAX_NAME: Final = 64
_COLUMNS: Final = {
    "mid": "metering id",
    "name": "name",
    "state": "state",
    "created_at": "created",
    "url": "URL",
}


@click.command()
@pass_operator
@click.option("--name", default="", help="A name of at most 64 characters.")
@click.option("--url", help="The address for reports.  [default: metering.url]")
@click.option("--mid", type=MID, help="The metering id.  [default: a random one]")
@json_option
def create(operator: Operator, *, name: str, url: str | None, mid: Mid | None, form: Form) -> None:
    """Create a metering id with its own key and certificate.

    The database stores its private key, encrypted, for all servers that use the database.
    """
    if len(name) > _MAX_NAME:
        raise click.BadParameter(f"expected at most {_MAX_NAME} characters", param_hint="--name")

    def certify(mid: Mid, url: str) -> MeteringIdentity:
        return certify_metering(operator.files, system_random, mid, url)

    ids = MeteringAdmin(operator).ids
    address = url or operator.settings.effective_metering_url
    print_facts(form, metering_id_facts(ids.find(ids.create(certify, name, address, mid))))


@click.command(name="list")
@pass_operator
@form_options
def list_(operator: Operator, *, form: Form) -> None:
    """List the metering ids, the keyring's own first."""
    print_list(
        form, [metering_id_facts(each) for each in MeteringAdmin(operator).ids.find_all()], _COLUMNS
    )


@click.command()
@pass_operator
@click.option(
    "--chain",
    "chain_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the certificate chain to this file.",
)
@json_option
@click.argument("mid")
def show(operator: Operator, *, chain_file: Path | None, mid: str, form: Form) -> None:
    """Show a metering id and its certificate.

    MID is a GUID, base64 or the name.
    """
    known = MeteringAdmin(operator).find(mid)
    if chain_file is not None:
        write_output(chain_file, known.certificate.chain.raw)
    print_facts(form, metering_id_facts(known))


@click.command()
@pass_operator
@click.argument("mid")
def retire(operator: Operator, *, mid: str) -> None:
    """Stop issuing a metering id's certificate.

    MID is a GUID, base64 or the name. Reports that are encrypted to it are still counted.
    """
    metering = MeteringAdmin(operator)
    found = metering.find(mid).mid
    metering.ids.retire(found)
    click.echo(f"{found.text} is retired; reports that are encrypted to it are still counted")
