"""XML encryption and signature as PlayReady's messages use them.

A protected element E carries `Id="SignedData"`; a challenge's E ends with

    EncryptedData[X]
      EncryptionMethod aes128-cbc
      KeyInfo[D]/EncryptedKey[X]
        EncryptionMethod ecc256
        KeyInfo[D]/KeyName            whose key it is encrypted to
        CipherData/CipherValue        EC ElGamal ciphertext(128) of a point, x = IV(16), key(16)
      CipherData/CipherValue          IV(16), AES-128-CBC of the plaintext with PKCS#7

and beside E stands

    Signature[D]
      SignedInfo                      Reference "#SignedData": DigestValue = SHA-256 of E
      SignatureValue                  ECDSA r(32), s(32) over SignedInfo
      KeyInfo/KeyValue/ECCKeyValue/PublicKey    x(32), y(32); in challenges only

Both hashes are over the element as it stands alone: with the namespaces it declares itself and none
of the envelope's, which on a parsed tree is exclusive C14N whatever the message names.

Source: published samples of messages; XML Encryption and XML Signature of the W3C.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import XMLDSIG, XMLENC, decode_base64, encode_base64
from rightsmanager.protocol.xml import fastpath as forms
from rightsmanager.protocol.xml.elements import (
    WHITE_SPACE,
    canonical,
    child,
    local_name,
    only_tag,
    optional_child,
    plain_text,
    raw_slice,
    text_of,
    written,
)
from rightsmanager.protocol.xml.envelope import Envelope, parse_xml
from rightsmanager.protocol.xml.fastpath import CanonicalChallenge

SIGNED_ID: Final = forms.SIGNED_ID

_IV_LENGTH: Final = 16
_CIPHERTEXT_LENGTH: Final = 128
_DIGEST_LENGTH: Final = 32
_SIGNATURE_LENGTH: Final = 64
_POINT_LENGTH: Final = 64


def _algorithm(parent: etree._Element, namespace: str, name: str, expected: str) -> None:
    actual = child(parent, namespace, name).get("Algorithm")
    if actual != expected:
        raise InvalidMessage(
            f"{local_name(parent)}/{name} has Algorithm {actual!r}, expected {expected!r}"
        )


# --- encryption ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Encrypted:
    """An EncryptedData element: whose key it needs, and its two ciphertexts."""

    key_name: str
    wrapped_key: bytes = field(repr=False)
    """EC ElGamal ciphertext, 128 bytes."""
    ciphertext: bytes = field(repr=False)
    """IV(16) and AES-128-CBC blocks."""


def find_encrypted(element: etree._Element, plain: bytes) -> Encrypted:
    """Return the EncryptedData in E; raises InvalidMessage.

    `plain` is E's text if it has only tags and text.
    """
    encrypted = child(element, XMLENC, "EncryptedData")
    values = _recognised(forms.ENCRYPTED, encrypted, b"EncryptedData", plain)
    if values is None:
        return parse_encrypted(encrypted)
    key_name, wrapped_key, ciphertext = values
    return _encrypted(key_name.decode().strip(WHITE_SPACE), wrapped_key, ciphertext)


def build_encrypted(encrypted: Encrypted) -> str:
    """Return the EncryptedData element, canonical."""
    return forms.ENCRYPTED_FORM % (
        encrypted.key_name,
        encode_base64(encrypted.wrapped_key),
        encode_base64(encrypted.ciphertext),
    )


def encrypted_of(form: CanonicalChallenge) -> Encrypted:
    """Return the EncryptedData of a challenge in the usual form; raises InvalidMessage."""
    name = form.key_name.decode().strip(WHITE_SPACE)
    return _encrypted(name, form.wrapped_key, form.ciphertext)


def parse_encrypted(element: etree._Element) -> Encrypted:
    """Return what an EncryptedData element says, however it is spelt; raises InvalidMessage."""
    _algorithm(element, XMLENC, "EncryptionMethod", forms.AES128_CBC)
    key = child(child(element, XMLDSIG, "KeyInfo"), XMLENC, "EncryptedKey")
    _algorithm(key, XMLENC, "EncryptionMethod", forms.ECC256)
    key_name = text_of(child(key, XMLDSIG, "KeyInfo"), XMLDSIG, "KeyName")
    return _encrypted(key_name, _cipher_value(key), _cipher_value(element))


def _encrypted(key_name: str, wrapped_key: str | bytes, ciphertext: str | bytes) -> Encrypted:
    return Encrypted(
        key_name=key_name,
        wrapped_key=decode_base64(wrapped_key, "EncryptedKey/CipherValue", _CIPHERTEXT_LENGTH),
        ciphertext=decode_base64(ciphertext, "EncryptedData/CipherValue"),
    )


def _cipher_value(element: etree._Element) -> str:
    return plain_text(child(child(element, XMLENC, "CipherData"), XMLENC, "CipherValue"))


def decrypt(encrypted: Encrypted, keys: Sequence[p256.PrivateKey], backend: p256.Backend) -> bytes:
    """Return the plaintext under whichever of the keys it was encrypted to.

    The first half of the message point's x must be the IV in front of the ciphertext; that tells
    the right key from the others, so that old challenges still open after a roll-over.
    Raises InvalidMessage.
    """
    iv, blocks = encrypted.ciphertext[:_IV_LENGTH], encrypted.ciphertext[_IV_LENGTH:]
    for key in keys:
        x = backend.decrypt(key, encrypted.wrapped_key)
        if hmac.compare_digest(x[:_IV_LENGTH], iv):
            return aes.cbc_decrypt(x[_IV_LENGTH:], iv, blocks)
    raise InvalidMessage(
        f"EncryptedData does not open: the IV before its ciphertext is not the one encrypted to "
        f"the key {encrypted.key_name}"
    )


def encrypt(
    plaintext: bytes, key_name: str, key: p256.PublicKey, backend: p256.Backend, rng: Rng
) -> Encrypted:
    """Return the plaintext encrypted to a key under a fresh random point."""
    x = p256.random_point_x(rng)
    iv, content_key = x[:_IV_LENGTH], x[_IV_LENGTH:]
    return Encrypted(
        key_name=key_name,
        wrapped_key=backend.encrypt(key, x, rng),
        ciphertext=iv + aes.cbc_encrypt(content_key, iv, plaintext),
    )


# --- signature ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signature:
    """A Signature element: the digest it promises, and what was signed, by which key."""

    digest: bytes
    """SHA-256 of the signed element, 32 bytes."""
    signed_info: bytes = field(repr=False)
    """SignedInfo as it stands alone: the bytes under the signature."""
    value: bytes = field(repr=False)
    """r(32) and s(32)."""
    public_key: bytes | None
    """x(32) and y(32) where the message names its key."""


def parse_signature(element: etree._Element, plain: bytes = b"") -> Signature:
    """Return what a Signature element says; raises InvalidMessage.

    `plain` is the document's text if it has only tags and text: see `Envelope.plain_text`.
    """
    values = _recognised(forms.SIGNATURE, element, b"Signature", plain)
    if values is None:
        return _walk_signature(element)
    digest, value, public_key = values
    return _signature(digest, forms.SIGNED_INFO % digest, value, public_key)


def signature_of(form: CanonicalChallenge) -> Signature:
    """Return the Signature of a challenge in the usual form; raises InvalidMessage."""
    info = forms.SIGNED_INFO % form.digest
    return _signature(form.digest, info, form.signature, form.public_key)


def build_signature(signature: Signature) -> str:
    """Return the Signature element around a SignedInfo that is already serialised."""
    key = signature.public_key
    return forms.SIGNATURE_FORM % (
        signature.signed_info.decode(),
        encode_base64(signature.value),
        "" if key is None else forms.KEY_INFO_FORM % encode_base64(key),
    )


def _walk_signature(element: etree._Element) -> Signature:
    info = child(element, XMLDSIG, "SignedInfo")
    _algorithm(info, XMLDSIG, "CanonicalizationMethod", forms.C14N)
    _algorithm(info, XMLDSIG, "SignatureMethod", forms.ECDSA_SHA256)
    reference = child(info, XMLDSIG, "Reference")
    if reference.get("URI") != f"#{SIGNED_ID}":
        raise InvalidMessage(
            f"Signature/Reference has URI {reference.get('URI')!r}, expected '#{SIGNED_ID}'"
        )
    _algorithm(reference, XMLDSIG, "DigestMethod", forms.SHA256)
    return _signature(
        text_of(reference, XMLDSIG, "DigestValue"),
        canonical(info),
        text_of(element, XMLDSIG, "SignatureValue"),
        _public_key(element),
    )


def _signature(
    digest: str | bytes, signed_info: bytes, value: str | bytes, public_key: str | bytes | None
) -> Signature:
    return Signature(
        digest=decode_base64(digest, "DigestValue", _DIGEST_LENGTH),
        signed_info=signed_info,
        value=decode_base64(value, "SignatureValue", _SIGNATURE_LENGTH),
        public_key=None
        if public_key is None
        else decode_base64(public_key, "PublicKey", _POINT_LENGTH),
    )


def _public_key(element: etree._Element) -> str | None:
    key_info = optional_child(element, XMLDSIG, "KeyInfo")
    if key_info is None:
        return None
    value = child(child(key_info, XMLDSIG, "KeyValue"), XMLDSIG, "ECCKeyValue")
    return text_of(value, XMLDSIG, "PublicKey")


def verify(
    element: etree._Element, signature: Signature, key: p256.PublicKey, envelope: Envelope
) -> None:
    """Return if the element of the envelope has the promised digest and the key signed that.

    Raises InvalidMessage.
    """
    verify_digest(element, signature, envelope.text, envelope.plain_text)
    verify_value(signature, key)


def verify_digest(
    element: etree._Element, signature: Signature, document: bytes, plain: bytes = b""
) -> bytes:
    """Return the element as it was written, or nothing, if it has the promised digest.

    Either the text as it was written or the canonical one may have it: some clients embed a
    WRMHEADER that is not canonical, and sign what they write. `document` is the text in UTF-8 that
    the element was parsed from, and `plain` the same if it has only tags and text; only then the
    element as written is returned, since only then an element can be told in it.
    Raises InvalidMessage.
    """
    alone = written(element, plain)
    if has_digest(alone, signature):
        return alone
    text = canonical(element)
    if has_digest(text, signature):
        return b""
    raw = raw_slice(element, document)
    if has_digest(raw, signature) and canonical(parse_xml(raw, local_name(element))) == text:
        return b""
    raise InvalidMessage(
        f"DigestValue is not the SHA-256 of {local_name(element)}: it was altered after signing"
    )


def verify_value(signature: Signature, key: p256.PublicKey) -> None:
    """Return if SignatureValue is the key's signature over SignedInfo."""
    try:
        p256.verify(key, signature.value, signature.signed_info)
    except InvalidMessage:
        raise InvalidMessage(
            "SignatureValue does not verify over SignedInfo under the signing key"
        ) from None


def sign(element: bytes, key: p256.PrivateKey, *, name_key: bool) -> Signature:
    """Return the signature over an element's bytes, which must be canonical as they stand alone.

    `name_key`: whether the message says its public key, as challenges do.
    """
    digest = hashlib.sha256(element).digest()
    signed_info = forms.SIGNED_INFO % encode_base64(digest).encode()
    return Signature(
        digest=digest,
        signed_info=signed_info,
        value=p256.sign(key, signed_info),
        public_key=key.public.raw if name_key else None,
    )


def has_digest(text: bytes, signature: Signature) -> bool:
    """Return whether a text has the promised digest."""
    # Nothing has a digest too, and is no element.
    return bool(text) and hmac.compare_digest(hashlib.sha256(text).digest(), signature.digest)


# --- the usual forms ------------------------------------------------------------------------------


def _recognised(
    pattern: re.Pattern[bytes], element: etree._Element, name: bytes, plain: bytes
) -> tuple[bytes, ...] | None:
    """Return the values of an element that has a form, None if it is to be walked."""
    start = only_tag(element, name, plain)
    match = pattern.match(plain, start) if start >= 0 else None
    if match is None:
        return None
    # Whatever a parser would alter, references and carriage returns, is left to the walk.
    text = match[0]
    return None if b"&" in text or b"\r" in text else match.groups()
