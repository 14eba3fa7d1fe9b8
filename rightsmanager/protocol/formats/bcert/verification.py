"""Whether a chain is to be believed.

    facts of the bytes     the last issuer key is a trust anchor; every other issuer key is one of
    (checked once)         the next certificate's keys and may issue this type; the next
                           certificate is an issuer; no security level is above the issuer's;
                           every signature verifies
    facts of the moment    no certificate has expired; none is on a revocation list
    (checked at each use)

The signatures come last, from the anchor down: bytes that no anchor vouches for cost no more than
one verification, and are never kept. What is kept are certificates whose whole line up to an
anchor was verified, and chains of such.
"""

from collections.abc import Container, Iterable
from itertools import pairwise
from typing import Final

from rightsmanager.crypto.p256 import PublicKey, verify
from rightsmanager.errors import DeviceCertificateRevoked, InvalidMessage
from rightsmanager.protocol.formats.bcert.certificate import Certificate
from rightsmanager.protocol.formats.bcert.chain import Chain, parse_chain
from rightsmanager.protocol.formats.bcert.lru import Lru
from rightsmanager.protocol.formats.bcert.objects import CertificateType, Key, KeyUsage
from rightsmanager.protocol.wire import NEVER, encode_base64

DEFAULT_CACHE_SIZE: Final = 4096

_CLIENT_ISSUERS: Final = (
    KeyUsage.ISSUE_DEVICE,
    KeyUsage.ISSUE_SILVERLIGHT,
    KeyUsage.ISSUE_APPLICATION,
)

ISSUING_USAGES: Final[dict[CertificateType, frozenset[int]]] = {
    kind: frozenset((KeyUsage.ISSUE_ALL, *usages))
    for kind, usages in {
        CertificateType.PC: _CLIENT_ISSUERS,
        CertificateType.DEVICE: _CLIENT_ISSUERS,
        CertificateType.DOMAIN: (KeyUsage.ISSUE_DOMAIN,),
        # And what `may_issue` lets an issuer pass on.
        CertificateType.ISSUER: (),
        CertificateType.CRL_SIGNER: (KeyUsage.ISSUE_CRL,),
        # No published usage issues services alone.
        CertificateType.SERVICE: (),
        CertificateType.SILVERLIGHT: (KeyUsage.ISSUE_SILVERLIGHT,),
        CertificateType.APPLICATION: _CLIENT_ISSUERS,
        CertificateType.METERING: (KeyUsage.ISSUE_METERING,),
        CertificateType.KEY_FILE_SIGNER: (KeyUsage.ISSUE_KEY_FILE_SIGNER,),
        CertificateType.SERVER: (KeyUsage.ISSUE_SERVER,),
        CertificateType.LICENSE_SIGNER: (KeyUsage.ISSUE_LICENSE_SIGNER,),
        CertificateType.SECURE_TIME_SERVER: (KeyUsage.ISSUE_SECURE_TIME,),
        CertificateType.PROVISIONING_MODEL_AUTHORITY: (KeyUsage.ISSUE_PROVISIONING_MODEL,),
    }.items()
}
"""Any one of these usages lets a key issue the type of certificate."""

POWERS: Final = frozenset(usage for usage in KeyUsage if usage.name.startswith("ISSUE_"))
"""Every usage that lets a key issue something."""


class ChainVerifier:
    """Parses and verifies chains, and remembers what bytes alone decide.

    It keeps at most `cache_size` chains and as many certificates, since new clients share their
    issuers with old ones. Several threads may use it at once.
    """

    def __init__(
        self, trust_anchors: Iterable[PublicKey], cache_size: int = DEFAULT_CACHE_SIZE
    ) -> None:
        self._anchors = {anchor.raw: anchor for anchor in trust_anchors}
        # The keys are whole bytes, which name the issuer key too. A digest would cost more than
        # the comparison, and the values hold the same bytes anyway.
        self._chains: Lru[bytes, Chain] = Lru(cache_size)
        self._certificates: Lru[bytes, Certificate] = Lru(cache_size)

    def parse(self, data: bytes) -> Chain:
        """Return what `parse_chain` returns, faster for bytes that were verified before."""
        return self._chains.find(data) or parse_chain(data, self._certificates.find)

    def verify(self, chain: Chain, now: int, revoked: Container[bytes] = ()) -> None:
        """Return if the chain is to be believed at `now`, in Unix seconds.

        revoked: the digests of revoked certificates, 32 bytes each. Raises
        DeviceCertificateRevoked when one of the chain's is among them, and InvalidMessage, which
        says which certificate and what was expected, for every other reason.
        """
        if self._chains.find(chain.raw) is None:
            self._verify_bytes(chain)
            self._chains.record(chain.raw, chain)
        for index, certificate in enumerate(chain.certificates):
            if certificate.expiry < now and certificate.expiry != NEVER:
                raise InvalidMessage(
                    f"{_name(index, certificate)} expired at {certificate.expiry}, now is {now}"
                )
            if certificate.digest in revoked:
                raise DeviceCertificateRevoked(
                    f"{_name(index, certificate)} with digest "
                    f"{encode_base64(certificate.digest)} is revoked"
                )

    def _verify_bytes(self, chain: Chain) -> None:
        certificates = chain.certificates
        last = len(certificates) - 1
        anchor = self._anchors.get(certificates[last].issuer_key.raw)
        if anchor is None:
            raise InvalidMessage(
                f"{_name(last, certificates[last])} is issued by a key that is no trust anchor"
            )
        keys = [
            _issuing_key(_name(index, child), child, parent)
            for index, (child, parent) in enumerate(pairwise(certificates))
        ]
        for index, key in reversed(tuple(enumerate((*keys, anchor)))):
            self._verify_signature(_name(index, certificates[index]), certificates[index], key)

    def _verify_signature(self, name: str, certificate: Certificate, key: PublicKey) -> None:
        if self._certificates.find(certificate.raw) is not None:
            return
        try:
            verify(key, certificate.signature.signature, certificate.signed)
        except InvalidMessage as error:
            raise InvalidMessage(f"{name}: {error.text}") from None
        self._certificates.record(certificate.raw, certificate)


def _name(index: int, certificate: Certificate) -> str:
    kind = certificate.type.name.lower().replace("_", " ")
    return f"certificate {index} ({kind}) of the chain"


def _issuing_key(name: str, child: Certificate, parent: Certificate) -> PublicKey:
    """Return the parent's key that the child names, once it is one that may issue the child.

    It is the parent's object and not the child's: a parent that was met before has its key ready.
    """
    if parent.type != CertificateType.ISSUER:
        raise InvalidMessage(
            f"{name} is issued by a certificate of type {parent.type.name.lower()}, "
            "expected an issuer"
        )
    keys = [key for key in parent.keys if key.public == child.issuer_key]
    if not keys:
        raise InvalidMessage(f"{name} is issued by a key that is not one of its issuer's")
    if not may_issue(_usages(keys), child):
        raise InvalidMessage(
            f"{name} is issued by a key with the usages {_numbers(_usages(keys))}, "
            f"expected {_expected_usages(child)}"
        )
    if child.security_level > parent.security_level:
        raise InvalidMessage(
            f"{name} has security level {child.security_level}, expected at most its issuer's "
            f"{parent.security_level}"
        )
    return keys[0].public


def may_issue(usages: frozenset[int], child: Certificate) -> bool:
    """Return whether a key with these usages may issue the certificate.

    An issuer that may not issue all passes on, to an issuer under it, at most its own powers: the
    usages to issue of all of the new issuer's keys are among those of the key that signs it.
    """
    if usages & ISSUING_USAGES[child.type]:
        return True
    if child.type != CertificateType.ISSUER:
        return False
    return bool(usages & POWERS) and _usages(child.keys) & POWERS <= usages


def _usages(keys: Iterable[Key]) -> frozenset[int]:
    return frozenset(usage for key in keys for usage in key.usages)


def _expected_usages(child: Certificate) -> str:
    expected = f"one of {_numbers(ISSUING_USAGES[child.type])}"
    if child.type != CertificateType.ISSUER:
        return expected
    return f"{expected} or all of {_numbers(_usages(child.keys) & POWERS)} that it grants"


def _numbers(usages: frozenset[int]) -> list[int]:
    return sorted(int(usage) for usage in usages)
