"""`rightsmanager device new` and `certify`: devices of the test PKI."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import add_options
from rightsmanager.crypto.random import system_random
from rightsmanager.device.identity import Device, load_server_keys, save_device
from rightsmanager.files import create_file
from rightsmanager.keyring import ClientModel, certify_device, certify_public_keys
from rightsmanager.keyring.certification import DEFAULT_FEATURES, DEFAULT_LEVEL
from rightsmanager.keyring.loading import read_public_key
from rightsmanager.policy.reflection import PLATFORMS
from rightsmanager.protocol.formats.bcert import Feature

FEATURES: Final = {feature.name.lower().replace("_", "-"): feature for feature in Feature}
_PLATFORM_NUMBERS: Final = {name: number for number, name in PLATFORMS.items()}
_MODEL: Final = ClientModel()


@dataclass(frozen=True, slots=True)
class CertificateOptions:
    """The options for the contents of a certificate."""

    security_level: int
    features: tuple[str, ...]
    manufacturer: str
    model_name: str
    model_number: str
    platform: str | None

    @property
    def feature_numbers(self) -> tuple[Feature, ...]:
        """The features, or the default ones if none is given."""
        return tuple(FEATURES[name] for name in self.features) or DEFAULT_FEATURES

    @property
    def model(self) -> ClientModel:
        """The manufacturer, model and platform."""
        number = None if self.platform is None else _PLATFORM_NUMBERS[self.platform]
        return ClientModel(self.manufacturer, self.model_name, self.model_number, number)


_certificate_options: Final = add_options(
    click.option(
        "--security-level",
        type=click.IntRange(0, 3000),
        default=DEFAULT_LEVEL,
        show_default=True,
        help="The security level in the certificate.",
    ),
    click.option(
        "--feature",
        "features",
        metavar="FEATURE",
        multiple=True,
        type=click.Choice(list(FEATURES)),
        help="A feature in the certificate, such as secure-clock; repeat it for more.",
    ),
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
@_certificate_options
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def new(
    operator: Operator,
    /,
    *,
    folder: Path,
    **options: Any,  # noqa: ANN401 -- the fields of CertificateOptions
) -> None:
    """Make a device in a new folder.

    The device issuer of the server's data folder certifies it. `device show` prints the
    certificate's facts, and the parameter clientinfo of a request returns them.

    Example: rightsmanager device new players/tv --security-level 3000 --model-name "TV 1"
    """
    operator.refuse_missing_data()
    certificate = CertificateOptions(**options)
    keys = certify_device(
        operator.files,
        system_random,
        security_level=certificate.security_level,
        features=certificate.feature_numbers,
        model=certificate.model,
    )
    made = Device(keys.chain, keys.signing_key, keys.encryption_key)
    save_device(folder, made, load_server_keys(operator.files.public))
    click.echo(f"The device is in {folder}.")


@click.command()
@pass_operator
@_certificate_options
@click.argument("signing", metavar="SIGNING", type=click.Path(path_type=Path))
@click.argument("encryption", metavar="ENCRYPTION", type=click.Path(path_type=Path))
@click.argument("chain", metavar="CHAIN", type=click.Path(path_type=Path))
def certify(
    operator: Operator,
    /,
    *,
    signing: Path,
    encryption: Path,
    chain: Path,
    **options: Any,  # noqa: ANN401 -- as above
) -> None:
    """Certify the keys of a client that has its own.

    SIGNING and ENCRYPTION are files with the client's public keys: x and y on P-256, 64 bytes. The
    certificate chain is written into a new file CHAIN; the private keys stay with the client.
    """
    operator.refuse_missing_data()
    certificate = CertificateOptions(**options)
    certified = certify_public_keys(
        operator.files,
        system_random,
        (read_public_key(signing), read_public_key(encryption)),
        security_level=certificate.security_level,
        features=certificate.feature_numbers,
        model=certificate.model,
    )
    create_file(chain, certified.raw)
    click.echo(f"The certificate chain is in {chain}.")
