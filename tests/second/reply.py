"""Replies, read by a client; any deviation fails."""

import base64
import hashlib
import re
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from lxml import etree

from tests.second import curve
from tests.second.certificates import (
    ISSUE_LICENSE_SIGNER,
    LICENSE_SIGNER,
    SIGN_RESPONSE,
    check_chain,
    read_chain,
)
from tests.second.challenge import C14N, D, M, P

NAMES = {"p": P, "m": M, "d": D}
CONTAINER = 2


@dataclass(frozen=True)
class License:
    """A licence, verified and opened."""

    rights_id: bytes
    kid: bytes
    key_type: int
    content_key: bytes
    objects: tuple[tuple[int, int, bytes], ...]
    """Flags, type and body of each in order; containers without body."""

    @property
    def persistent(self) -> bool:
        """Whether nothing says that it cannot persist."""
        return all(kind != 0x000D for _, kind, _ in self.objects)

    def body(self, kind: int) -> bytes:
        """Return the body of the one object of a type."""
        (found,) = (body for _, each, body in self.objects if each == kind)
        return found


@dataclass(frozen=True)
class Reply:
    """A reply, its text, and the licences in it."""

    text: str
    """LicenseResponse as written."""
    names: tuple[str, ...]
    """The local names of its children, in order."""
    nonce: bytes | None
    response_id: bytes
    signed: bool
    licenses: tuple[License, ...]


def read_reply(text: bytes, private: int, root: curve.Point) -> Reply:
    """Return the verified reply in the Body's child."""
    document = etree.fromstring(text)
    assert document.tag == f"{{{P}}}AcquireLicenseResponse"
    (response,) = document.findall("p:AcquireLicenseResult/m:Response", NAMES)
    (element,) = response.findall("p:LicenseResponse", NAMES)
    assert element.get("Id") == "SignedData"
    nonce = element.findtext("p:LicenseNonce", None, NAMES)
    signature = response.find("d:Signature", NAMES)
    written = _written(text, "LicenseResponse")
    if signature is not None:
        check_signature(text, element, signature, root)
    return Reply(
        text=written,
        names=tuple(etree.QName(child).localname for child in element),
        nonce=None if nonce is None else base64.b64decode(nonce, validate=True),
        response_id=base64.b64decode(_text(element, "p:ResponseID"), validate=True),
        signed=signature is not None,
        licenses=tuple(
            read_license(base64.b64decode(each.text or "", validate=True), private)
            for each in element.findall("p:Licenses/p:License", NAMES)
        ),
    )


def _written(text: bytes, name: str) -> str:
    (found,) = re.findall(f"<{name} .*</{name}>".encode(), text, re.DOTALL)
    assert isinstance(found, bytes)
    return found.decode()


def _text(element: etree._Element, path: str) -> str:
    (found,) = element.findall(path, NAMES)
    assert found.text
    return found.text


def check_signature(
    text: bytes, element: etree._Element, signature: etree._Element, root: curve.Point
) -> None:
    """Verify the signature over a reply's R as written, and its signer under the root."""
    chain = read_chain(base64.b64decode(_text(element, "p:SigningCertificateChain")))
    check_chain(chain, root, ISSUE_LICENSE_SIGNER)
    assert chain[0].type == LICENSE_SIGNER
    info = "d:SignedInfo"
    algorithms_named = {
        f"{info}/d:CanonicalizationMethod": C14N,
        f"{info}/d:SignatureMethod": P + "#ecdsa-sha256",
        f"{info}/d:Reference/d:DigestMethod": P + "#sha256",
    }
    for path, expected in algorithms_named.items():
        (found,) = signature.findall(path, NAMES)
        assert expected == found.get("Algorithm")
    assert [child.get("URI") for child in signature.findall(f"{info}/d:Reference", NAMES)] == [
        "#SignedData"
    ]
    digest = base64.b64decode(_text(signature, f"{info}/d:Reference/d:DigestValue"))
    value = base64.b64decode(_text(signature, "d:SignatureValue"))
    assert (
        digest == hashlib.sha256(_written(text, etree.QName(element).localname).encode()).digest()
    )
    signed = re.findall(rb"<SignedInfo .*</SignedInfo>", text)[0]
    assert curve.signed_by(chain[0].key(SIGN_RESPONSE), value, signed)


def read_license(data: bytes, private: int) -> License:
    """Return a licence, its CMAC verified and its content key decrypted."""
    assert data[:8] == b"XMR\0\0\0\0\3"
    objects = tuple(_objects(data, 24, len(data)))
    found = {kind: body for _, kind, body in objects}
    content_key, device_key = found[0x000A], found[0x002A]
    key_type, cipher, length = struct.unpack_from(">HHH", content_key, 16)
    assert (cipher, length, len(content_key)) == (3, 128, 22 + 128)
    assert device_key == struct.pack(">HH", 1, 64) + curve.point_bytes(curve.public(private))
    secret = curve.decrypt(content_key[22:], private)
    assert objects[-1][1] == 0x000B
    assert found[0x000B][:4] == struct.pack(">HH", 1, 16)
    mac = CMAC(algorithms.AES(secret[:16]))
    mac.update(data[:-28])
    mac.verify(found[0x000B][4:])
    return License(data[8:24], content_key[:16], key_type, secret[16:], objects)


def _objects(data: bytes, at: int, end: int) -> list[tuple[int, int, bytes]]:
    found = []
    while at < end:
        flags, kind, length = struct.unpack_from(">HHI", data, at)
        assert 8 <= length <= end - at
        if flags & CONTAINER:
            found.append((flags, kind, b""))
            found += _objects(data, at + 8, at + length)
        else:
            found.append((flags, kind, data[at + 8 : at + length]))
        at += length
    return found
