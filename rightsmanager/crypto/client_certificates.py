"""X.509 certificates of clients: issued by an authority that the operator trusts.

A certificate is accepted if an authority's key has signed it directly, both are valid at the time,
the authority may issue certificates, and the certificate may authenticate a client.

Source: RFC 5280, sections 4.2.1.3 (key usage), 4.2.1.9 (basic constraints) and 4.2.1.12 (extended
key usage).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from rightsmanager.crypto.x509 import INVALID_CERTIFICATE
from rightsmanager.errors import InternalError, InvalidMessage

_CLIENT: Final = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


@dataclass(frozen=True, slots=True)
class Authorities:
    """The certificates of the authorities that the operator trusts."""

    certificates: Sequence[x509.Certificate] = ()

    def refuse_foreign(self, certificate: bytes, now: int) -> None:
        """Raise InvalidMessage unless a certificate, DER or PEM, is a trusted client's at `now`."""
        client = _parse(certificate)
        _refuse_expired(client, now)
        _refuse_usage(client)
        if not any(_has_issued(authority, client, now) for authority in self.certificates):
            raise InvalidMessage(
                f"the client certificate of {client.issuer.rfc4514_string()[:100]!r} is foreign, "
                "expected one that an authority in packaging.client_ca has issued"
            )


def parse_authorities(pem: bytes) -> Authorities:
    """Return the authorities in a PEM file; raises InternalError without a certificate."""
    try:
        return Authorities(tuple(x509.load_pem_x509_certificates(pem)))
    except INVALID_CERTIFICATE:
        raise InternalError("packaging.client_ca has no certificates in PEM") from None


def _parse(certificate: bytes) -> x509.Certificate:
    is_pem = certificate.lstrip().startswith(b"-----BEGIN")
    load = x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate
    try:
        parsed = load(certificate)
        # The library reads a name when it is used.
        parsed.issuer.rfc4514_string()
    except INVALID_CERTIFICATE:
        raise InvalidMessage("the client certificate is not one in DER or PEM") from None
    return parsed


def _refuse_expired(certificate: x509.Certificate, now: int) -> None:
    if not _is_valid(certificate, now):
        raise InvalidMessage(
            f"the client certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} "
            f"to {certificate.not_valid_after_utc:%Y-%m-%d}, expected one that is valid now"
        )


def _is_valid(certificate: x509.Certificate, now: int) -> bool:
    date = datetime.fromtimestamp(now, UTC)
    return certificate.not_valid_before_utc <= date <= certificate.not_valid_after_utc


def _refuse_usage(certificate: x509.Certificate) -> None:
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except INVALID_CERTIFICATE:
        raise InvalidMessage("the client certificate has invalid extensions") from None
    if not _CLIENT & set(extended):
        raise InvalidMessage(
            "the client certificate has another extended key usage, expected client authentication"
        )


def _has_issued(authority: x509.Certificate, client: x509.Certificate, now: int) -> bool:
    try:
        client.verify_directly_issued_by(authority)
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (*INVALID_CERTIFICATE, InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.ca and _is_valid(authority, now)
