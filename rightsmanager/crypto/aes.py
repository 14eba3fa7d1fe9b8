"""AES: CBC with PKCS#7, ECB, CMAC, key wrap, and GCM for stored keys.

Keys are 16, 24 or 32 bytes; 16 everywhere on the wire.

Source: FIPS 197 (AES), SP 800-38A (CBC, ECB), RFC 5652 §6.3 (PKCS#7 padding), RFC 4493 (CMAC),
RFC 3394 (key wrap), SP 800-38D (GCM).
"""

from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage

BLOCK: Final = 16
NONCE_LENGTH: Final = 12
TAG_LENGTH: Final = 16
KEY_LENGTHS: Final = frozenset({16, 24, 32})

_ECB: Final = modes.ECB()  # noqa: S305 -- single random blocks, each under its own key


def _aes(key: bytes) -> algorithms.AES:
    """Return the block cipher under a key; refuse other lengths."""
    if len(key) not in KEY_LENGTHS:
        raise InvalidMessage(f"AES key has {len(key)} bytes, expected 16, 24 or 32")
    return algorithms.AES(key)


def _refuse_partial_block(data: bytes, name: str) -> None:
    if len(data) % BLOCK:
        raise InvalidMessage(f"{name} has {len(data)} bytes, expected a multiple of {BLOCK}")


def _cbc(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    """Return the CBC cipher under a key and an IV; refuse other lengths."""
    if len(iv) != BLOCK:
        raise InvalidMessage(f"AES-CBC IV has {len(iv)} bytes, expected {BLOCK}")
    return Cipher(_aes(key), modes.CBC(iv))


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Return the plaintext padded and encrypted, 1 to 16 bytes longer."""
    count = BLOCK - len(plaintext) % BLOCK
    return _cbc(key, iv).encryptor().update(plaintext + bytes((count,)) * count)


def cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Return the plaintext without its padding.

    Raises InvalidMessage unless it is one or more whole blocks, and, always with the same text,
    for padding other than PKCS#7.
    """
    _refuse_partial_block(ciphertext, "AES-CBC ciphertext")
    if not ciphertext:
        raise InvalidMessage("AES-CBC ciphertext is empty, expected at least one block")
    padded = _cbc(key, iv).decryptor().update(ciphertext)
    count = padded[-1]
    if not 0 < count <= BLOCK or padded[-count:] != padded[-1:] * count:
        raise InvalidMessage("AES-CBC plaintext does not end in PKCS#7 padding")
    return padded[:-count]


def ecb_encrypt(key: bytes, plaintext: bytes) -> bytes:
    """Return the whole blocks of the plaintext, each encrypted by itself."""
    _refuse_partial_block(plaintext, "AES-ECB plaintext")
    return Cipher(_aes(key), _ECB).encryptor().update(plaintext)


def ecb_decrypt(key: bytes, ciphertext: bytes) -> bytes:
    """Return the whole blocks of the ciphertext, each decrypted by itself."""
    _refuse_partial_block(ciphertext, "AES-ECB ciphertext")
    return Cipher(_aes(key), _ECB).decryptor().update(ciphertext)


def cmac(key: bytes, message: bytes) -> bytes:
    """Return the tag of the message, 16 bytes."""
    mac = CMAC(_aes(key))
    mac.update(message)
    return mac.finalize()


def verify_cmac(key: bytes, tag: bytes, message: bytes) -> None:
    """Verify the message's tag of 16 bytes in constant time; raises InvalidMessage."""
    mac = CMAC(_aes(key))
    mac.update(message)
    try:
        mac.verify(tag)
    except InvalidSignature:
        raise InvalidMessage("AES-CMAC tag does not verify under the given key") from None


def wrap_key(wrapping_key: bytes, key: bytes) -> bytes:
    """Return a key of 16, 24, 32, … bytes wrapped: 8 bytes longer."""
    _aes(wrapping_key)
    if len(key) < BLOCK or len(key) % 8:
        raise InvalidMessage(f"key to wrap has {len(key)} bytes, expected 16, 24, 32, …")
    return aes_key_wrap(wrapping_key, key)


def unwrap_key(wrapping_key: bytes, wrapped: bytes) -> bytes:
    """Return the key, 8 bytes shorter; refuse a wrong length or a failed integrity check."""
    _aes(wrapping_key)
    try:
        return aes_key_unwrap(wrapping_key, wrapped)
    except InvalidUnwrap:
        raise InvalidMessage("wrapped key does not unwrap under the given key") from None


def gcm_seal(key: bytes, data: bytes, associated: bytes, rng: Rng) -> bytes:
    """Return nonce(12) ‖ ciphertext ‖ tag(16), bound to the `associated` data."""
    _aes(key)
    nonce = rng(NONCE_LENGTH)
    return nonce + AESGCM(key).encrypt(nonce, data, associated)


def gcm_open(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Return the data of nonce(12) ‖ ciphertext ‖ tag(16); raises InvalidMessage."""
    _aes(key)
    if len(sealed) < NONCE_LENGTH + TAG_LENGTH:
        raise InvalidMessage(
            f"sealed data has {len(sealed)} bytes, expected at least {NONCE_LENGTH + TAG_LENGTH}"
        )
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], associated)
    except InvalidTag:
        raise InvalidMessage("sealed data does not open under the given key") from None
