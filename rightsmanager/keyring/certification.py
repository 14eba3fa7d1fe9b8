"""Certifies simulated devices, domains, and metering services."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError
from rightsmanager.keyring.creation import MANUFACTURER
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import (
    DEVICE_ISSUER,
    METERING,
    METERING_ISSUER,
    SIGNER_LEVEL,
    Identity,
)
from rightsmanager.keyring.loading import DomainIssuer, MeteringIdentity
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Chain,
    Feature,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
)
from rightsmanager.protocol.formats.bcert.objects import (
    CertificateObject,
    Device,
    Domain,
    Manufacturer,
    Metering,
    SecurityVersion,
)
from rightsmanager.protocol.messages.metering import read_metering_certificate
from rightsmanager.protocol.wire import GUID_LENGTH, NEVER, Mid

DEFAULT_LEVEL: Final = 2000
_SECURITY_VERSION: Final = 1
DOMAIN_LEVEL: Final = 3000
"""At least any device's: a member's own certificate limits what it may use."""
DEFAULT_FEATURES: Final = (
    Feature.SECURE_CLOCK,
    Feature.REVOCATION_LISTS,
    Feature.PLAYREADY_3,
)


@dataclass(frozen=True, slots=True)
class ClientModel:
    """The manufacturer, model and platform in a device's certificate."""

    manufacturer: str = MANUFACTURER
    model_name: str = "Simulated device"
    model_number: str = "1"
    platform: int | None = None
    """A number of `policy.reflection.PLATFORMS`; None for a certificate without a platform."""

    @property
    def objects(self) -> tuple[CertificateObject, ...]:
        """The certificate's objects for a device of this model."""
        if self.platform is None:
            return (Device(),)
        return (Device(), SecurityVersion(_SECURITY_VERSION, self.platform))


@dataclass(frozen=True, slots=True)
class CertifiedKeys:
    """A new client: its chain, and the private keys of the leaf."""

    chain: Chain
    signing_key: p256.PrivateKey = field(repr=False)
    encryption_key: p256.PrivateKey = field(repr=False)


def certify_device(  # noqa: PLR0913 -- the contents of a certificate
    files: KeyFiles,
    rng: Rng,
    *,
    security_level: int = DEFAULT_LEVEL,
    features: Sequence[Feature | int] = DEFAULT_FEATURES,
    expiry: int = NEVER,
    model: ClientModel = ClientModel(),
) -> CertifiedKeys:
    """Return a new device under the device issuer; `expiry` is in Unix seconds.

    Raises InternalError if the keyring has no device issuer, and InvalidMessage for a text that a
    certificate cannot hold.
    """
    signing, encryption = p256.PrivateKey.generate(rng), p256.PrivateKey.generate(rng)
    chain = certify_public_keys(
        files,
        rng,
        (signing.public, encryption.public),
        security_level=security_level,
        features=features,
        expiry=expiry,
        model=model,
    )
    return CertifiedKeys(chain, signing, encryption)


def certify_public_keys(  # noqa: PLR0913 -- as above
    files: KeyFiles,
    rng: Rng,
    keys: tuple[p256.PublicKey, p256.PublicKey],
    *,
    security_level: int = DEFAULT_LEVEL,
    features: Sequence[Feature | int] = DEFAULT_FEATURES,
    expiry: int = NEVER,
    model: ClientModel = ClientModel(),
) -> Chain:
    """Return the chain of a device that has its keys already: one to sign, one to encrypt.

    Raises InternalError and InvalidMessage like `certify_device`.
    """
    issuer = _issuer_key(files, DEVICE_ISSUER)
    signing, encryption = keys
    template = Template(
        type=CertificateType.DEVICE,
        security_level=security_level,
        certificate_id=rng(GUID_LENGTH),
        client_id=rng(GUID_LENGTH),
        expiry=expiry,
        keys=(
            Key(signing, (KeyUsage.SIGN,)),
            Key(encryption, (KeyUsage.ENCRYPT_KEY,)),
        ),
        features=tuple(features),
        manufacturer=Manufacturer(model.manufacturer, model.model_name, model.model_number),
        objects=model.objects,
    )
    return chain_under(issue(template, issuer), files.find_chain(DEVICE_ISSUER.name))


def certify_metering(files: KeyFiles, rng: Rng, mid: Mid, url: str) -> MeteringIdentity:
    """Return a new metering service under the metering issuer, for reports to `url`.

    Raises InternalError if the keyring has no metering issuer, and InvalidMessage for a URL that a
    certificate cannot hold.
    """
    issuer = _issuer_key(files, METERING_ISSUER)
    key = p256.PrivateKey.generate(rng)
    template = Template(
        type=CertificateType.METERING,
        security_level=SIGNER_LEVEL,
        certificate_id=rng(GUID_LENGTH),
        client_id=rng(GUID_LENGTH),
        keys=(Key(key.public, (KeyUsage.ENCRYPT_KEY,)),),
        manufacturer=Manufacturer(MANUFACTURER, METERING.name, "1"),
        objects=(Metering(mid, url),),
    )
    chain = chain_under(issue(template, issuer), files.find_chain(METERING_ISSUER.name))
    return MeteringIdentity(key, read_metering_certificate(chain))


def _issuer_key(files: KeyFiles, issuer: Identity) -> p256.PrivateKey:
    key = files.find_key(issuer.name)
    if key is None:
        raise InternalError(
            f"{files.private} has no {issuer.name}; run rightsmanager init --data {files.data}"
        )
    return key


@dataclass(frozen=True, slots=True)
class CertifiedDomain:
    """One revision of a domain: its chain and the private key of the leaf."""

    chain: Chain
    key: p256.PrivateKey = field(repr=False)


def certify_domain(issuer: DomainIssuer, domain: Domain, rng: Rng) -> CertifiedDomain:
    """Return a revision of a domain, with its own key pair, under the domain issuer."""
    key = p256.PrivateKey.generate(rng)
    template = Template(
        type=CertificateType.DOMAIN,
        security_level=DOMAIN_LEVEL,
        certificate_id=rng(GUID_LENGTH),
        # Members share this key. It encrypts and never signs: no member can pose as another.
        keys=(Key(key.public, (KeyUsage.ENCRYPT_KEY,)),),
        objects=(domain,),
    )
    return CertifiedDomain(chain_under(issue(template, issuer.key), issuer.chain), key)
