"""URLs of test harnesses get what they ask for."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from lxml import etree

from rightsmanager.errors import ServiceSpecific, StatusCode
from rightsmanager.protocol.formats.xmr.objects import (
    ExplicitDigitalVideoProtection,
    PlayEnabler,
    SecureStop,
    SecurityLevel,
)
from rightsmanager.protocol.wire import Kid
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, HeaderOf, Server

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
KEY = "EjQSNBI0EjQSNBI0EjQSNw=="
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
WEB_PLATFORM_TESTS = (
    "UseSimpleNonPersistentLicense=1&SecureStop=1"
    f"&PlayEnablers=B621D91F-EDCC-4035-8D4B-DC71760D43E9&ContentKey={KEY}"
)
ROOT = "3c6f3c13-6207-4916-867c-8252b3993638"


@pytest.fixture(scope="session")
def device(server: Server, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("device") / "new"
    assert command("device", "new", "--data", str(server.data), str(folder)).status == 0
    return folder


@pytest.mark.parametrize(
    "query",
    [
        WEB_PLATFORM_TESTS,
        WEB_PLATFORM_TESTS.replace("&", "&amp;"),
        f"cfg=(kid:header,sl:2000,persist:false,contentkey:{KEY})",
        f"cfg=(kid:header,sl:2000,persist:false,firstexp:60,contentkey:{KEY})",
        quote(f"cfg=(ck:{KEY})", safe="="),
    ],
)
def test_the_command_gets_the_content_key_of_the_url(
    server: Server, command: Command, device: Path, query: str
) -> None:
    ran = command(
        *("device", "acquire", "--device", str(device), "--url", f"{server.url}?{query}"),
        *("--kid", KID, "--json"),
    )
    assert (ran.status, ran.errors) == (0, "")
    (license_,) = ran.json["licenses"]
    assert license_["content_key"] == b64decode(KEY).hex()
    assert license_["persistent"] is False


def test_the_licence_says_what_the_url_asked(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    (first,) = client.acquire(f"{server.url}?{WEB_PLATFORM_TESTS}", header_of(KID)).licenses
    enabler = first.license.find(PlayEnabler)
    assert enabler is not None
    assert enabler.id.text == "b621d91f-edcc-4035-8d4b-dc71760d43e9"
    assert first.license.find(SecureStop) is not None
    query = "cfg=(maxres:1920x1080,sl:2000)"
    (second,) = client.acquire(f"{server.url}?{query}", header_of(KID)).licenses
    resolution, level = (
        second.license.find(ExplicitDigitalVideoProtection),
        second.license.find(SecurityLevel),
    )
    assert resolution is not None
    assert level is not None
    assert (resolution.data.hex(), level.level) == ("0000043800000780", 2000)


def test_custom_data_asks_for_licences(server: Server, client: Client, header_of: HeaderOf) -> None:
    text = f"json=[{{'kid':'{KID}','contentkey':'{KEY}','persist':true}}]"
    (license_,) = client.acquire(server.url, header_of(KID), text).licenses
    assert license_.content_key == b64decode(KEY)
    assert license_.persistent


def test_root_and_leaf_come_together(server: Server, client: Client, header_of: HeaderOf) -> None:
    url = f"{server.url}?cfg=(rootid:{ROOT},kid:header),(isroot:true,kid:{ROOT})"
    root, leaf = client.acquire(url, header_of(KID)).licenses
    assert (root.kid, leaf.kid) == (Kid.from_text(ROOT), Kid.from_base64(KID))
    assert leaf.root_kid == root.kid


def test_every_example_of_the_table_is_served(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    guid = "ABB2C6F1-E663-4625-A945-972D17B231E7"
    extended = "(type:400,mustunderstand:true,besteffort:false,data:Ah==)"
    for query in (
        "",
        "cfg=(ckt:aescbc)",
        "cfg=(begindate:20170101,expiration:20170101010000)",
        "cfg=(persist:true,begindate:20170101,expiration:20170201,firstexp:60)",
        f"cfg=(dvop:(guid:{guid},data:AAAAAQ==))",
        f"cfg=(playenablers:({guid},5ABF0F0D-DC29-4B82-9982-FD8E57525BFC))",
        f"cfg=(extendedrestrictions:({extended},{extended}))",
        f"cfg=(extendedright:(type:500,extended:({extended})))",
        "PlayRight=1&FirstPlayExpiration=60&UncompressedDigitalVideoOPL=270",
        f"PlayRight=1&UncompressedDigitalVideoOPL=300%20&DigitalVideoOutputProtection={{{guid}}};AAAAAQ==",
    ):
        assert len(client.acquire(f"{server.url}?{query}", header_of(KID)).licenses) == 1


@pytest.mark.parametrize("status", [status.hex for status in StatusCode])
@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["1.1", "1.2"])
def test_every_error_code_is_answered(
    server: Server, client: Client, header_of: HeaderOf, status: str, soap: str
) -> None:
    body = client.challenge(header_of(KID)).replace(SOAP11.encode(), soap.encode())
    answer = server.post(body, f"/service/rightsmanager.asmx?cfg=(errorcode:{status})")
    assert (answer.status, answer.code) == (500, status)
    document = etree.fromstring(answer.body)
    assert document.tag == f"{{{soap}}}Envelope"
    redirect = document.findtext(".//Exception/RedirectUrl")
    expected = f"http://127.0.0.1:{server.port}/service/rightsmanager.asmx"
    assert redirect == (expected if status == "0x8004c60d" else None)


def test_client_info_comes_as_custom_data(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    for query in ("cfg=(msg:clientinfo)", "cfg=(clientinfo)"):
        with pytest.raises(ServiceSpecific) as caught:
            client.acquire(f"{server.url}?{query}", header_of(KID))
        told = caught.value.custom_data or ""
        assert told.startswith("Client Info:\n    Client Version: 10.0.16384.10011\n")
        assert "\nDevice Certificate Info (Cert 0):\n" in told
        assert "↳ Cert 1:" in told


def test_a_refusal_names_parameter_value_and_expectation(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    with pytest.raises(ServiceSpecific) as caught:
        client.acquire(f"{server.url}?cfg=(sl:99)", header_of(KID))
    assert caught.value.text.endswith("sl is '99', expected 150, 2000 or 3000")
