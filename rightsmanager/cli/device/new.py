"""`rightsmanager device new`: a device in its own folder."""

from pathlib import Path
from typing import Final

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.crypto.random import system_random
from rightsmanager.device.identity import Device, load_server_keys, save_device
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.certification import DEFAULT_FEATURES, DEFAULT_LEVEL
from rightsmanager.protocol.formats.bcert import Feature

FEATURES: Final = {feature.name.lower().replace("_", "-"): feature for feature in Feature}


@click.command()
@pass_operator
@click.option(
    "--security-level",
    type=click.IntRange(0, 3000),
    default=DEFAULT_LEVEL,
    show_default=True,
    help="The security level in the certificate.",
)
@click.option(
    "--feature",
    "features",
    metavar="FEATURE",
    multiple=True,
    type=click.Choice(list(FEATURES)),
    help="A feature in the certificate, such as secure-clock; repeat it for more.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def new(
    operator: Operator, *, security_level: int, features: tuple[str, ...], folder: Path
) -> None:
    """Make a device in a new folder.

    The device issuer of the server's data folder certifies it.

    Example: rightsmanager device new players/one --security-level 3000
    """
    operator.refuse_missing_data()
    files = operator.files
    keys = certify_device(
        files,
        system_random,
        security_level=security_level,
        features=tuple(FEATURES[name] for name in features) or DEFAULT_FEATURES,
    )
    made = Device(keys.chain, keys.signing_key, keys.encryption_key)
    save_device(folder, made, load_server_keys(files.public))
    click.echo(f"The device is in {folder}.")
