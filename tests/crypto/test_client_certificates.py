"""Client certificates: those that a trusted authority has issued, valid and for clients."""

from __future__ import annotations

import pytest

from rightsmanager.crypto.client_certificates import parse_authorities
from rightsmanager.errors import InternalError, InvalidMessage
from tests.second import clients


@pytest.mark.parametrize("usage", ["client", None])
def test_a_client_of_the_authority_is_accepted_in_der_and_pem(usage: str | None) -> None:
    client = clients.issue(clients.CA, usage=usage)
    authorities = parse_authorities(clients.OTHER.pem + clients.CA.pem)
    for spelling in (client.der, client.pem):
        authorities.refuse_foreign(spelling, clients.NOW)


def test_an_authority_that_may_not_issue_or_is_expired_counts_as_foreign() -> None:
    for authority in (
        clients.authority("no authority", is_ca=False),
        clients.make("without constraints"),
        clients.authority("expired", now=clients.NOW - 365 * 86400),
    ):
        client = clients.issue(authority)
        with pytest.raises(InvalidMessage, match="is foreign"):
            parse_authorities(authority.pem).refuse_foreign(client.der, clients.NOW)


def test_a_forged_issuer_is_foreign() -> None:
    client = clients.issue(clients.authority("clients' authority"))
    with pytest.raises(InvalidMessage, match="is foreign"):
        parse_authorities(clients.CA.pem).refuse_foreign(client.der, clients.NOW)


def test_a_certificate_that_begins_later_is_refused() -> None:
    client = clients.issue(clients.CA, now=clients.NOW + 61 * 86400)
    with pytest.raises(InvalidMessage, match="expected one that is valid now"):
        parse_authorities(clients.CA.pem).refuse_foreign(client.der, clients.NOW)


def test_authorities_are_pem() -> None:
    for data in (b"", b"rubbish", clients.CA.der):
        with pytest.raises(InternalError, match="has no certificates in PEM"):
            parse_authorities(data)


def test_invalid_extensions_are_refused() -> None:
    client = clients.issue(clients.CA)
    usage = bytes.fromhex("0603551d25040c300a")
    assert usage in client.der
    broken = client.der.replace(usage, usage.replace(b"\x30\x0a", b"\x31\x0a"))
    with pytest.raises(InvalidMessage, match="has invalid extensions"):
        parse_authorities(clients.CA.pem).refuse_foreign(broken, clients.NOW)


def test_rubbish_and_certificates_of_servers_are_refused() -> None:
    authorities = parse_authorities(clients.CA.pem)
    for certificate in (b"rubbish", b"-----BEGIN CERTIFICATE-----"):
        with pytest.raises(InvalidMessage, match="is not one in DER or PEM"):
            authorities.refuse_foreign(certificate, clients.NOW)
    server = clients.issue(clients.CA, usage="server")
    with pytest.raises(InvalidMessage, match="expected client authentication"):
        authorities.refuse_foreign(server.der, clients.NOW)
