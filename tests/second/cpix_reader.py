"""A client of CPIX independent of this project's code and of the library `cpix`."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1
from lxml import etree

N = {
    "c": "urn:dashif:org:cpix",
    "p": "urn:ietf:params:xml:ns:keyprov:pskc",
    "d": "http://www.w3.org/2000/09/xmldsig#",
    "e": "http://www.w3.org/2001/04/xmlenc#",
    "s": "urn:aws:amazon:com:speke",
}
OAEP = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)  # noqa: S303 -- the algorithm of CPIX


@dataclass(frozen=True)
class Read:
    """A content key of a document."""

    key: bytes
    scheme: str | None


def read(document: bytes, recipient: rsa.RSAPrivateKey | None = None) -> dict[str, Read]:
    """Return the content keys by KID; those of an encrypted document are a recipient's."""
    root = etree.fromstring(document)
    secrets = None if recipient is None else _open_delivery(root, recipient)
    found = {}
    for element in root.iterfind("c:ContentKeyList/c:ContentKey", N):
        (secret,) = element.findall("c:Data/p:Secret", N)
        plain = secret.findtext("p:PlainValue", None, N)
        assert (plain is None) is (secrets is not None)
        key = base64.b64decode(plain) if plain else _open_key(secret, secrets)
        found[element.attrib["kid"].lower()] = Read(key, element.get("commonEncryptionScheme"))
    return found


def system_texts(document: bytes) -> list[dict[str, str]]:
    """Return the texts of the elements in each DRMSystem, HLS ones with their playlist."""
    root = etree.fromstring(document)
    return [
        {etree.QName(each).localname + each.get("playlist", ""): each.text or "" for each in system}
        for system in root.iterfind("c:DRMSystemList/c:DRMSystem", N)
    ]


def _open_delivery(root: etree._Element, recipient: rsa.RSAPrivateKey) -> tuple[bytes, bytes]:
    for delivery in root.iterfind("c:DeliveryDataList/c:DeliveryData", N):
        values = [
            base64.b64decode(delivery.findtext(f"{path}//e:CipherValue", "", N))
            for path in ("c:DocumentKey", "c:MACMethod")
        ]
        try:
            document_key, mac_key = (recipient.decrypt(value, OAEP) for value in values)
        except ValueError:
            continue
        return document_key, mac_key
    raise AssertionError("no document key for this recipient")


def _open_key(secret: etree._Element, secrets: tuple[bytes, bytes] | None) -> bytes:
    assert secrets is not None
    ciphertext = base64.b64decode(secret.findtext(".//e:CipherValue", "", N))
    mac = base64.b64decode(secret.findtext("p:ValueMAC", "", N))
    assert hmac.new(secrets[1], ciphertext, hashlib.sha512).digest() == mac
    cipher = Cipher(algorithms.AES(secrets[0]), modes.CBC(ciphertext[:16])).decryptor()
    padded = cipher.update(ciphertext[16:]) + cipher.finalize()
    return padded[: -padded[-1]]
