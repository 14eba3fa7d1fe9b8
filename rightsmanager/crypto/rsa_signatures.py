"""RSA signatures of documents: RSASSA-PKCS1-v1_5 with SHA-256 or SHA-512, by X.509 certificates.

Source: RFC 8017 section 8.2; RFC 9231 for the algorithms' names in XML.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from rightsmanager.crypto.x509 import INVALID_CERTIFICATE
from rightsmanager.errors import InternalError, InvalidMessage

MIN_BITS: Final = 2048
MAX_BITS: Final = 8192
_HASHES: Final = {"sha256": SHA256(), "sha512": SHA512()}


@dataclass(frozen=True, slots=True)
class RsaSigner:
    """A certificate and its private key."""

    certificate: bytes
    """DER."""
    key: rsa.RSAPrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Return the signature with SHA-512."""
        return self.key.sign(data, padding.PKCS1v15(), _HASHES["sha512"])


def parse_signer(pem: bytes) -> RsaSigner:
    """Return the signer in a PEM file of a certificate and its key; raises InternalError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, None)
    except INVALID_CERTIFICATE:
        raise InternalError(
            "packaging.signing_file has no certificate and key in PEM without a passphrase"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise InternalError(
            "packaging.signing_file has another key than the certificate's, expected RSA"
        )
    return RsaSigner(certificate.public_bytes(Encoding.DER), key)


def verify_signature(certificate: bytes, signature: bytes, data: bytes, digest: str) -> None:
    """Raise InvalidMessage unless data has a certificate's signature.

    certificate: DER. digest: `sha256` or `sha512`.
    """
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not MIN_BITS <= key.key_size <= MAX_BITS:
            raise InvalidMessage("the signer's certificate has another key, expected RSA")
        key.verify(signature, data, padding.PKCS1v15(), _HASHES[digest])
    except INVALID_CERTIFICATE:
        raise InvalidMessage("the signer's certificate is not a valid one in DER") from None
    except InvalidSignature:
        raise InvalidMessage("the signature of the CPIX document is wrong") from None
