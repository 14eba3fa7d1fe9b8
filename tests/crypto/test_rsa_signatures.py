"""RSA signatures of documents by certificates."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.crypto.rsa_signatures import parse_signer, verify_signature
from rightsmanager.crypto.x509 import issue_self_signed
from rightsmanager.errors import InternalError, InvalidMessage
from tests.second import clients


def test_a_signature_is_verified() -> None:
    identity = clients.make("signer")
    signer = parse_signer(identity.pem + identity.key_pem)
    assert signer.certificate == identity.der
    signature = signer.sign(b"data")
    verify_signature(identity.der, signature, b"data", "sha512")
    for data, digest in ((b"other", "sha512"), (b"data", "sha256")):
        with pytest.raises(InvalidMessage, match="is wrong"):
            verify_signature(identity.der, signature, data, digest)


def test_other_certificates_are_refused() -> None:
    with pytest.raises(InvalidMessage, match="not a valid one in DER"):
        verify_signature(b"", b"", b"", "sha256")
    with pytest.raises(InvalidMessage, match="expected RSA"):
        verify_signature(clients.make("small", bits=1024).der, b"", b"", "sha256")
    key = PrivateKey(bytes(31) + b"\1")
    pem = issue_self_signed(key, ("a",), clients.NOW, 86400, seeded_random(b"signer"))
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    with pytest.raises(InvalidMessage, match="expected RSA"):
        verify_signature(der, b"", b"", "sha256")


def test_a_signers_file_has_a_certificate_and_its_key() -> None:
    identity = clients.make("signer")
    for pem in (b"", identity.pem, identity.key_pem):
        with pytest.raises(InternalError, match="no certificate and key in PEM"):
            parse_signer(pem)
    with pytest.raises(InternalError, match="has another key"):
        parse_signer(identity.pem + clients.CA.key_pem)
