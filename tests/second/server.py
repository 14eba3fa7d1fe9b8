"""Challenges, read by a server; any deviation fails."""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from lxml import etree

from tests.second import curve
from tests.second.certificates import (
    ENCRYPT,
    ISSUE_DEVICE,
    SIGN,
    Certificate,
    check_chain,
    read_chain,
)
from tests.second.challenge import C14N, D, H, M, P, X

NAMES = {"p": P, "m": M, "d": D, "x": X, "h": H}
ALGORITHMS = {
    ".//d:CanonicalizationMethod": C14N,
    ".//d:SignatureMethod": P + "#ecdsa-sha256",
    ".//d:DigestMethod": P + "#sha256",
    ".//x:EncryptedData/x:EncryptionMethod": X + "aes128-cbc",
    ".//x:EncryptedKey/x:EncryptionMethod": P + "#ecc256",
}


@dataclass(frozen=True)
class Challenge:
    """A verified challenge."""

    names: tuple[str, ...]
    """The local names of LA's children, in order."""
    texts: dict[str, str]
    """The texts of its children without children."""
    header: str
    features: tuple[str, ...]
    ree: tuple[str, ...]
    encryption_key: curve.Point


@dataclass(frozen=True)
class Element:
    """E of a verified challenge."""

    text: bytes
    """E as written."""
    data: etree._Element
    """The decrypted Data element."""
    leaf: Certificate


def read_element(
    body: bytes, name: str, server: int, root: curve.Point, key_name: str = "WMRMServer"
) -> Element:
    """Return E by its name, encrypted to `server` under a KeyName, verified."""
    document = etree.fromstring(body)
    (element,) = document.findall(f".//p:challenge/m:Challenge/p:{name}", NAMES)
    (signature,) = document.findall(".//p:challenge/m:Challenge/d:Signature", NAMES)
    for path, expected in ALGORITHMS.items():
        (found,) = document.findall(path, NAMES)
        assert found.get("Algorithm") == expected
    text = _alone(body, name)
    _check_signature(body, text, signature)
    data = etree.fromstring(_decrypt(element, server, key_name))
    chain = read_chain(base64.b64decode(data.findtext("CertificateChains/CertificateChain", "")))
    check_chain(chain, root, ISSUE_DEVICE)
    named = signature.findtext("d:KeyInfo/d:KeyValue/d:ECCKeyValue/d:PublicKey", "", NAMES)
    assert curve.point_from(base64.b64decode(named, validate=True)) == chain[0].key(SIGN)
    return Element(text, data, chain[0])


def read_challenge(body: bytes, server: int, root: curve.Point) -> Challenge:
    """Return a verified challenge."""
    read = read_element(body, "LA", server, root)
    element = etree.fromstring(read.text)
    return Challenge(
        names=tuple(etree.QName(child).localname for child in element),
        texts={etree.QName(child).localname: child.text or "" for child in element},
        header=_alone(read.text, "WRMHEADER").decode(),
        features=tuple(
            feature.get("Name", "") for feature in read.data.iterfind("Features/Feature")
        ),
        ree=tuple(str(child.tag) for child in read.data.iterfind("Features/REE/*")),
        encryption_key=read.leaf.key(ENCRYPT),
    )


def _alone(body: bytes, name: str) -> bytes:
    """Return an element as written, which must be canonical."""
    (found,) = re.findall(f"<{name} .*</{name}>".encode(), body, re.DOTALL)
    assert isinstance(found, bytes)
    assert found == etree.tostring(etree.fromstring(found), method="c14n")
    return found


def _check_signature(body: bytes, signed: bytes, signature: etree._Element) -> None:
    (reference,) = signature.findall("d:SignedInfo/d:Reference", NAMES)
    assert reference.get("URI") == "#SignedData"
    digest = base64.b64decode(reference.findtext("d:DigestValue", "", NAMES), validate=True)
    assert digest == hashlib.sha256(signed).digest()
    value = base64.b64decode(signature.findtext("d:SignatureValue", "", NAMES), validate=True)
    key = signature.findtext("d:KeyInfo/d:KeyValue/d:ECCKeyValue/d:PublicKey", "", NAMES)
    assert curve.signed_by(
        curve.point_from(base64.b64decode(key)), value, _alone(body, "SignedInfo")
    )


def _decrypt(element: etree._Element, server: int, key_name: str) -> bytes:
    (encrypted,) = element.findall("x:EncryptedData", NAMES)
    assert encrypted.get("Type") == X + "Element"
    (key,) = encrypted.findall("d:KeyInfo/x:EncryptedKey", NAMES)
    assert key.findtext("d:KeyInfo/d:KeyName", "", NAMES) == key_name
    wrapped, ciphertext = (
        base64.b64decode(each.findtext("x:CipherData/x:CipherValue", "", NAMES), validate=True)
        for each in (key, encrypted)
    )
    secret = curve.decrypt(wrapped, server)
    assert secret[:16] == ciphertext[:16]
    decryptor = Cipher(algorithms.AES(secret[16:]), modes.CBC(secret[:16])).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(ciphertext[16:])) + unpadder.finalize()
