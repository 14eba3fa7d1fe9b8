"""Certifies simulated devices under the keyring's device issuer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError
from rightsmanager.keyring.creation import MANUFACTURER
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import DEVICE_ISSUER
from rightsmanager.protocol.bcert import (
    CertificateType,
    Chain,
    Feature,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
)
from rightsmanager.protocol.bcert.objects import Device, Manufacturer
from rightsmanager.protocol.wire import GUID_LENGTH, NEVER

DEFAULT_LEVEL: Final = 2000
DEFAULT_FEATURES: Final = (
    Feature.SECURE_CLOCK,
    Feature.REVOCATION_LISTS,
    Feature.PLAYREADY_3,
)


@dataclass(frozen=True, slots=True)
class CertifiedKeys:
    """A new client: its chain and the private keys of the leaf."""

    chain: Chain
    signing_key: p256.PrivateKey = field(repr=False)
    encryption_key: p256.PrivateKey = field(repr=False)


def certify_device(
    files: KeyFiles,
    rng: Rng,
    *,
    security_level: int = DEFAULT_LEVEL,
    features: Sequence[Feature | int] = DEFAULT_FEATURES,
    expiry: int = NEVER,
) -> CertifiedKeys:
    """Return a new device under the device issuer; `expiry` is in Unix seconds.

    Raises InternalError where the keyring has no device issuer.
    """
    issuer = files.find_key(DEVICE_ISSUER.name)
    if issuer is None:
        raise InternalError(f"{files.private} has no {DEVICE_ISSUER.name}; run rightsmanager init")
    signing, encryption = p256.PrivateKey.generate(rng), p256.PrivateKey.generate(rng)
    template = Template(
        type=CertificateType.DEVICE,
        security_level=security_level,
        certificate_id=rng(GUID_LENGTH),
        client_id=rng(GUID_LENGTH),
        expiry=expiry,
        keys=(
            Key(signing.public, (KeyUsage.SIGN,)),
            Key(encryption.public, (KeyUsage.ENCRYPT_KEY,)),
        ),
        features=tuple(features),
        manufacturer=Manufacturer(MANUFACTURER, "Simulated device", "1"),
        objects=(Device(),),
    )
    chain = chain_under(issue(template, issuer), files.find_chain(DEVICE_ISSUER.name))
    return CertifiedKeys(chain, signing, encryption)
