"""Verification of chains.

    checked once           the last issuer key is a trust anchor; every other issuer key is one of
    (depends on bytes)     the next certificate's keys and may issue this type; the next
                           certificate is an issuer; no security level is above the issuer's;
                           every signature verifies
    checked at each use    no certificate has expired; none is on a revocation list

Signatures come last, from the anchor down: a chain without a trusted issuer costs at most one
verification and is never cached. Cached are certificates with a verified path to an anchor, and
chains of such.
"""

from collections.abc import Container, Iterable
from itertools import pairwise
from threading import Lock
from typing import Final, TypeVar

from rightsmanager.crypto.p256 import PublicKey, verify
from rightsmanager.errors import DeviceCertificateRevoked, InvalidMessage
from rightsmanager.protocol.formats.bcert.certificate import Certificate
from rightsmanager.protocol.formats.bcert.chain import Chain, parse_chain
from rightsmanager.protocol.formats.bcert.objects import CertificateType, Key, KeyUsage
from rightsmanager.protocol.wire import NEVER, encode_base64

DEFAULT_CACHE_SIZE: Final = 4096

T = TypeVar("T")

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
        # `may_issue` adds the powers that an issuer passes on.
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
"""The usages that each let a key issue a type of certificate."""

POWERS: Final = frozenset(usage for usage in KeyUsage if usage.name.startswith("ISSUE_"))
"""All usages that let a key issue certificates."""


class ChainVerifier:
    """Parses and verifies chains, and caches the verified ones.

    It keeps at most `cache_size` chains and as many certificates, which new clients share with old
    ones. Several threads may use it at once.
    """

    def __init__(
        self, trust_anchors: Iterable[PublicKey], cache_size: int = DEFAULT_CACHE_SIZE
    ) -> None:
        self._anchors = {anchor.raw: anchor for anchor in trust_anchors}
        # The keys are the whole bytes, which include the issuer key. Hashing them to a digest
        # would cost more than the comparison, and the values hold the same bytes anyway.
        self._chains: dict[bytes, Chain] = {}
        self._certificates: dict[bytes, Certificate] = {}
        self._cache_size = cache_size
        self._lock = Lock()
        self.hits = 0
        """Verifications of a chain whose signatures had verified before."""
        self.misses = 0

    def parse(self, data: bytes) -> Chain:
        """Return `parse_chain` of the bytes, from the cache if they were verified before."""
        return self._chains.get(data) or parse_chain(data, self._certificates.get)

    def verify(self, chain: Chain, now: int, revoked: Container[bytes] = ()) -> None:
        """Verify the chain at `now`, in Unix seconds.

        revoked: the digests of revoked certificates, 32 bytes each. Raises
        DeviceCertificateRevoked for a revoked certificate, and InvalidMessage that names the
        certificate and the expected value for any other reason.
        """
        if chain.raw in self._chains:
            self.hits += 1
        else:
            self.misses += 1
            self._verify_bytes(chain)
            self._remember(self._chains, chain.raw, chain)
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

    def _remember(self, cache: dict[bytes, T], raw: bytes, value: T) -> None:
        # Reading a dictionary needs no lock. Dropping the oldest entry instead of the least
        # recently used one saves a write, and with it the lock, on each hit.
        with self._lock:
            cache[raw] = value
            if len(cache) > self._cache_size:
                del cache[next(iter(cache))]

    def _verify_bytes(self, chain: Chain) -> None:
        certificates = chain.certificates
        last = len(certificates) - 1
        anchor = self._anchors.get(certificates[last].issuer_key.raw)
        if anchor is None:
            raise InvalidMessage(
                f"{_name(last, certificates[last])} is issued by a key that is not a trust anchor"
            )
        keys = [
            _issuing_key(_name(index, child), child, parent)
            for index, (child, parent) in enumerate(pairwise(certificates))
        ]
        for index, key in reversed(tuple(enumerate((*keys, anchor)))):
            self._verify_signature(_name(index, certificates[index]), certificates[index], key)

    def _verify_signature(self, name: str, certificate: Certificate, key: PublicKey) -> None:
        if certificate.raw in self._certificates:
            return
        try:
            verify(key, certificate.signature.signature, certificate.signed)
        except InvalidMessage as error:
            raise InvalidMessage(f"{name}: {error.text}") from None
        self._remember(self._certificates, certificate.raw, certificate)


def _name(index: int, certificate: Certificate) -> str:
    kind = certificate.type.name.lower().replace("_", " ")
    return f"certificate {index} ({kind}) of the chain"


def _issuing_key(name: str, child: Certificate, parent: Certificate) -> PublicKey:
    """Return the parent's key that issued the child; raises InvalidMessage unless it may.

    The parent's object is returned and not the child's: a cached parent has its key loaded.
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

    An issuer without ISSUE_ALL may pass on at most its own powers to an issuer below it: the
    issuing usages of all keys of the new issuer must be among those of the key that signs it.
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
