"""The table of a keyring's identities: the issuer and the usages of each.

root                    signs the issuers; clients know its public key
device-issuer           certifies devices, PCs and applications
domain-issuer           certifies domains
metering-issuer         certifies metering services
license-signer-issuer   certifies signers of licences and replies
license-signer          signs licences and replies
crl-issuer              certifies signers of revocation lists
crl-signer              signs revocation lists
metering                decrypts metering reports
wmrmserver              decrypts challenges; it has no certificate, clients know its public key
storage                 encrypts content keys in the store; the secret of secure stop 2 is derived
                        from it; it has no certificate
"""

from dataclasses import dataclass, replace
from typing import Final

from rightsmanager.protocol.formats.bcert import CertificateType, KeyUsage

ISSUER_LEVEL: Final = 3000
"""The security level of issuers, which no certificate under them can exceed."""
SIGNER_LEVEL: Final = 3000


@dataclass(frozen=True, slots=True)
class Certified:
    """The contents of an identity's certificate."""

    issuer: str
    """The name of the identity that signs it."""
    type: CertificateType
    usages: tuple[KeyUsage, ...]
    security_level: int


@dataclass(frozen=True, slots=True)
class Identity:
    """One key pair of the keyring."""

    name: str
    certified: Certified | None = None
    optional: bool = False
    """Whether `create` leaves it out if its issuer's key is missing."""
    # True for identities that are newer than data folders whose root key may have been taken away.


def _issuer(name: str, *usages: KeyUsage) -> Identity:
    return Identity(name, Certified("root", CertificateType.ISSUER, usages, ISSUER_LEVEL))


ROOT: Final = Identity("root")
WMRMSERVER: Final = Identity("wmrmserver")
STORAGE: Final = Identity("storage")
DEVICE_ISSUER: Final = _issuer(
    "device-issuer",
    KeyUsage.ISSUE_DEVICE,
    KeyUsage.ISSUE_SILVERLIGHT,
    KeyUsage.ISSUE_APPLICATION,
)
DOMAIN_ISSUER: Final = _issuer("domain-issuer", KeyUsage.ISSUE_DOMAIN)
METERING_ISSUER: Final = _issuer("metering-issuer", KeyUsage.ISSUE_METERING)
LICENSE_SIGNER_ISSUER: Final = _issuer(
    "license-signer-issuer", KeyUsage.ISSUE_SERVER, KeyUsage.ISSUE_LICENSE_SIGNER
)
LICENSE_SIGNER: Final = Identity(
    "license-signer",
    Certified(
        LICENSE_SIGNER_ISSUER.name,
        # As deployed servers have it; no client looks for SIGN_LICENSE, since licences have a MAC.
        CertificateType.SERVER,
        (KeyUsage.SIGN, KeyUsage.SIGN_RESPONSE),
        SIGNER_LEVEL,
    ),
)
CRL_ISSUER: Final = replace(_issuer("crl-issuer", KeyUsage.ISSUE_CRL), optional=True)
CRL_SIGNER: Final = Identity(
    "crl-signer",
    Certified(CRL_ISSUER.name, CertificateType.CRL_SIGNER, (KeyUsage.SIGN_CRL,), SIGNER_LEVEL),
    optional=True,
)
METERING: Final = Identity(
    "metering",
    Certified(
        METERING_ISSUER.name, CertificateType.METERING, (KeyUsage.ENCRYPT_KEY,), SIGNER_LEVEL
    ),
)

IDENTITIES: Final = (
    ROOT,
    DEVICE_ISSUER,
    DOMAIN_ISSUER,
    METERING_ISSUER,
    LICENSE_SIGNER_ISSUER,
    LICENSE_SIGNER,
    CRL_ISSUER,
    CRL_SIGNER,
    METERING,
    WMRMSERVER,
    STORAGE,
)
"""All identities, each after its issuer."""
