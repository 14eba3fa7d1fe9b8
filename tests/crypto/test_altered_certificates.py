"""Certificates with one altered byte are read or refused, whatever the library raises for them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from rightsmanager.crypto.client_certificates import parse_authorities
from rightsmanager.crypto.recipients import parse_recipient
from rightsmanager.crypto.rsa_signatures import verify_signature
from rightsmanager.errors import InvalidMessage
from tests.second import clients

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[bytes], object]

# Two extensions, whose types one bit makes the same.
NAMES = [x509.DNSName("a")]
EXTENSIONS = (x509.SubjectAlternativeName(NAMES), x509.IssuerAlternativeName(NAMES))
AUTHORITIES = parse_authorities(clients.CA.pem)
READERS: dict[str, Read] = {
    "client": lambda der: AUTHORITIES.refuse_foreign(der, clients.NOW),
    "recipient": lambda der: parse_recipient(der, clients.NOW),
    "signer": lambda der: verify_signature(der, bytes(256), b"", "sha256"),
}


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("reader", READERS)
def test_an_altered_certificate_is_read_or_refused(reader: str) -> None:
    read, der = READERS[reader], clients.make("altered", extensions=EXTENSIONS).der
    for place, byte in enumerate(der):
        for bit in range(8):
            altered = der[:place] + bytes([byte ^ 1 << bit]) + der[place + 1 :]
            with suppress(InvalidMessage):
                read(altered)
