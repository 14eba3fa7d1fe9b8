"""Signers that a correct client refuses: of another root, and with an expired certificate."""

from functools import cache
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.errors import InternalError
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import (
    ISSUER_LEVEL,
    LICENSE_SIGNER_ISSUER,
    SIGNER_LEVEL,
)
from rightsmanager.operations.context import Signing
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Chain,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
)
from rightsmanager.protocol.formats.bcert.objects import Manufacturer
from rightsmanager.protocol.wire import GUID_LENGTH, NEVER

_MAKER: Final = "RightsManager test PKI"
EXPIRY: Final = 1
"""Before every time that a world's clock can have, in Unix seconds."""


@cache
def foreign_signing() -> Signing:
    """Return a signer whose chain ends in a root that no client trusts; always the same."""
    rng = seeded_random(b"faults: foreign signer")
    root, issuer_key = p256.PrivateKey.generate(rng), p256.PrivateKey.generate(rng)
    issuer = issue(
        Template(
            type=CertificateType.ISSUER,
            security_level=ISSUER_LEVEL,
            certificate_id=rng(GUID_LENGTH),
            client_id=rng(GUID_LENGTH),
            keys=(Key(issuer_key.public, (KeyUsage.ISSUE_SERVER,)),),
            manufacturer=Manufacturer(_MAKER, "foreign issuer", "1"),
        ),
        root,
    )
    return _sign(rng, issuer_key, chain_under(issuer, None), "foreign signer", NEVER)


def expired_signing(files: KeyFiles) -> Signing:
    """Return a signer under the keyring's issuer whose certificate has expired.

    Raises InternalError if the issuer's key was taken away.
    """
    key, chain = (
        files.find_key(LICENSE_SIGNER_ISSUER.name),
        files.find_chain(LICENSE_SIGNER_ISSUER.name),
    )
    if key is None or chain is None:
        raise InternalError(
            f"the keyring has no key of {LICENSE_SIGNER_ISSUER.name}, expected it for a fault of "
            "the kind expired-signer"
        )
    rng = seeded_random(b"faults: expired signer" + key.raw)
    return _sign(rng, key, chain, "expired signer", EXPIRY)


def _sign(
    rng: Rng, issuer_key: p256.PrivateKey, issuer: Chain | None, name: str, expiry: int
) -> Signing:
    key = p256.PrivateKey.generate(rng)
    template = Template(
        type=CertificateType.SERVER,
        security_level=SIGNER_LEVEL,
        certificate_id=rng(GUID_LENGTH),
        client_id=rng(GUID_LENGTH),
        expiry=expiry,
        keys=(Key(key.public, (KeyUsage.SIGN, KeyUsage.SIGN_RESPONSE)),),
        manufacturer=Manufacturer(_MAKER, name, "1"),
    )
    return Signing(key, chain_under(issue(template, issuer_key), issuer).raw, always=True)
