"""`rightsmanager device new`: a device in its own folder."""

from pathlib import Path
from typing import Final

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import add_options
from rightsmanager.crypto.random import system_random
from rightsmanager.device.identity import Device, load_server_keys, save_device
from rightsmanager.keyring import ClientModel, certify_device
from rightsmanager.keyring.certification import DEFAULT_FEATURES, DEFAULT_LEVEL
from rightsmanager.policy.reflection import PLATFORMS
from rightsmanager.protocol.formats.bcert import Feature

FEATURES: Final = {feature.name.lower().replace("_", "-"): feature for feature in Feature}
_PLATFORM_NUMBERS: Final = {name: number for number, name in PLATFORMS.items()}
_MODEL: Final = ClientModel()

_model_options: Final = add_options(
    click.option(
        "--manufacturer",
        default=_MODEL.manufacturer,
        show_default=True,
        help="The manufacturer's name in the certificate.",
    ),
    click.option(
        "--model-name",
        default=_MODEL.model_name,
        show_default=True,
        help="The model's name in the certificate.",
    ),
    click.option(
        "--model-number",
        default=_MODEL.model_number,
        show_default=True,
        help="The model's number in the certificate.",
    ),
    click.option(
        "--platform",
        metavar="PLATFORM",
        type=click.Choice(list(_PLATFORM_NUMBERS), case_sensitive=False),
        help="The platform in the certificate, such as AndroidOnARM.  [default: none]",
    ),
)


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
@_model_options
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def new(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    security_level: int,
    features: tuple[str, ...],
    manufacturer: str,
    model_name: str,
    model_number: str,
    platform: str | None,
    folder: Path,
) -> None:
    """Make a device in a new folder.

    The device issuer of the server's data folder certifies it. `device show` prints the
    certificate's facts, and the parameter clientinfo of a request returns them.

    Example: rightsmanager device new players/tv --security-level 3000 --model-name "TV 1"
    """
    operator.refuse_missing_data()
    files = operator.files
    number = None if platform is None else _PLATFORM_NUMBERS[platform]
    keys = certify_device(
        files,
        system_random,
        security_level=security_level,
        features=tuple(FEATURES[name] for name in features) or DEFAULT_FEATURES,
        model=ClientModel(manufacturer, model_name, model_number, number),
    )
    made = Device(keys.chain, keys.signing_key, keys.encryption_key)
    save_device(folder, made, load_server_keys(files.public))
    click.echo(f"The device is in {folder}.")
