"""Keys in CPIX documents, in the clear or encrypted to recipients.

    DeliveryDataList/DeliveryData        a recipient; then all keys are encrypted
      DeliveryKey/X509Data/X509Certificate
      DocumentKey, MACMethod             wrapped for the recipient
    ContentKey/Data/pskc:Secret          PlainValue, or EncryptedValue and ValueMAC

    document key   32 bytes, RSA-OAEP to each recipient; likewise a MAC key of 64 bytes
    content key    AES-256-CBC under the document key, IV(16) first, padded
    ValueMAC       HMAC-SHA-512 of that under the MAC key

Source: DASH-IF Implementation Guidelines, CPIX 2.1 to 2.4.
"""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from lxml import etree

from rightsmanager.crypto import aes
from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.recipients import OwnRecipient, Recipient, parse_recipient
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.packagers.cpix_signaling import CPIX
from rightsmanager.protocol.wire import (
    CONTENT_KEY_LENGTH,
    XMLDSIG,
    XMLENC,
    Kid,
    decode_base64,
    encode_base64,
)

MAX_RECIPIENTS: Final = 16

_PSKC: Final = "{urn:ietf:params:xml:ns:keyprov:pskc}"
_ENC: Final = f"{{{XMLENC}}}"
_OAEP: Final = f"{XMLENC}rsa-oaep-mgf1p"
_AES: Final = f"{XMLENC}aes256-cbc"
_HMAC: Final = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"
_DOCUMENT_KEY_LENGTH: Final = 32
_MAC_KEY_LENGTH: Final = 64


class EncryptedKey(NamedTuple):
    """A content key as a document has it."""

    ciphertext: bytes
    mac: bytes


class WrappedKeys(NamedTuple):
    """The keys of a document for one recipient."""

    document_key: bytes
    mac_key: bytes


@dataclass(frozen=True, slots=True)
class DocumentKeys:
    """The keys of an encrypted document, and its recipients."""

    recipients: tuple[Recipient, ...]
    document_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)


def items(root: etree._Element, name: str) -> Iterator[etree._Element]:
    """Return the elements of a list, and none of that name elsewhere.

    The schema allows any element within some of XML Signature.
    """
    return root.iterfind(f"{CPIX}{name}List/{CPIX}{name}")


# --- reading --------------------------------------------------------------------------------------


def read_plain(kid: Kid, element: etree._Element) -> bytes | None:
    """Return the key of a ContentKey, 16 bytes; raises InvalidMessage."""
    text = element.findtext(f".//{_PSKC}PlainValue") or ""
    name = f"PlainValue of KID {kid.text}"
    return decode_base64(text, name, CONTENT_KEY_LENGTH) if text.strip() else None


def read_encrypted(kid: Kid, element: etree._Element) -> EncryptedKey | None:
    """Return the encrypted key of a ContentKey; raises InvalidMessage."""
    value = element.find(f".//{_PSKC}EncryptedValue")
    if value is None:
        return None
    ciphertext = _ciphertext(value, _AES, f"EncryptedValue of KID {kid.text}")
    mac = element.findtext(f".//{_PSKC}ValueMAC") or ""
    return EncryptedKey(ciphertext, decode_base64(mac.strip(), f"ValueMAC of KID {kid.text}"))


def read_recipients(root: etree._Element) -> tuple[bytes, ...]:
    """Return the certificates of the recipients, in DER; raises InvalidMessage."""
    found = list(items(root, "DeliveryData"))
    if len(found) > MAX_RECIPIENTS:
        raise InvalidMessage(f"{len(found)} recipients, expected at most {MAX_RECIPIENTS}")
    return tuple(
        decode_base64(
            "".join((each.findtext(f".//{{{XMLDSIG}}}X509Certificate") or "").split()),
            "X509Certificate of a recipient",
        )
        for each in found
    )


def read_wrapped_keys(root: etree._Element) -> tuple[WrappedKeys, ...]:
    """Return the keys of each recipient that has them; raises InvalidMessage."""
    found = items(root, "DeliveryData")
    pairs = [[each.find(CPIX + name) for name in ("DocumentKey", "MACMethod")] for each in found]
    return tuple(
        WrappedKeys(_ciphertext(key, _OAEP, "DocumentKey"), _ciphertext(mac, _OAEP, "MACMethod"))
        for key, mac in pairs
        if key is not None and mac is not None and len(key) > 0
    )


def _ciphertext(parent: etree._Element, algorithm: str, name: str) -> bytes:
    """Return the CipherValue of an element with this EncryptionMethod."""
    method = parent.find(f".//{_ENC}EncryptionMethod")
    given = "" if method is None else method.get("Algorithm", "")
    if given != algorithm:
        raise InvalidMessage(f"the algorithm of {name} is {given[:100]!r}, expected {algorithm}")
    value = parent.findtext(f".//{_ENC}CipherValue") or ""
    return decode_base64("".join(value.split()), name)


def unwrap(wrapped: Sequence[WrappedKeys], own: OwnRecipient) -> WrappedKeys:
    """Return the keys of a document that one of its recipients can open, in the clear.

    Raises InvalidMessage.
    """
    for each in wrapped:
        try:
            opened = WrappedKeys(own.unwrap(each.document_key), own.unwrap(each.mac_key))
        except InvalidMessage:
            continue
        if len(opened.document_key) == _DOCUMENT_KEY_LENGTH:
            return opened
    raise InvalidMessage("no DeliveryData has a document key for packaging.recipient_file")


def decrypt(kid: Kid, encrypted: EncryptedKey, keys: WrappedKeys) -> bytes:
    """Return a content key of 16 bytes; raises InvalidMessage."""
    ciphertext, mac = encrypted
    if not hmac.compare_digest(hmac.digest(keys.mac_key, ciphertext, "sha512"), mac):
        raise InvalidMessage(f"ValueMAC of KID {kid.text} is wrong")
    iv, rest = ciphertext[: aes.BLOCK], ciphertext[aes.BLOCK :]
    content_key = aes.cbc_decrypt(keys.document_key, iv, rest)
    if len(content_key) != CONTENT_KEY_LENGTH:
        raise InvalidMessage(
            f"the key of KID {kid.text} has {len(content_key)} bytes, expected {CONTENT_KEY_LENGTH}"
        )
    return content_key


# --- writing --------------------------------------------------------------------------------------


def draw_document_keys(certificates: Sequence[bytes], now: int, rng: Rng) -> DocumentKeys | None:
    """Return the keys of a document for recipients, None for one in the clear.

    Raises InvalidMessage for a certificate that cannot be a recipient's at `now`.
    """
    if not certificates:
        return None
    recipients = tuple(parse_recipient(each, now) for each in certificates)
    return DocumentKeys(recipients, rng(_DOCUMENT_KEY_LENGTH), rng(_MAC_KEY_LENGTH))


def write_plain(element: etree._Element, content_key: bytes) -> None:
    """Write the key of a ContentKey in the clear."""
    etree.SubElement(_secret(element), f"{_PSKC}PlainValue").text = encode_base64(content_key)


def write_encrypted(
    element: etree._Element, content_key: bytes, keys: DocumentKeys, rng: Rng
) -> None:
    """Write the key of a ContentKey; rng: the source of its IV."""
    secret = _secret(element)
    iv = rng(aes.BLOCK)
    ciphertext = iv + aes.cbc_encrypt(keys.document_key, iv, content_key)
    _add_encrypted(secret, f"{_PSKC}EncryptedValue", _AES, ciphertext)
    mac = hmac.digest(keys.mac_key, ciphertext, "sha512")
    etree.SubElement(secret, f"{_PSKC}ValueMAC").text = encode_base64(mac)


def write_recipients(root: etree._Element, keys: DocumentKeys) -> None:
    """Write the keys of the document for each recipient."""
    for delivery, recipient in zip(items(root, "DeliveryData"), keys.recipients, strict=True):
        (document_key,) = delivery.findall(f"{CPIX}DocumentKey")
        secret = _secret(document_key)
        document_key.set("Algorithm", _AES)
        wrapped = recipient.wrap(keys.document_key)
        _add_encrypted(secret, f"{_PSKC}EncryptedValue", _OAEP, wrapped)
        for method in delivery.findall(f"{CPIX}MACMethod"):
            delivery.remove(method)
        method = etree.Element(f"{CPIX}MACMethod", Algorithm=_HMAC)
        document_key.addnext(method)
        _add_encrypted(method, f"{CPIX}Key", _OAEP, recipient.wrap(keys.mac_key))


def _secret(element: etree._Element) -> etree._Element:
    """Return a new Secret in the Data of a ContentKey or a DocumentKey."""
    for data in element.findall(f"{CPIX}Data"):
        element.remove(data)
    data = etree.SubElement(element, f"{CPIX}Data")
    return etree.SubElement(data, f"{_PSKC}Secret")


def _add_encrypted(parent: etree._Element, tag: str, algorithm: str, value: bytes) -> None:
    encrypted = etree.SubElement(parent, tag)
    etree.SubElement(encrypted, f"{_ENC}EncryptionMethod", Algorithm=algorithm)
    data = etree.SubElement(encrypted, f"{_ENC}CipherData")
    etree.SubElement(data, f"{_ENC}CipherValue").text = encode_base64(value)
