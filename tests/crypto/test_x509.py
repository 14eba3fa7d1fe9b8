"""Certificates for HTTPS: issued as requested, and parsed from other issuers."""

import base64
import hashlib
import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.crypto.x509 import MARGIN, issue_self_signed, parse_certificate
from rightsmanager.errors import InternalError

NOW = 1790000000
KEY = PrivateKey(bytes(31) + b"\x07")
NAMES = ("localhost", "127.0.0.1", "::1", "*.drm.test")


def made(names: tuple[str, ...] = NAMES) -> bytes:
    return issue_self_signed(KEY, names, NOW, 3600, seeded_random(b"x509"))


def test_a_certificate_has_the_requested_values() -> None:
    certificate = parse_certificate(made())
    assert certificate.names == set(NAMES)
    assert (certificate.not_before, certificate.not_after) == (NOW - MARGIN, NOW + 3600)
    assert certificate.spki.endswith(b"\x04" + KEY.public.raw)


def test_a_certificate_is_self_signed_and_for_servers_alone() -> None:
    certificate = x509.load_pem_x509_certificate(made())
    certificate.verify_directly_issued_by(certificate)
    extensions = {each.oid._name: each.value for each in certificate.extensions}
    assert extensions["basicConstraints"] == x509.BasicConstraints(ca=False, path_length=None)
    assert [usage._name for usage in extensions["extendedKeyUsage"]] == ["serverAuth"]


def test_its_digests_are_those_shown_by_browsers() -> None:
    certificate = parse_certificate(made())
    der = ssl.PEM_cert_to_DER_cert(made().decode())
    assert certificate.fingerprint.replace(":", "").lower() == hashlib.sha256(der).hexdigest()
    assert base64.b64decode(certificate.spki_sha256) == hashlib.sha256(certificate.spki).digest()


def test_the_same_randomness_gives_the_same_certificate() -> None:
    assert made() == made()


@pytest.mark.parametrize("name", ["é.test", "drm test\n\N{SNOWMAN}"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(InternalError, match="expected a DNS name or an IP address"):
        made(("localhost", name))


def test_a_certificate_of_another_kind_and_without_names_is_read() -> None:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([])
    pem = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 7)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 1, UTC))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    certificate = parse_certificate(pem + made())
    assert (certificate.names, certificate.not_after) == (frozenset(), NOW + 1)


@pytest.mark.parametrize(
    "pem", [b"", b"certificate", made()[:-40], made().replace(b"\nM", b"\nN", 1), b"\xff" * 9]
)
def test_anything_else_is_refused(pem: bytes) -> None:
    with pytest.raises(InternalError, match="it holds no certificate in PEM"):
        parse_certificate(pem)
