"""The keyring's identities as a tree: each with its issuer, key and certificate."""

from collections.abc import Iterable
from dataclasses import dataclass

from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import IDENTITIES, Identity
from rightsmanager.protocol.formats.bcert import Certificate
from rightsmanager.protocol.wire import NEVER, Mid, fingerprint


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate."""

    type: str
    security_level: int
    usages: tuple[str | int, ...]
    """Names of usages, numbers of unknown ones."""
    digest: bytes
    """The digest to revoke it by, 32 bytes."""
    expiry: int | None
    """Unix seconds, None for never."""
    metering_id: Mid | None
    """None in certificates of other types than metering."""


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """An identity of the keyring."""

    name: str
    issuer: str | None
    """The name of the identity that signs its certificate; None for one without."""
    fingerprint: str | None
    """Of its public key."""
    private_key: bool
    """Whether the keyring has its private key."""
    certificate: CertificateFacts | None


def find_identities(files: KeyFiles) -> tuple[IdentityFacts, ...]:
    """Return the identities that the keyring has, issuers before what they sign."""
    return tuple(_found(files, IDENTITIES))


def _found(files: KeyFiles, identities: Iterable[Identity]) -> Iterable[IdentityFacts]:
    for identity in identities:
        key, chain = files.find_key(identity.name), files.find_chain(identity.name)
        if key is None and chain is None:
            continue
        public = key.public if key is not None else chain and chain.leaf.keys[0].public
        yield IdentityFacts(
            name=identity.name,
            issuer=None if identity.certified is None else identity.certified.issuer,
            fingerprint=fingerprint(public.raw) if public else None,
            private_key=key is not None,
            certificate=None if chain is None else _certificate_facts(chain.leaf),
        )


def _certificate_facts(certificate: Certificate) -> CertificateFacts:
    usages = (usage for key in certificate.keys for usage in key.usages)
    metering = certificate.metering
    return CertificateFacts(
        type=certificate.type.name.lower(),
        security_level=certificate.security_level,
        usages=tuple(
            usage.name.lower() if hasattr(usage, "name") else int(usage) for usage in usages
        ),
        digest=certificate.digest,
        expiry=None if certificate.expiry == NEVER else certificate.expiry,
        metering_id=None if metering is None else metering.metering_id,
    )
