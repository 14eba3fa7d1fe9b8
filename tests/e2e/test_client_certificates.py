"""Packagers with a client certificate get keys: on TLS, by a proxy, by signed documents."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.databases import on_sqlite
from tests.second import clients, cpix_documents, cpix_reader, packager

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Server, Start

pytestmark = on_sqlite
NOW = int(time.time())
CA = clients.authority("packagers", now=NOW)
PROGRAM = "/nginx-vod/certified"


def environment(folder: Path, **more: str) -> dict[str, str]:
    authorities = folder / "packagers.pem"
    authorities.write_bytes(CA.pem)
    return {
        "RIGHTSMANAGER_PACKAGING__ACCESS": "certificate",
        "RIGHTSMANAGER_PACKAGING__CLIENT_CA": str(authorities),
        **more,
    }


def call(
    server: Server,
    folder: Path,
    client: clients.Identity | None,
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=server.announced["https"]["certificate"])
    if client is not None:
        file = folder / "client.pem"
        file.write_bytes(client.pem + client.key_pem)
        context.load_cert_chain(file)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)
    try:
        if body is None:
            connection.request("GET", PROGRAM, headers=headers)
        else:
            connection.request("POST", "/rightsmanager.asmx", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certified")


@pytest.fixture(scope="module")
def secure(start: Start, folder: Path) -> Server:
    return start(folder / "data", "--https", **environment(folder))


def test_a_client_of_the_authority_gets_keys(secure: Server, folder: Path) -> None:
    client = clients.issue(CA, now=NOW)
    status, body = call(secure, folder, client)
    assert status == 200
    soap = packager.ask(packager.stream("certified"))
    status, reply = call(secure, folder, client, soap)
    assert status == 200
    assert json.loads(body)[0]["key"].encode() in reply


def test_others_get_none(secure: Server, folder: Path) -> None:
    status, body = call(secure, folder, None)
    assert status == 403
    assert b"has no client certificate" in body
    status, body = call(secure, folder, None, packager.ask(packager.stream("certified")))
    assert status == 500
    assert b"has no client certificate" in body
    # A browser may present the certificate of its user.
    client = clients.issue(CA, now=NOW)
    status, body = call(secure, folder, client, Origin="https://evil.example")
    assert status == 403
    assert b"comes from a browser" in body


@pytest.mark.parametrize("kind", ["foreign", "expired", "server"])
def test_foreign_and_expired_clients_get_none(secure: Server, folder: Path, kind: str) -> None:
    client = {
        "foreign": lambda: clients.issue(clients.OTHER, now=NOW),
        "expired": lambda: clients.issue(CA, days=-1, now=NOW),
        "server": lambda: clients.issue(CA, usage="server", now=NOW),
    }[kind]()
    # TLS refuses them, and none of them gets a reply with a key.
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        call(secure, folder, client)


def test_players_need_no_certificate(secure: Server, folder: Path) -> None:
    status, body = call(secure, folder, None, b"<")
    assert status == 500
    assert b"0x8004c601" in body


def test_a_trusted_proxys_header_has_the_certificate(start: Start, tmp_path: Path) -> None:
    given = environment(
        tmp_path,
        RIGHTSMANAGER_PACKAGING__CERTIFICATE_HEADER="X-Client-Cert",
        RIGHTSMANAGER_SERVER__TRUST_FORWARDED="true",
    )
    server = start(tmp_path / "data", **given)
    client = clients.issue(CA, now=NOW)
    header = {"X_Client_Cert": quote(client.pem.decode())}
    assert server.call("GET", PROGRAM, None, **header).status == 200
    assert server.call("GET", PROGRAM).status == 403
    foreign = {"X_Client_Cert": quote(clients.issue(clients.OTHER, now=NOW).pem.decode())}
    answer = server.call("GET", PROGRAM, None, **foreign)
    assert answer.status == 403
    assert b"is foreign" in answer.body


def test_documents_are_signed_both_ways(start: Start, tmp_path: Path) -> None:
    signer = clients.make("this server", now=NOW)
    (tmp_path / "signer.pem").write_bytes(signer.pem + signer.key_pem)
    given = environment(
        tmp_path,
        RIGHTSMANAGER_PACKAGING__ACCESS="loopback",
        RIGHTSMANAGER_PACKAGING__SIGNED_REQUESTS="true",
        RIGHTSMANAGER_PACKAGING__SIGNING_FILE=str(tmp_path / "signer.pem"),
    )
    server = start(tmp_path / "data", **given)
    kid = "00000000-0000-4000-8000-0000000051de"
    document = cpix_documents.document(cpix_documents.key(kid), attributes='contentId="signed"')
    client = clients.issue(CA, now=NOW)
    answer = server.post(cpix_reader.sign(document, client), "/cpix")
    assert answer.status == 200, answer.body
    cpix_reader.verify(answer.body, signer)
    assert list(cpix_reader.read(answer.body)) == [kid]
    cpix_reader.verify(server.call("GET", "/cpix/signed").body, signer)
    for body, told in (
        (document, "the CPIX document is not signed"),
        (cpix_reader.sign(document, clients.issue(clients.OTHER, now=NOW)), "is foreign"),
        (cpix_reader.sign(document, clients.issue(CA, days=-1, now=NOW)), "valid now"),
        (
            cpix_reader.sign(document, client).replace(b"signed", b"altered"),
            "it was altered",
        ),
    ):
        answer = server.post(body, "/cpix")
        assert answer.status == 400
        assert told in answer.body.decode()


def test_encrypted_keys_of_a_request_are_stored(start: Start, tmp_path: Path) -> None:
    own = clients.recipient("key_encipherment", now=NOW)
    (tmp_path / "own.pem").write_bytes(own.key_pem)
    server = start(
        tmp_path / "data", RIGHTSMANAGER_PACKAGING__RECIPIENT_FILE=str(tmp_path / "own.pem")
    )
    kid = "00000000-0000-4000-8000-0000000e2c4a"
    asked = cpix_documents.document(
        cpix_documents.key(kid),
        recipients=(cpix_documents.delivery(own),),
        attributes='contentId="sent"',
    )
    # A reply to the server itself is a request with an encrypted key.
    sent = server.post(asked, "/cpix")
    (read,) = cpix_reader.read(sent.body, own.key).values()
    assert server.post(sent.body, "/cpix").status == 200
    other = server.post(sent.body.replace(kid.encode(), kid[:-1].encode() + b"b"), "/cpix/other")
    assert other.status == 200, other.body
    (entry,) = json.loads(server.call("GET", "/nginx-vod/other").body)
    assert base64.b64decode(entry["key"]) == read.key
