"""X.509 certificates for HTTPS: issued for a key of this server, and parsed from any issuer.

    issued here             version 3, self-signed, ECDSA with SHA-256
      subject, issuer       CN=RightsManager test PKI
      subjectAltName        the names, as DNS names or IP addresses
      extendedKeyUsage      server authentication
      basicConstraints      no CA: trusting it means trusting this server alone

Source: RFC 5280.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError

SUBJECT: Final = "RightsManager test PKI"
SERIAL_LENGTH: Final = 16
INVALID_CERTIFICATE: Final = (
    *(ValueError, TypeError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""The exceptions of the library for a certificate that it cannot read."""
MARGIN: Final = 86400
"""A certificate is valid from this many seconds before its issue, for clients with slow clocks."""


@dataclass(frozen=True, slots=True)
class HttpsCertificate:
    """The parts of a certificate that the server needs."""

    pem: bytes = field(repr=False)
    names: frozenset[str]
    """DNS names and IP addresses, as RFC 5952 writes them."""
    not_before: int
    """Seconds since 1970, as is `not_after`."""
    not_after: int
    spki: bytes = field(repr=False)
    """The SubjectPublicKeyInfo, DER."""
    sha256: bytes
    """SHA-256 of the certificate, 32 bytes."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 as hexadecimal pairs between colons, as shown by browsers and OpenSSL."""
        return self.sha256.hex(":").upper()

    @property
    def spki_sha256(self) -> str:
        """SHA-256 of the public key in base64, as used for pinning."""
        return base64.b64encode(hashlib.sha256(self.spki).digest()).decode()


def issue_self_signed(
    key: PrivateKey, names: tuple[str, ...], now: int, lifetime: int, rng: Rng
) -> bytes:
    """Return the PEM of a certificate for the names, valid from a day ago for `lifetime` seconds.

    Raises InternalError for a name that no certificate can hold.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SUBJECT)])
    public = key.handle.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        # RFC 5280 wants a positive number of at most 20 bytes: the topmost bit is cleared.
        .serial_number(1 + (int.from_bytes(rng(SERIAL_LENGTH)) >> 1))
        .not_valid_before(_time(now - MARGIN))
        .not_valid_after(_time(now + lifetime))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNS, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return builder.sign(key.handle, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.PEM)


def parse_certificate(pem: bytes) -> HttpsCertificate:
    """Return the first certificate of a PEM file; raises InternalError if there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = _names(certificate)
    except INVALID_CERTIFICATE:
        raise InternalError("certificate file: it holds no certificate in PEM") from None
    return HttpsCertificate(
        pem=pem,
        names=names,
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
        spki=certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        sha256=certificate.fingerprint(SHA256()),
    )


_SIGNS: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise InternalError(
            f"a certificate cannot hold the name {name!r}, expected a DNS name or an IP address"
        ) from None


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    named = extension.value
    return frozenset(
        [
            *named.get_values_for_type(x509.DNSName),
            *map(str, named.get_values_for_type(x509.IPAddress)),
        ]
    )
