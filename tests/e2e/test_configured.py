"""A server with keys, roots, a signer and roles that are not the defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device.identity import load_server_keys
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.messages.response import open_license_response
from rightsmanager.protocol.xml.envelope import parse_envelope
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
P = "http://schemas.microsoft.com/DRM/2007/03/protocols"


@dataclass(frozen=True)
class Configured:
    """A server, and the other test PKI that it is configured with."""

    server: Server
    other: Path


@pytest.fixture(scope="module")
def configured(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Configured:
    folder = tmp_path_factory.mktemp("configured")
    other = folder / "other"
    create(KeyFiles(other, None), rng_for("other"))
    settings = folder / "settings.toml"
    settings.write_text(
        f"""
        [server]
        roles = ["license", "domain"]
        public_url = "https://drm.example/playready/rightsmanager.asmx"
        cors_origins = ["https://player.example"]
        [keyring]
        server_keys = [{json.dumps(str(other / "keyring/wmrmserver.key"))}]
        trust_anchors = [{json.dumps(str(other / "public/root.pub"))}]
        signing_key = {json.dumps(str(other / "keyring/license-signer.key"))}
        signing_chain = {json.dumps(str(other / "keyring/license-signer.chain"))}
        [policy]
        persistent = true
        security_level = 2000
        """
    )
    server = start(
        folder / "data",
        RIGHTSMANAGER_CONFIG=str(settings),
        RIGHTSMANAGER_SERVER__ROLES='["license"]',
    )
    return Configured(server, other)


@pytest.fixture
def newcomer(configured: Configured, enrol: Enrol) -> Client:
    """A device of the server's own PKI that trusts the other one's signer."""
    client = enrol(configured.server.data)
    root = load_server_keys(configured.other / "public").root
    return replace(client, opening=replace(client.opening, verifier=ChainVerifier((root,))))


@pytest.fixture
def foreigner(configured: Configured, enrol: Enrol) -> Client:
    """A device of the other PKI, with that PKI's root and server key only."""
    return enrol(configured.other)


def test_a_challenge_to_an_old_server_key_still_opens_after_roll_over(
    configured: Configured, newcomer: Client, foreigner: Client, header_of: HeaderOf
) -> None:
    rolled = replace(newcomer, server=foreigner.server)
    for client in (newcomer, rolled):
        assert len(client.acquire(configured.server.url, header_of(KID)).licenses) == 1


def test_a_device_under_a_foreign_root_is_served(
    configured: Configured, foreigner: Client, header_of: HeaderOf
) -> None:
    acquired = foreigner.acquire(configured.server.url, header_of(KID))
    (license_,) = acquired.licenses
    assert license_.persistent
    assert acquired.response.nonce is not None


def test_replies_are_signed_by_the_chain_that_is_set(
    configured: Configured, newcomer: Client, enrol: Enrol, header_of: HeaderOf
) -> None:
    reply = configured.server.post(newcomer.challenge(header_of(KID))).body
    response = open_license_response(parse_envelope(reply)).response
    file = configured.other / "keyring" / "license-signer.chain"
    assert response.signing_chain == parse_chain(file.read_bytes()).raw
    with pytest.raises(InvalidMessage, match="not a trust anchor"):
        enrol(configured.server.data).acquire(configured.server.url, header_of(KID))


def test_roles_of_the_environment_override_those_of_the_file(configured: Configured) -> None:
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        f'<JoinDomain xmlns="{P}"/></e:Body></e:Envelope>'
    ).encode()
    answer = configured.server.post(body)
    assert (answer.status, answer.code) == (500, "0x8004c604")
    assert "the role domain is off" in answer.body.decode()
    page = configured.server.call("GET", "/rightsmanager.asmx?op=JoinDomain")
    assert "the role domain is off" in page.body.decode()


def test_a_device_below_the_security_level_is_refused(
    configured: Configured, enrol: Enrol, header_of: HeaderOf
) -> None:
    weak = enrol(configured.server.data, security_level=150)
    before = configured.server.issued()
    with pytest.raises(ServiceSpecific, match="needs security level 2000"):
        weak.acquire(configured.server.url, header_of(KID))
    assert configured.server.issued() == before


def test_addresses_are_the_public_url(configured: Configured) -> None:
    wsdl = configured.server.call("GET", "/rightsmanager.asmx?wsdl").body
    assert wsdl.count(b'location="https://drm.example/playready/rightsmanager.asmx"') == 2
    fault = configured.server.post(b"<").body
    assert b"<faultactor>https://drm.example/playready/rightsmanager.asmx</faultactor>" in fault


def test_only_listed_origins_may_read(configured: Configured) -> None:
    for origin, allowed in (("https://player.example", True), ("https://evil.example", False)):
        headers = configured.server.call("GET", "/rightsmanager.asmx", Origin=origin).headers
        assert (headers.get("Access-Control-Allow-Origin") == origin) is allowed
