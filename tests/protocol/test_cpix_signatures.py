"""Signed CPIX documents: those of an independent signer are verified, and the other way round."""

from __future__ import annotations

import pytest
from lxml import etree

from rightsmanager.crypto.rsa_signatures import parse_signer
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.packagers.cpix_exchange import fill_request, parse_request
from rightsmanager.protocol.formats.packagers.cpix_schema import refuse_invalid
from rightsmanager.protocol.formats.packagers.cpix_signatures import verify_document
from tests.protocol.test_cpix_exchange import VIDEO, protected
from tests.second import clients, cpix_reader
from tests.second.cpix_documents import document, key, system
from tests.second.cpix_reader import ENVELOPED, EXCLUSIVE, INCLUSIVE

SIGNER = clients.make("signer")
OTHER = clients.make("another signer")
PLAIN = document(key(VIDEO), systems=(system(VIDEO),))


@pytest.mark.parametrize("method", [INCLUSIVE, EXCLUSIVE])
@pytest.mark.parametrize("bits", [256, 512])
def test_signatures_of_clients_are_verified(method: str, bits: int) -> None:
    signed = cpix_reader.sign(PLAIN, SIGNER, method, bits)
    assert parse_request(signed).signers == (SIGNER.der,)
    assert parse_request(PLAIN).signers == ()


def test_text_around_a_signature_is_signed_too() -> None:
    spaced = PLAIN.replace(b"<cpix:ContentKeyList>", b" <cpix:ContentKeyList>")
    spaced = spaced.replace(b"</cpix:CPIX>", b"\n</cpix:CPIX>")
    assert parse_request(cpix_reader.sign(spaced, SIGNER)).signers == (SIGNER.der,)
    with pytest.raises(InvalidMessage, match="it was altered"):
        parse_request(
            cpix_reader.sign(PLAIN, SIGNER).replace(b"</ds:Signature>", b"</ds:Signature> ")
        )


def test_a_signature_may_be_the_only_child() -> None:
    root = etree.fromstring(cpix_reader.sign(b"<a>text</a>", SIGNER))
    assert verify_document(root) == (SIGNER.der,)


def test_replies_are_signed_and_those_of_requests_left_out() -> None:
    request = parse_request(cpix_reader.sign(PLAIN, OTHER))
    signer = parse_signer(SIGNER.pem + SIGNER.key_pem)
    filled = fill_request(request, [protected(VIDEO)], None, signer)
    cpix_reader.verify(filled, SIGNER)
    root = etree.fromstring(filled)
    refuse_invalid(root)
    assert verify_document(root) == (SIGNER.der,)
    assert b"Signature>" not in fill_request(request, [protected(VIDEO)])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"abc123", b"abc124", "it was altered"),
        (b'commonEncryptionScheme="cenc"', b'commonEncryptionScheme="cbcs"', "it was altered"),
        (b'URI=""', b'URI="#a"', "is of a part of the document"),
        (b' URI=""', b"", "is of a part of the document"),
        (f'<ds:Transform Algorithm="{ENVELOPED}"/>'.encode(), b"", "transforms of a signature"),
        (ENVELOPED.encode(), b"http://www.w3.org/TR/1999/REC-xslt-19991116", "transforms of a"),
        (b"xmlenc#sha256", b"xmlenc#sha1", "DigestMethod is"),
        (b"#rsa-sha256", b"#rsa-sha512", "signature of the CPIX document is wrong"),
        (b"#rsa-sha256", b"#hmac-sha256", "SignatureMethod is"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA", "signature of the CPIX"),
    ],
)
def test_altered_and_other_signatures_are_refused(old: bytes, new: bytes, told: str) -> None:
    signed = cpix_reader.sign(PLAIN, SIGNER)
    assert old in signed
    with pytest.raises(InvalidMessage, match=told):
        parse_request(signed.replace(old, new))


def test_other_canonicalizations_and_too_many_signatures_are_refused() -> None:
    signed = cpix_reader.sign(PLAIN, SIGNER)
    method = f'CanonicalizationMethod Algorithm="{EXCLUSIVE}'.encode()
    with pytest.raises(InvalidMessage, match="CanonicalizationMethod is"):
        parse_request(signed.replace(method, method + b"WithComments"))
    for _ in range(4):
        signed = cpix_reader.sign(signed, SIGNER)
    with pytest.raises(InvalidMessage, match="5 signatures, expected at most 4"):
        parse_request(signed)


def test_a_document_without_a_canonical_form_is_refused() -> None:
    signed = cpix_reader.sign(b"<a><b/></a>", SIGNER).replace(b"<b/>", b'<b xmlns="relative"/>')
    with pytest.raises(InvalidMessage, match="cannot be canonicalised"):
        verify_document(etree.fromstring(signed))
