"""Signatures of whole CPIX documents, by XML Signature.

    Signature                         a child of CPIX
      SignedInfo
        CanonicalizationMethod        C14N 1.0 or exclusive C14N, both without comments
        SignatureMethod               RSA with SHA-256 or SHA-512
        Reference[@URI=""]            the document without this signature
          Transforms                  enveloped-signature, then optionally one of the C14Ns
          DigestMethod, DigestValue   SHA-256 or SHA-512
      SignatureValue
      KeyInfo/X509Data/X509Certificate

Signatures of single lists are refused: the rest of such a document is not the signer's.

Source: CPIX 2.3, section on digital signatures; XML Signature Syntax and Processing of the W3C.
"""

import hashlib
import hmac
from collections.abc import Mapping
from copy import deepcopy
from typing import Final, TypeVar

from lxml import etree

from rightsmanager.crypto.rsa_signatures import RsaSigner, verify_signature
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import XMLDSIG, XMLENC, decode_base64, encode_base64
from rightsmanager.protocol.xml.elements import descend

T = TypeVar("T")

MAX_SIGNATURES: Final = 4

_DS: Final = f"{{{XMLDSIG}}}"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_INCLUSIVE: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED: Final = f"{XMLDSIG}enveloped-signature"
_IS_EXCLUSIVE: Final = {_INCLUSIVE: False, _EXCLUSIVE: True}
_DIGESTS: Final = {f"{XMLENC}sha256": "sha256", f"{XMLENC}sha512": "sha512"}
_METHODS: Final = {f"{_MORE}rsa-sha256": "sha256", f"{_MORE}rsa-sha512": "sha512"}


def verify_document(root: etree._Element) -> tuple[bytes, ...]:
    """Return the certificates, in DER, of the signers of a whole document.

    Raises InvalidMessage for a wrong signature, and for one of another form.
    """
    signatures = root.findall(f"{_DS}Signature")
    if len(signatures) > MAX_SIGNATURES:
        raise InvalidMessage(f"{len(signatures)} signatures, expected at most {MAX_SIGNATURES}")
    return tuple(_verify(root, place) for place in range(len(signatures)))


def _verify(root: etree._Element, place: int) -> bytes:
    signature = root.findall(f"{_DS}Signature")[place]
    signed = descend(signature, f"{_DS}SignedInfo")
    reference = descend(signed, f"{_DS}Reference")
    if reference.get("URI") != "":
        raise InvalidMessage("a signature is of a part of the document, expected of all of it")
    digest = _algorithm(reference, "DigestMethod", _DIGESTS)
    actual = hashlib.new(digest, _canonical_document(root, place, reference)).digest()
    if not hmac.compare_digest(actual, _value(reference, "DigestValue")):
        raise InvalidMessage("the digest of the CPIX document is wrong: it was altered")
    method = _algorithm(signed, "SignatureMethod", _METHODS)
    is_exclusive = _algorithm(signed, "CanonicalizationMethod", _IS_EXCLUSIVE)
    certificate = _value(descend(signature, f"{_DS}KeyInfo", f"{_DS}X509Data"), "X509Certificate")
    canonical = _canonical(signed, is_exclusive=is_exclusive)
    verify_signature(certificate, _value(signature, "SignatureValue"), canonical, method)
    return certificate


def _canonical_document(root: etree._Element, place: int, reference: etree._Element) -> bytes:
    transforms = [each.get("Algorithm") for each in reference.iter(f"{_DS}Transform")]
    if transforms[:1] != [_ENVELOPED] or transforms[1:] not in ([], [_INCLUSIVE], [_EXCLUSIVE]):
        raise InvalidMessage(
            "the transforms of a signature are others, expected enveloped-signature and C14N"
        )
    rest = deepcopy(root)
    _remove(rest, rest.findall(f"{_DS}Signature")[place])
    return _canonical(rest, is_exclusive=transforms[1:] == [_EXCLUSIVE])


def _remove(root: etree._Element, element: etree._Element) -> None:
    """Remove an element, and keep the text after it."""
    before, tail = element.getprevious(), element.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        root.text = (root.text or "") + tail
    root.remove(element)


def _canonical(element: etree._Element, *, is_exclusive: bool) -> bytes:
    try:
        return etree.tostring(element, method="c14n", exclusive=is_exclusive, with_comments=False)
    except etree.C14NError:
        raise InvalidMessage("the CPIX document cannot be canonicalised") from None


def _algorithm(parent: etree._Element, name: str, known: Mapping[str, T]) -> T:
    algorithm = descend(parent, _DS + name).get("Algorithm", "")
    if algorithm not in known:
        raise InvalidMessage(f"{name} is {algorithm[:100]!r}, expected one of {', '.join(known)}")
    return known[algorithm]


def _value(parent: etree._Element, name: str) -> bytes:
    return decode_base64("".join((descend(parent, _DS + name).text or "").split()), name)


def sign_document(root: etree._Element, signer: RsaSigner) -> None:
    """Add a signature of the whole document."""
    signature = etree.Element(f"{_DS}Signature", nsmap={"ds": XMLDSIG})
    signed = etree.SubElement(signature, f"{_DS}SignedInfo")
    etree.SubElement(signed, f"{_DS}CanonicalizationMethod", Algorithm=_INCLUSIVE)
    etree.SubElement(signed, f"{_DS}SignatureMethod", Algorithm=f"{_MORE}rsa-sha512")
    reference = etree.SubElement(signed, f"{_DS}Reference", URI="")
    transforms = etree.SubElement(reference, f"{_DS}Transforms")
    etree.SubElement(transforms, f"{_DS}Transform", Algorithm=_ENVELOPED)
    etree.SubElement(reference, f"{_DS}DigestMethod", Algorithm=f"{XMLENC}sha512")
    digest = hashlib.sha512(_canonical(root, is_exclusive=False)).digest()
    etree.SubElement(reference, f"{_DS}DigestValue").text = encode_base64(digest)
    # SignedInfo inherits the namespaces of the document that it is in.
    root.append(signature)
    value = signer.sign(_canonical(signed, is_exclusive=False))
    etree.SubElement(signature, f"{_DS}SignatureValue").text = encode_base64(value)
    info = etree.SubElement(signature, f"{_DS}KeyInfo")
    data = etree.SubElement(info, f"{_DS}X509Data")
    etree.SubElement(data, f"{_DS}X509Certificate").text = encode_base64(signer.certificate)
