"""Recipients of encrypted keys: certificates with RSA keys that may encrypt."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.crypto.recipients import parse_own_recipient, parse_recipient
from rightsmanager.crypto.x509 import issue_self_signed
from rightsmanager.errors import InternalError, InvalidMessage
from tests.second import clients, cpix_reader


@pytest.mark.parametrize("usages", [(), ("key_encipherment",), ("data_encipherment",)])
def test_a_recipient_opens_what_is_wrapped_for_it(usages: tuple[str, ...]) -> None:
    recipient = clients.recipient(*usages)
    wrapped = parse_recipient(recipient.der, clients.NOW).wrap(b"a secret")
    assert recipient.key.decrypt(wrapped, cpix_reader.OAEP) == b"a secret"


def test_other_certificates_are_refused() -> None:
    for certificate, told in (
        (b"", "not a valid one in DER"),
        (clients.recipient().pem, "not a valid one in DER"),
        (clients.recipient(bits=1024).der, "is RSA of 1024 bits, expected RSA of 2048"),
        (clients.recipient("digital_signature").der, "another key usage"),
        (clients.recipient(days=-1).der, "is expired since"),
        (clients.recipient(now=clients.NOW + 61 * 86400).der, "is not valid before"),
    ):
        with pytest.raises(InvalidMessage, match=told):
            parse_recipient(certificate, clients.NOW)


def test_an_elliptic_key_is_refused() -> None:
    pem = issue_self_signed(
        PrivateKey(bytes(31) + b"\1"), ("a",), clients.NOW, 86400, seeded_random(b"recipient")
    )

    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    with pytest.raises(InvalidMessage, match="is another, expected RSA of 2048"):
        parse_recipient(der, clients.NOW)


def test_the_servers_own_key_opens_what_is_wrapped_for_it() -> None:
    own = clients.recipient()
    wrapped = parse_recipient(own.der, clients.NOW).wrap(b"a secret")
    assert parse_own_recipient(own.key_pem).unwrap(wrapped) == b"a secret"
    for other in (b"", wrapped[:-1], bytes(256)):
        with pytest.raises(InvalidMessage, match="is not encrypted to this server"):
            parse_own_recipient(own.key_pem).unwrap(other)


def test_the_servers_own_key_is_rsa() -> None:
    for pem in (b"", clients.recipient().pem, clients.recipient(bits=1024).key_pem):
        with pytest.raises(InternalError, match="has no RSA key of 2048 bits or more"):
            parse_own_recipient(pem)
