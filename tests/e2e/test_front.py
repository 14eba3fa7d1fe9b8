"""The server as seen by a SOAP client, a browser, a packager and a person."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest
import zeep
import zeep.exceptions
from lxml import etree

from rightsmanager.protocol.messages.operations import OPERATIONS
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from tests.e2e.conftest import Client, HeaderOf, Server

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
INVALID, UNBUILT = "0x8004c601", "0x8004c604"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


@pytest.fixture
def challenge(client: Client, header_of: HeaderOf) -> bytes:
    return client.challenge(header_of(KID))


def envelope(operation: str, namespace: str = SOAP11) -> bytes:
    return (
        f'<e:Envelope xmlns:e="{namespace}"><e:Body><{operation} xmlns="{P}"></{operation}>'
        "</e:Body></e:Envelope>"
    ).encode()


@pytest.mark.parametrize("version", ["RightsManagerSoap", "RightsManagerSoap12"])
def test_a_client_made_from_the_wsdl_knows_nine_operations_and_gets_faults(
    server: Server, version: str
) -> None:
    client = zeep.Client(server.url + "?wsdl")  # type: ignore[no-untyped-call]
    (service,) = client.wsdl.services.values()
    assert list(service.ports) == ["RightsManagerSoap", "RightsManagerSoap12"]
    proxy = client.bind("RightsManager", version)
    assert set(proxy._operations) == set(OPERATIONS)
    with pytest.raises(zeep.exceptions.Fault) as caught:
        proxy.AcquireLicense(challenge={"_value_1": etree.Element("{urn:x}Challenge")})
    assert caught.value.detail.findtext(".//Exception/StatusCode") == "0x8004c601"
    assert "Challenge" in caught.value.message


@pytest.mark.parametrize("query", ["wsdl", "WSDL", "singleWsdl"])
def test_the_wsdl_has_the_address_that_was_asked(server: Server, query: str) -> None:
    answer = server.call("GET", f"/some/Path/RightsManager.asmx?{query}", Host="drm.example:81")
    addresses = etree.fromstring(answer.body).findall(f"{WSDL}service/{WSDL}port/*")
    assert [address.get("location") for address in addresses] == [
        "http://drm.example:81/some/Path/RightsManager.asmx"
    ] * 2


def test_a_browser_may_send_requests_and_read_all_answers(server: Server, challenge: bytes) -> None:
    preflight = server.call(
        "OPTIONS",
        "/service/rightsmanager.asmx?cfg=(kid:header)",
        Origin="https://player.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type,soapaction,x-mine",
    )
    reply = server.post(challenge, Origin="https://player.example")
    fault = server.post(b"<", Origin="https://player.example")
    assert [preflight.status, reply.status, fault.status] == [204, 200, 500]
    for answer in (preflight, reply, fault):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "soapaction" in answer.headers["Access-Control-Allow-Headers"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "x-mine" in preflight.headers["Access-Control-Allow-Headers"]
    assert preflight.body == b""


@pytest.mark.parametrize("size", [1, 1000])
def test_a_chunked_challenge_is_served(server: Server, challenge: bytes, size: int) -> None:
    chunks = (challenge[start : start + size] for start in range(0, len(challenge), size))
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = (
        b"POST /rightsmanager.asmx HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as peer:
        peer.sendall(head + coded + b"0\r\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"<License>" in answer


def below_the_body(answer: bytes) -> str:
    found = re.search(r"<soap:Body>(.*)</soap:Body>", answer.decode(), re.DOTALL)
    assert found is not None
    return found[1]


def test_a_reply_has_no_prefix_below_the_body(server: Server, challenge: bytes) -> None:
    reply = below_the_body(server.post(challenge).body)
    assert re.findall(r"</?[^\s<>]*:", reply) == []
    assert "xmlns:" not in reply
    assert re.findall(r"<[^>]*/>", reply) == []
    assert "<LicenseResponse xmlns=" in reply


def test_a_fault_has_no_prefix_below_itself(server: Server) -> None:
    fault = below_the_body(server.post(envelope("Nothing")).body)
    assert set(re.findall(r"</?([^\s<>]*:[^\s<>]*)>", fault)) == {"soap:Fault"}
    assert "<detail><Exception><StatusCode>0x8004c601</StatusCode></Exception></detail>" in fault
    assert f"<faultactor>{server.url}</faultactor>" in fault


def test_soap_1_2_is_answered_with_soap_1_2(server: Server, challenge: bytes) -> None:
    asked = challenge.replace(SOAP11.encode(), SOAP12.encode())
    reply = server.post(asked, Content_Type="application/soap+xml; charset=utf-8")
    assert (reply.status, reply.headers["Content-Type"]) == (
        200,
        "application/soap+xml; charset=utf-8",
    )
    assert etree.fromstring(reply.body).tag == f"{{{SOAP12}}}Envelope"
    assert "<License>" in below_the_body(reply.body)
    fault = server.post(envelope("Nothing", SOAP12))
    assert f"{{{SOAP12}}}Receiver" not in fault.body.decode()
    assert "<soap:Value>soap:Receiver</soap:Value>" in fault.body.decode()
    assert fault.code == INVALID


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_challenge_in_another_encoding_is_served(
    server: Server, challenge: bytes, encoding: str
) -> None:
    assert server.post(challenge.decode().encode(encoding)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"SOAPAction": f'"{P}/AcquireLicense"'},
        {"soapaction": f"{P}/AcquireLicense"},
        {"Content_Type": "application/octet-stream"},
        {"Content_Type": "text/xml; charset=utf-8", "SOAPAction": '""'},
    ],
)
def test_http_headers_do_not_matter(
    server: Server, challenge: bytes, headers: dict[str, str]
) -> None:
    assert server.post(challenge, **headers).status == 200


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_without_a_challenge_is_refused_as_its_page_says(
    server: Server, name: str
) -> None:
    page = server.call("GET", f"/rightsmanager.asmx?op={name}").body.decode()
    answer = server.post(envelope(name))
    unbuilt = f"{name} is not built yet"
    assert (answer.status, answer.code) == (500, UNBUILT if unbuilt in page else INVALID)
    assert (unbuilt in answer.body.decode()) is (unbuilt in page)


def test_people_find_the_operations_and_samples_of_their_messages(server: Server) -> None:
    front = server.call("GET", "/").body.decode()
    assert "/rightsmanager.asmx" in front
    listed = server.call("GET", "/rightsmanager.asmx").body.decode()
    for name in OPERATIONS:
        assert f"?op={name}" in listed
        page = server.call("GET", f"/rightsmanager.asmx?op={name}")
        assert page.status == 200
        assert f"&lt;{name} xmlns=" in page.body.decode()
        assert "SOAP 1.2" in page.body.decode()
    assert server.call("GET", "/nothing").status == 404


@pytest.mark.parametrize("name", ["root.pub", "wmrmserver.pub", "metering.bin"])
def test_public_files_are_served(server: Server, name: str) -> None:
    answer = server.call("GET", f"/public/{name}")
    assert answer.status == 200
    assert answer.body == (server.data / "public" / name).read_bytes()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "none.pub",
        "..",
        "../rightsmanager.db",
        "..%2Frightsmanager.db",
        ".hidden",
        "%00",
        "a%2Fb.c",
        "../keyring/root.key",
        "%2e%2e/keyring/root.key",
        "root.key",
        "tls.pem",
    ],
)
def test_no_other_file_is_served(server: Server, path: str) -> None:
    assert server.call("GET", f"/public/{path}").status == 404
