"""A client of CPIX independent of this project's code and of the library `cpix`."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from lxml import etree

from tests.second.clients import Identity

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


INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{N['d']}enveloped-signature"


def c14n(element: etree._Element, method: str) -> bytes:
    return etree.tostring(
        element, method="c14n", exclusive=method == EXCLUSIVE, with_comments=False
    )


def sign(document: bytes, signer: Identity, method: str = EXCLUSIVE, bits: int = 256) -> bytes:
    """Return a document with one more signature, of all of it."""
    root = etree.fromstring(document)
    digest = hashlib.new(f"sha{bits}", c14n(root, method)).digest()
    certificate = base64.b64encode(signer.der).decode()
    transform = f'<ds:Transform Algorithm="{EXCLUSIVE}"/>' if method == EXCLUSIVE else ""
    signature = etree.fromstring(
        f'<ds:Signature xmlns:ds="{N["d"]}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{method}"/>'
        f'<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha{bits}"/>'
        f'<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/>{transform}'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{N["e"]}sha{bits}"/>'
        f"<ds:DigestValue>{base64.b64encode(digest).decode()}</ds:DigestValue></ds:Reference>"
        "</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>"
        f"{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"
    )
    root.append(signature)
    sealed = signer.key.sign(
        c14n(signature[0], method), padding.PKCS1v15(), {256: SHA256(), 512: SHA512()}[bits]
    )
    signature[1].text = base64.b64encode(sealed).decode()
    return etree.tostring(root)


def verify(document: bytes, signer: Identity) -> None:
    """Raise unless the only signature is the signer's, over all of the document."""
    root = etree.fromstring(document)
    (signature,) = root.findall("d:Signature", N)
    signed = signature[0]
    canonical = c14n(signed, INCLUSIVE)
    value = base64.b64decode(signature.findtext("d:SignatureValue", "", N))
    signer.key.public_key().verify(value, canonical, padding.PKCS1v15(), SHA512())
    digest = base64.b64decode(signed.findtext("d:Reference/d:DigestValue", "", N))
    root.remove(signature)
    assert hashlib.sha512(c14n(root, INCLUSIVE)).digest() == digest
