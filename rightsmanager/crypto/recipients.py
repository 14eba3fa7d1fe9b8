"""Recipients of encrypted keys: X.509 certificates with RSA keys, and RSA-OAEP.

A recipient's key has 2,048 bits or more, is valid at the time, and may encrypt keys or data if the
certificate limits its use. No authority is asked: the certificate alone names the recipient.

Source: RFC 5280 section 4.2.1.3 (key usage), RFC 8017 section 7.1 (RSAES-OAEP with SHA-1 and MGF1,
which XML Encryption calls rsa-oaep-mgf1p).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rightsmanager.crypto.x509 import INVALID_CERTIFICATE
from rightsmanager.errors import InternalError, InvalidMessage

MIN_BITS: Final = 2048
MAX_BITS: Final = 8192
_OAEP: Final = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)  # noqa: S303 -- as XML Encryption


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient of keys."""

    key: rsa.RSAPublicKey = field(repr=False)

    def wrap(self, secret: bytes) -> bytes:
        """Return a secret of at most 190 bytes, encrypted to the recipient."""
        # The padding's randomness is the library's own.
        return self.key.encrypt(secret, _OAEP)


def parse_recipient(certificate: bytes, now: int) -> Recipient:
    """Return the recipient of a certificate in DER; raises InvalidMessage unless it may be one."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        key = parsed.public_key()
        usage = _key_usage(parsed)
        subject = parsed.subject.rfc4514_string()[:100]
    except INVALID_CERTIFICATE:
        raise InvalidMessage("the recipient's certificate is not a valid one in DER") from None
    name = f"the certificate of the recipient {subject!r}"
    if not isinstance(key, rsa.RSAPublicKey) or not MIN_BITS <= key.key_size <= MAX_BITS:
        found = f"RSA of {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else "another"
        raise InvalidMessage(
            f"the key in {name} is {found}, expected RSA of {MIN_BITS} to {MAX_BITS} bits"
        )
    if not parsed.not_valid_before_utc <= datetime.fromtimestamp(now, UTC):
        raise InvalidMessage(f"{name} is not valid before {parsed.not_valid_before_utc:%Y-%m-%d}")
    if datetime.fromtimestamp(now, UTC) > parsed.not_valid_after_utc:
        raise InvalidMessage(f"{name} is expired since {parsed.not_valid_after_utc:%Y-%m-%d}")
    if usage is not None and not (usage.key_encipherment or usage.data_encipherment):
        raise InvalidMessage(
            f"{name} has another key usage, expected key encipherment or data encipherment"
        )
    return Recipient(key)


@dataclass(frozen=True, slots=True)
class OwnRecipient:
    """The private key that opens secrets encrypted to this server."""

    key: rsa.RSAPrivateKey = field(repr=False)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the secret; raises InvalidMessage, always with the same text."""
        try:
            return self.key.decrypt(wrapped, _OAEP)
        except ValueError:
            raise InvalidMessage("a key of the document is not encrypted to this server") from None


def parse_own_recipient(pem: bytes) -> OwnRecipient:
    """Return the recipient in a PEM file with an RSA private key; raises InternalError."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < MIN_BITS:
        raise InternalError(
            f"packaging.recipient_file has no RSA key of {MIN_BITS} bits or more in PEM without a "
            "passphrase"
        )
    return OwnRecipient(key)


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
