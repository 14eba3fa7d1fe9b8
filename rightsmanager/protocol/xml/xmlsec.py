"""XML encryption and signature as used in PlayReady messages.

A protected element E carries `Id="SignedData"`; a challenge's E ends with

    EncryptedData[X]
      EncryptionMethod aes128-cbc
      KeyInfo[D]/EncryptedKey[X]
        EncryptionMethod ecc256
        KeyInfo[D]/KeyName            the name of the key it is encrypted to
        CipherData/CipherValue        EC ElGamal ciphertext(128) of a point, x = IV(16), key(16)
      CipherData/CipherValue          IV(16), AES-128-CBC of the plaintext with PKCS#7

and E is followed by

    Signature[D]
      SignedInfo                      Reference "#SignedData": DigestValue = SHA-256 of E
      SignatureValue                  ECDSA r(32), s(32) over SignedInfo
      KeyInfo/KeyValue/ECCKeyValue/PublicKey    x(32), y(32); in challenges only

Both hashes are over the element as it stands alone: with its own namespace declarations and without
those of the envelope. On a parsed tree that is exclusive C14N, whatever method the message names.

Source: published samples of messages; XML Encryption and XML Signature of the W3C.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import (
    XMLDSIG,
    XMLENC,
    decode_base64,
    encode_base64,
    fingerprint,
)
from rightsmanager.protocol.xml import templates
from rightsmanager.protocol.xml.elements import (
    canonical,
    descend,
    local_name,
    optional_child,
    raw_slice,
    text_at,
)
from rightsmanager.protocol.xml.parsing import parse_xml

SIGNED_ID: Final = templates.SIGNED_ID

_IV_LENGTH: Final = 16
_CIPHERTEXT_LENGTH: Final = 128
_DIGEST_LENGTH: Final = 32
_SIGNATURE_LENGTH: Final = 64
_POINT_LENGTH: Final = 64
_SIGNED_INFO: Final = templates.SIGNED_INFO.encode()
_D: Final = f"{{{XMLDSIG}}}"
_X: Final = f"{{{XMLENC}}}"
_CIPHER_VALUE: Final = (_X + "CipherData", _X + "CipherValue")
_XML_SPACE: Final = "{http://www.w3.org/XML/1998/namespace}space"
_MISREAD: Final = tuple(each.encode() for each in ("\ufffd", "\u00c3\u00a4", "\u00c3\u00bc"))
"""The replacement character, and letters in UTF-8 that were read as Latin-1."""
_PUBLIC_KEY: Final = (_D + "KeyValue", _D + "ECCKeyValue", _D + "PublicKey")


# --- encryption ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Encrypted:
    """An EncryptedData element: the name of its key and its two ciphertexts."""

    key_name: str
    wrapped_key: bytes = field(repr=False)
    """EC ElGamal ciphertext, 128 bytes."""
    ciphertext: bytes = field(repr=False)
    """IV(16) and AES-128-CBC blocks."""


def parse_encrypted(element: etree._Element) -> Encrypted:
    """Return the values of an EncryptedData element; raises InvalidMessage."""
    _expect_algorithm(element, _X + "EncryptionMethod", templates.AES128_CBC)
    key = descend(element, _D + "KeyInfo", _X + "EncryptedKey")
    _expect_algorithm(key, _X + "EncryptionMethod", templates.ECC256)
    return decode_encrypted(
        text_at(key, _D + "KeyInfo", _D + "KeyName"),
        text_at(key, *_CIPHER_VALUE),
        text_at(element, *_CIPHER_VALUE),
    )


def build_encrypted(encrypted: Encrypted) -> str:
    """Return the EncryptedData element, canonical."""
    return templates.ENCRYPTED_DATA % (
        encrypted.key_name,
        encode_base64(encrypted.wrapped_key),
        encode_base64(encrypted.ciphertext),
    )


def decode_encrypted(key_name: str, wrapped_key: str | bytes, ciphertext: str | bytes) -> Encrypted:
    """Return EncryptedData from its values in base64; raises InvalidMessage."""
    return Encrypted(
        key_name=key_name,
        wrapped_key=decode_base64(wrapped_key, "EncryptedKey/CipherValue", _CIPHERTEXT_LENGTH),
        ciphertext=decode_base64(ciphertext, "EncryptedData/CipherValue"),
    )


def decrypt(
    encrypted: Encrypted,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    hint: str = "",
) -> bytes:
    """Return the plaintext under the first of the keys that it was encrypted to.

    `hint` ends the text of the refusal. Raises InvalidMessage if there is no such key.
    """
    iv, blocks = encrypted.ciphertext[:_IV_LENGTH], encrypted.ciphertext[_IV_LENGTH:]
    for key in keys:
        x = backend.decrypt(key, encrypted.wrapped_key)
        # The point's x starts with the IV, which tells the right key from the others: after a
        # roll-over, challenges to an older key still open.
        if hmac.compare_digest(x[:_IV_LENGTH], iv):
            return aes.cbc_decrypt(x[_IV_LENGTH:], iv, blocks)
    known = ", ".join(fingerprint(key.public.raw) for key in keys) or "none"
    raise InvalidMessage(
        f"EncryptedData does not open: it is encrypted to another key than the known ones of "
        f"{encrypted.key_name} ({known}){hint}"
    )


def encrypt(
    plaintext: bytes, key_name: str, key: p256.PublicKey, backend: p256.Backend, rng: Rng
) -> Encrypted:
    """Return the plaintext encrypted to a key under a new random point."""
    x = p256.random_point_x(rng)
    iv, content_key = x[:_IV_LENGTH], x[_IV_LENGTH:]
    return Encrypted(
        key_name=key_name,
        wrapped_key=backend.encrypt(key, x, rng),
        ciphertext=iv + aes.cbc_encrypt(content_key, iv, plaintext),
    )


def _expect_algorithm(parent: etree._Element, tag: str, expected: str) -> None:
    element = descend(parent, tag)
    actual = element.get("Algorithm")
    if actual != expected:
        raise InvalidMessage(
            f"{local_name(parent)}/{local_name(element)} has Algorithm {actual!r}, "
            f"expected {expected!r}"
        )


# --- signature ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signature:
    """A Signature element: the promised digest, the signed bytes and the signature over them."""

    digest: bytes
    """SHA-256 of the signed element, 32 bytes."""
    signed_info: bytes = field(repr=False)
    """SignedInfo as it stands alone: the bytes under the signature."""
    value: bytes = field(repr=False)
    """r(32) and s(32)."""
    public_key: bytes | None
    """x(32) and y(32); None in messages without KeyInfo."""


def parse_signature(element: etree._Element) -> Signature:
    """Return the values of a Signature element; raises InvalidMessage."""
    info = descend(element, _D + "SignedInfo")
    _expect_algorithm(info, _D + "CanonicalizationMethod", templates.C14N)
    _expect_algorithm(info, _D + "SignatureMethod", templates.ECDSA_SHA256)
    reference = descend(info, _D + "Reference")
    if reference.get("URI") != f"#{SIGNED_ID}":
        raise InvalidMessage(
            f"Signature/Reference has URI {reference.get('URI')!r}, expected '#{SIGNED_ID}'"
        )
    _expect_algorithm(reference, _D + "DigestMethod", templates.SHA256)
    key_info = optional_child(element, XMLDSIG, "KeyInfo")
    return decode_signature(
        text_at(reference, _D + "DigestValue"),
        canonical(info),
        text_at(element, _D + "SignatureValue"),
        None if key_info is None else text_at(key_info, *_PUBLIC_KEY),
    )


def build_signature(signature: Signature) -> str:
    """Return the Signature element around a SignedInfo that is already serialised."""
    key = signature.public_key
    return templates.SIGNATURE % (
        signature.signed_info.decode(),
        encode_base64(signature.value),
        "" if key is None else templates.KEY_INFO % encode_base64(key),
    )


def decode_signature(
    digest: str | bytes,
    signed_info: bytes | None,
    value: str | bytes,
    public_key: str | bytes | None,
) -> Signature:
    """Return a Signature from its values in base64; raises InvalidMessage.

    `signed_info`: canonical; None for that of the template, filled with the digest as bytes.
    """
    return Signature(
        digest=decode_base64(digest, "DigestValue", _DIGEST_LENGTH),
        signed_info=_SIGNED_INFO % digest if signed_info is None else signed_info,
        value=decode_base64(value, "SignatureValue", _SIGNATURE_LENGTH),
        public_key=None
        if public_key is None
        else decode_base64(public_key, "PublicKey", _POINT_LENGTH),
    )


def verify(
    element: etree._Element, signature: Signature, key: p256.PublicKey, document: bytes
) -> None:
    """Verify an element's digest and the key's signature over it; raises InvalidMessage.

    `document` is the UTF-8 text that the element was parsed from.
    """
    verify_digest(element, signature, document)
    verify_value(signature, key)


def verify_digest(element: etree._Element, signature: Signature, document: bytes) -> None:
    """Verify that the element has the promised digest; raises InvalidMessage.

    `document` is the UTF-8 text that the element was parsed from.
    """
    text = canonical(element)
    if has_digest(text, signature):
        return
    # Some clients embed a WRMHEADER that is not canonical and sign what they write.
    raw = raw_slice(element, document)
    if has_digest(raw, signature) and canonical(parse_xml(raw, local_name(element))) == text:
        return
    raise InvalidMessage(
        f"DigestValue is not the SHA-256 of {local_name(element)}: it was altered after signing"
        f"{_explain_digest(element, document)}"
    )


def verify_value(signature: Signature, key: p256.PublicKey) -> None:
    """Verify SignatureValue as the key's signature over SignedInfo; raises InvalidMessage."""
    try:
        p256.verify(key, signature.value, signature.signed_info)
    except InvalidMessage:
        raise InvalidMessage(
            "SignatureValue does not verify over SignedInfo under the signing key"
        ) from None


def sign(element: bytes, key: p256.PrivateKey, *, name_key: bool) -> Signature:
    """Return the signature over an element's bytes, which must be canonical as they stand alone.

    `name_key`: include the public key, as challenges do.
    """
    digest = hashlib.sha256(element).digest()
    signed_info = _SIGNED_INFO % encode_base64(digest).encode()
    return Signature(
        digest=digest,
        signed_info=signed_info,
        value=p256.sign(key, signed_info),
        public_key=key.public.raw if name_key else None,
    )


def has_digest(text: bytes, signature: Signature) -> bool:
    """Return whether the SHA-256 of a text is the promised digest."""
    return hmac.compare_digest(hashlib.sha256(text).digest(), signature.digest)


def _explain_digest(element: etree._Element, document: bytes) -> str:
    """Return the alterations by SOAP stacks that the element shows, "" for none."""
    seen = [text for text, is_seen in _find_alterations(element, document) if is_seen]
    if not seen:
        return ""
    return f" ({'; '.join(seen)}: a SOAP stack that rebuilds XML does this, send the text as it is)"


def _find_alterations(element: etree._Element, document: bytes) -> Iterator[tuple[str, bool]]:
    name = local_name(element)
    prefixed = next((each for each in element.iter(etree.Element) if each.prefix), None)
    if prefixed is not None:
        yield f"{local_name(prefixed)} has the prefix {prefixed.prefix!r}", True
    yield f"{name} has white space between its elements", _is_indented(element)
    yield f"{name} has no attribute xml:space", element.get(_XML_SPACE) is None
    raw = raw_slice(element, document)
    yield f"{name} has carriage returns", b"\r" in raw or b"&#13;" in raw or b"&#xD;" in raw
    yield f"{name} has characters in another encoding", any(each in raw for each in _MISREAD)


def _is_indented(element: etree._Element) -> bool:
    texts = (element.text, *(child.tail for child in element))
    return any(text is not None and text != "" and not text.strip() for text in texts)
