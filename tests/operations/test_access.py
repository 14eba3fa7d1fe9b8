"""Access to content keys in the clear."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from rightsmanager.assembly import packaging_access
from rightsmanager.crypto.client_certificates import parse_authorities
from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.operations.access import Access, AccessDenied, AccessMode
from rightsmanager.operations.request import Request
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.settings import PackagingSettings, Settings
from tests.second import clients, packager

TOKEN = "correct-horse.battery~staple"
HERE = "127.0.0.1"
FAR = "203.0.113.9"


def request(remote: str = FAR, **headers: str) -> Request:
    return Request(
        envelope=parse_envelope(packager.ask(packager.stream("a"))),
        url="http://127.0.0.1/rightsmanager.asmx",
        query="",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        remote=remote,
    )


def refusal(access: Access, asked: Request) -> str:
    with pytest.raises(ServiceSpecific) as refused:
        access.refuse_stranger("AcquirePackagingData", asked)
    return refused.value.text


LOOPBACK = Access(AccessMode.LOOPBACK)
NAMED = Access(AccessMode.LOOPBACK, public_url="https://keys.example/rightsmanager.asmx")


@pytest.mark.parametrize("remote", [HERE, "127.5.5.5", "::1", "::ffff:127.0.0.1"])
def test_a_packager_on_this_machine_passes(remote: str) -> None:
    LOOPBACK.refuse_stranger("AcquirePackagingData", request(remote))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "127.9.9.9",
    ],
)
def test_loopback_hosts_pass(host: str) -> None:
    LOOPBACK.refuse_stranger("AcquirePackagingData", request(HERE, host=host))


@pytest.mark.parametrize("host", ["keys.example", "KEYS.example:443"])
def test_the_servers_own_name_passes(host: str) -> None:
    NAMED.refuse_stranger("AcquirePackagingData", request(HERE, host=host))
    assert "is for the host 'keys.example'" in refusal(LOOPBACK, request(HERE, host=host))


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1"),
        *("a b", "[127.0.0.1]", "[1.2]", "[::::]:80", "[]"),
    ],
)
def test_a_request_for_another_host_is_refused(host: str) -> None:
    for access in (LOOPBACK, NAMED):
        assert "expected a loopback address, server.public_url or one" in refusal(
            access, request(HERE, host=host)
        )


@pytest.mark.parametrize("remote", [FAR, "10.0.0.1", "::", "::ffff:10.0.0.1", "localhost"])
def test_a_packager_elsewhere_is_refused(remote: str) -> None:
    for access in (LOOPBACK, NAMED):
        told = refusal(access, request(remote))
        assert f"comes from {remote}, expected a loopback address" in told
        assert "(packaging.access = loopback)" in told


def test_without_an_address_every_request_is_refused() -> None:
    assert "comes from no address" in refusal(LOOPBACK, request(""))


@pytest.mark.parametrize(
    "header",
    [
        "forwarded",
        "via",
        "x_forwarded_for",
        "x_forwarded_host",
        "x_forwarded_proto",
        "x_forwarded_port",
        "x_forwarded_server",
        "x_real_ip",
        "x_client_ip",
        "cf_connecting_ip",
        "true_client_ip",
    ],
)
def test_behind_a_proxy_every_request_is_refused(header: str) -> None:
    for access in (LOOPBACK, NAMED):
        told = refusal(access, request(HERE, **{header: HERE}))
        assert f"comes through a proxy (header {header.replace('_', '-')})" in told
        assert "packaging.access = token" in told


@pytest.mark.parametrize("header", ["origin", "sec_fetch_site", "sec_fetch_mode"])
def test_a_browsers_page_on_this_machine_is_refused(header: str) -> None:
    assert "comes from a browser's page" in refusal(LOOPBACK, request(HERE, **{header: "null"}))


@pytest.mark.parametrize("spelling", ["Bearer {}", "bearer  {}", " BEARER {} "])
def test_requests_with_the_token_pass(spelling: str) -> None:
    access = Access(AccessMode.TOKEN, TOKEN)
    access.refuse_stranger("A", request(authorization=spelling.format(TOKEN)))


@pytest.mark.parametrize(
    ("authorization", "told"),
    [
        (None, "has no token, expected the header Authorization: Bearer"),
        ("", "has no token"),
        (TOKEN, "has no token"),
        (f"Basic {TOKEN}", "has no token"),
        ("Bearer", "has no token"),
        (f"Bearer {TOKEN} {TOKEN}", "has no token"),
        (f"Bearer {TOKEN}x", "has another token"),
        (f"Bearer {TOKEN[:-1]}", "has another token"),
        ("Bearer \u00ff", "has no token"),
    ],
)
def test_without_the_token_requests_are_refused_and_the_token_is_not_shown(
    authorization: str | None, told: str
) -> None:
    access = Access(AccessMode.TOKEN, TOKEN)
    headers = {} if authorization is None else {"authorization": authorization}
    text = refusal(access, request(HERE, **headers))
    assert told in text
    assert TOKEN[:-1] not in text
    assert TOKEN not in repr(access)


def test_off_refuses_all_and_open_serves_all_but_pages() -> None:
    assert "packagers are switched off here" in refusal(Access(AccessMode.OFF), request(HERE))
    Access(AccessMode.OPEN).refuse_stranger("A", request(FAR))
    told = refusal(Access(AccessMode.OPEN), request(FAR, origin="https://example.com"))
    assert "comes from a browser's page" in told


def test_an_open_server_serves_its_own_names_and_any_address() -> None:
    url = "https://keys.example/rightsmanager.asmx"
    access = Access(AccessMode.OPEN, public_url=url, hosts=frozenset({"keys.internal"}))
    for host in (
        "192.0.2.7:8080",
        "[2001:db8::1]",
        "localhost:8080",
        "keys.example",
        "",
        "KEYS.internal",
    ):
        access.refuse_stranger("A", request(FAR, host=host))
    for host in ("evil.example", "192.0.2.7.evil.example", "keys.internal.", "a b"):
        told = refusal(access, request(FAR, host=host))
        assert f"is for the host {host!r}, expected an IP address" in told
    Access(AccessMode.OPEN, hosts=frozenset("*")).refuse_stranger("A", request(FAR, host="any"))
    # A page knows no token, so that its name does not matter.
    bearer = {"authorization": f"Bearer {TOKEN}"}
    token = Access(AccessMode.TOKEN, TOKEN)
    token.refuse_stranger("A", request(FAR, host="any.example", **bearer))


@pytest.mark.parametrize("mode", [AccessMode.OPEN, AccessMode.TOKEN, AccessMode.QUERY])
def test_a_server_on_loopback_refuses_other_hosts_in_every_mode(mode: AccessMode) -> None:
    access = Access(mode, TOKEN, "https://keys.example/", is_loopback=True)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host in ("localhost:8080", "keys.example", "[::1]:1"):
        access.refuse_stranger("A", request(HERE, host=host, **bearer))
    assert "is for the host 'evil.example'" in refusal(
        access, request(HERE, host="evil.example", **bearer)
    )
    for header in ("origin", "sec_fetch_site"):
        given = request(HERE, **{header: "null", **bearer})
        with pytest.raises(AccessDenied, match="comes from a browser's page") as refused:
            access.refuse_stranger("A", given)
        # Another token changes nothing.
        assert not refused.value.needs_token


def test_the_token_may_be_in_the_query_in_that_mode_alone() -> None:
    access = Access(AccessMode.QUERY, TOKEN)
    query = f"a=b&token={TOKEN.replace('~', '%7E')}"
    access.refuse_stranger("A", replace(request(), query=query))
    access.refuse_stranger("A", request(authorization=f"Bearer {TOKEN}"))
    for wrong in ("token=x", f"token={TOKEN}&token={TOKEN}"):
        told = refusal(access, replace(request(), query=wrong))
        assert "has another token in its query" in told
        assert TOKEN not in told
    assert "packaging.token, or token in the query" in refusal(access, request())
    assert "has no token" in refusal(
        Access(AccessMode.TOKEN, TOKEN), replace(request(), query=query)
    )


@dataclass
class Connection:
    certificate: bytes | None

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self.certificate


def certified(**changes: Any) -> Access:  # noqa: ANN401 -- fields of Access
    authorities = parse_authorities(clients.CA.pem)
    return Access(
        AccessMode.CERTIFICATE, authorities=authorities, clock=lambda: clients.NOW, **changes
    )


def test_a_client_certificate_of_the_connection_passes() -> None:
    client = clients.issue(clients.CA)
    certified().refuse_stranger("A", replace(request(), socket=Connection(client.der)))
    for socket in (None, object(), Connection(None)):
        told = refusal(certified(), replace(request(), socket=socket))
        assert "has no client certificate" in told


def test_foreign_and_expired_certificates_are_refused() -> None:
    for client, told in (
        (clients.issue(clients.OTHER), "is foreign"),
        (clients.issue(clients.CA, days=-1), "expected one that is valid now"),
        (clients.issue(clients.CA, usage="server"), "expected client authentication"),
    ):
        socket = Connection(client.der)
        assert told in refusal(certified(), replace(request(), socket=socket))


def test_a_trusted_proxys_header_has_the_certificate_in_three_spellings() -> None:
    client = clients.issue(clients.CA)
    access = certified(certificate_header="x-client-cert")
    for text in (
        client.pem.decode(),
        quote(client.pem.decode()),
        f":{base64.b64encode(client.der).decode()}:",
    ):
        access.refuse_stranger("A", request(x_client_cert=text))
    assert "is not one in DER or PEM" in refusal(access, request(x_client_cert="rubbish"))
    # A proxy that only adds a header leaves the client's own before it.
    forged = f"{quote(client.pem.decode())},{quote(clients.issue(clients.OTHER).pem.decode())}"
    assert "is foreign" in refusal(access, request(x_client_cert=forged))
    assert "has no client certificate" in refusal(
        access, replace(request(), socket=Connection(client.der))
    )
    # Without trust in the proxy its header does not count.
    assert "has no client certificate" in refusal(
        certified(), request(x_client_cert=client.pem.decode())
    )


def test_a_proxys_header_without_a_trusted_proxy_is_refused_at_the_start() -> None:
    given = Settings(packaging=PackagingSettings(certificate_header="X-Client-Cert"))
    with pytest.raises(InternalError, match="trust_forwarded is not, expected both"):
        packaging_access(given, lambda: 0)
