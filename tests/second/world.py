"""A PKI of fixed private keys, so that every message is the same each time."""

from tests.second import certificates as cert
from tests.second import curve
from tests.second.challenge import Client

ROOT, DEVICE_ISSUER, SIGNER_ISSUER, SIGNER = 1001, 1002, 1003, 1004
SERVER, DEVICE_SIGNING, DEVICE_ENCRYPTION, OTHER = 1005, 1006, 1007, 1008
DOMAIN_ISSUER = 1009
NOW = 1790000000

DEVICE_KEYS = ((DEVICE_SIGNING, (cert.SIGN,)), (DEVICE_ENCRYPTION, (cert.ENCRYPT,)))


def issuer(private: int, *usages: int, by: int = ROOT, level: int = 3000) -> bytes:
    """Return an issuer's certificate."""
    return cert.issue(cert.Subject(cert.ISSUER, ((private, usages),), level=level), by)


def device_chain(leaf: cert.Subject, *above: bytes, by: int = DEVICE_ISSUER) -> bytes:
    """Return the chain of a leaf under the device issuer or another one."""
    higher = above or (issuer(DEVICE_ISSUER, cert.ISSUE_DEVICE),)
    return cert.chain(cert.issue(leaf, by), *higher)


DEVICE_CHAIN = device_chain(cert.Subject(cert.DEVICE, DEVICE_KEYS))
SIGNER_CHAIN = cert.chain(
    cert.issue(
        cert.Subject(
            cert.LICENSE_SIGNER, ((SIGNER, (cert.SIGN_LICENSE, cert.SIGN_RESPONSE)),), level=3000
        ),
        SIGNER_ISSUER,
    ),
    issuer(SIGNER_ISSUER, cert.ISSUE_LICENSE_SIGNER),
)
CLIENT = Client(DEVICE_CHAIN, DEVICE_SIGNING, DEVICE_ENCRYPTION, curve.public(SERVER))
DOMAIN_ISSUER_CHAIN = cert.chain(issuer(DOMAIN_ISSUER, cert.ISSUE_DOMAIN))


def client(number: int) -> Client:
    """Return one of many devices of the PKI; `number` is small and not 0."""
    signing, encryption = 2000 + 2 * number, 2001 + 2 * number
    keys = ((signing, (cert.SIGN,)), (encryption, (cert.ENCRYPT,)))
    chain = device_chain(cert.Subject(cert.DEVICE, keys))
    return Client(chain, signing, encryption, curve.public(SERVER))
