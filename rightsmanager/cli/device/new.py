"""`rightsmanager device new`: a device in a folder of its own."""

from pathlib import Path

import click

from rightsmanager.cli.options import data_option, key_files
from rightsmanager.crypto.random import system_random
from rightsmanager.device.identity import Device, load_server_keys, save_device
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.certification import DEFAULT_FEATURES, DEFAULT_LEVEL
from rightsmanager.protocol.formats.bcert import Feature

FEATURES = {feature.name.lower().replace("_", "-"): feature for feature in Feature}


@click.command()
@data_option
@click.option(
    "--security-level", type=click.IntRange(0, 3000), default=DEFAULT_LEVEL, show_default=True
)
@click.option(
    "--feature",
    "features",
    multiple=True,
    type=click.Choice(list(FEATURES)),
    help="What the certificate says the device can do; again for more.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def new(data: Path, security_level: int, features: tuple[str, ...], folder: Path) -> None:
    """Make a device in DIR, certified by the issuer in the server's data folder."""
    files = key_files(data)
    keys = certify_device(
        files,
        system_random,
        security_level=security_level,
        features=tuple(FEATURES[name] for name in features) or DEFAULT_FEATURES,
    )
    made = Device(keys.chain, keys.signing_key, keys.encryption_key)
    save_device(folder, made, load_server_keys(files.public))
    click.echo(f"The device is in {folder}.")
