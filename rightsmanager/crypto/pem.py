"""Private keys in files: PKCS#8 in PEM, encrypted under a passphrase or not.

Source: RFC 5958 and RFC 7468.
"""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rightsmanager.crypto.p256 import CURVE, FIELD_LENGTH, PrivateKey
from rightsmanager.errors import InternalError, InvalidMessage


def parse_private_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Return the P-256 key of a PEM file.

    Raises InternalError, its text without content of the file, for a wrong, missing or superfluous
    passphrase, another kind of key, and any other file.
    """
    try:
        handle = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InternalError(_why_unread(pem, passphrase)) from None
    if not isinstance(handle, ec.EllipticCurvePrivateKey) or handle.curve.name != CURVE.name:
        raise InternalError("private key file: the key is not one of P-256")
    try:
        return PrivateKey(handle.private_numbers().private_value.to_bytes(FIELD_LENGTH))
    except InvalidMessage as refusal:
        raise InternalError(f"private key file: {refusal.text}") from None


def build_private_key(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return the PEM file of a key, encrypted if a passphrase is given; refuse an empty one."""
    if passphrase == b"":
        raise InternalError("private key file: the passphrase is empty")
    encryption: KeySerializationEncryption = (
        NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    )
    return key.handle.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _why_unread(pem: bytes, passphrase: bytes | None) -> str:
    """Return the text of the refusal of a file."""
    if b"PRIVATE KEY-----" not in pem:
        return "private key file: it holds no private key in PEM"
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not passphrase:
        return "private key file: it is encrypted and no passphrase is given"
    if passphrase and not encrypted:
        return "private key file: a passphrase is given and it is not encrypted"
    if encrypted:
        return "private key file: the passphrase is wrong, or the file is damaged"
    return "private key file: it is damaged"
