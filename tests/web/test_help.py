from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest
from lxml import etree, html

from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.web.http import Addressing
from rightsmanager.web.router import RouterSettings

if TYPE_CHECKING:
    from tests.web.conftest import Calling, ServerClient


def test_the_help_page_lists_the_nine_operations_and_says_which_are_not_served(
    call: ServerClient,
) -> None:
    page = html.fromstring(call("GET", "/svc/RightsManager.asmx").body)
    assert [link.get("href") for link in page.findall(".//td/a")] == [
        f"?op={name}" for name in OPERATIONS
    ]
    text = page.text_content()
    assert "AcquirePackagingData is not served here: the role packaging is off" in text
    assert "JoinDomain is not built yet" in text
    assert "AcquireLicense is not" not in text
    assert "It is not a service of Microsoft" in text
    assert page.xpath("//main//a/@href")[0] == "?wsdl"


def test_the_pages_load_nothing_from_elsewhere(call: ServerClient) -> None:
    for path in ("/rightsmanager.asmx", "/rightsmanager.asmx?op=AcquireLicense", "/", "/x"):
        page = html.fromstring(call("GET", path).body)
        assert page.xpath("//script | //img | //style | //@style") == []
        (style,) = page.xpath("//link[@rel='stylesheet']/@href")
        assert urlsplit(style)[:2] == ("", "")
        assert call("GET", urljoin(path, style)).headers["Content-Type"].startswith("text/css")


def test_the_pages_allow_the_browser_nothing_but_their_own_files(call: ServerClient) -> None:
    for path in ("/rightsmanager.asmx", "/explain", "/", "/x"):
        headers = call("GET", path).headers
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_a_static_file_may_be_kept_and_others_are_not_found(call: ServerClient) -> None:
    style = call("GET", "/static/rightsmanager.css")
    assert "immutable" in style.headers["Cache-Control"]
    assert call("GET", "/static/vendor/htmx.LICENSE.txt").status == 200
    for name in ("none.css", "../pages.py", "%2e%2e/pages.py", ""):
        assert call("GET", f"/static/{name}").status == 404


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_samples_of_each_operation_are_well_formed_in_both_versions(
    call: ServerClient, name: str
) -> None:
    page = html.fromstring(call("GET", f"/svc/RightsManager.asmx?op={name}").body)
    messages = [pre.text_content() for pre in page.findall(".//pre")]
    assert len(messages) == 4
    for message in messages:
        head, _, body = message.partition("\n\n")
        root = etree.fromstring(body.encode())
        operation = etree.QName(root[0][0]).localname
        assert operation == (name + "Response" if head.startswith("HTTP/1.1 200") else name)
    assert f'SOAPAction: "http://schemas.microsoft.com/DRM/2007/03/protocols/{name}"' in messages[0]
    assert f'action="http://schemas.microsoft.com/DRM/2007/03/protocols/{name}"' in messages[2]


def test_the_samples_are_for_this_address(call: ServerClient) -> None:
    page = call("GET", "/svc/RightsManager.asmx?op=acquirelicense", HTTP_HOST="drm.example:81")
    assert b"POST /svc/RightsManager.asmx HTTP/1.1\nHost: drm.example:81\n" in page.body


def test_an_unknown_operation_is_not_found(call: ServerClient) -> None:
    assert call("GET", "/rightsmanager.asmx?op=Nothing").status == 404


def test_the_query_of_a_licence_url_shows_the_list(call: ServerClient) -> None:
    page = call("GET", "/rightsmanager.asmx?cfg=(persist:false,sl:2000)")
    assert (page.status, b"?op=AcquireLicense" in page.body) == (200, True)


@pytest.mark.parametrize("query", ["wsdl", "WSDL", "singleWsdl", "wsdl=", "wsdl&x"])
def test_the_wsdl_has_the_address_it_was_asked_at(call: ServerClient, query: str) -> None:
    answer = call("GET", f"/svc/RightsManager.asmx?{query}", HTTP_HOST="drm.example:81")
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    root = etree.fromstring(answer.body)
    assert {port.get("location") for port in root.findall(".//{*}address")} == {
        "http://drm.example:81/svc/RightsManager.asmx"
    }


def test_the_wsdl_has_the_public_address_where_one_is_configured(calling: Calling) -> None:
    public = "https://drm.example/a&b/rightsmanager.asmx"
    call = calling(RouterSettings(addressing=Addressing(public)))
    root = etree.fromstring(call("GET", "/rightsmanager.asmx?wsdl").body)
    assert {port.get("location") for port in root.findall(".//{*}address")} == {public}


@pytest.mark.parametrize("query", ["disco", "DISCO", "disco="])
def test_discovery_names_the_wsdl_and_both_bindings(call: ServerClient, query: str) -> None:
    answer = call("GET", f"/svc/RightsManager.asmx?{query}", HTTP_HOST="drm.example:81")
    url = "http://drm.example:81/svc/RightsManager.asmx"
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    root = etree.fromstring(answer.body)
    assert root.tag == "{http://schemas.xmlsoap.org/disco/}discovery"
    contract, *bindings = root
    assert (contract.get("ref"), contract.get("docRef")) == (f"{url}?wsdl", url)
    assert [each.get("binding") for each in bindings] == [
        "tns:RightsManagerSoap",
        "tns:RightsManagerSoap12",
    ]
    assert {each.get("address") for each in bindings} == {url}
    page = html.fromstring(call("GET", "/svc/RightsManager.asmx").body)
    assert "?disco" in page.xpath("//a/@href")


def test_profiles_are_called_profiles(call: ServerClient) -> None:
    for name, operation in OPERATIONS.items():
        text = html.fromstring(call("GET", f"/x/rightsmanager.asmx?op={name}").body).text_content()
        assert ("do not take it for Microsoft's wire" in text) == bool(operation.profile)
    row = html.fromstring(call("GET", "/rightsmanager.asmx").body).xpath("//tr[td/a='JoinDomain']")
    assert "profile" in row[0].text_content().lower()


def test_the_root_leads_to_the_service(call: ServerClient) -> None:
    page = html.fromstring(call("GET", "/", HTTP_HOST="drm.example:81").body)
    (link,) = page.xpath("//main//a[starts-with(., 'http')]")
    assert link.get("href") == "./rightsmanager.asmx"
    assert link.text_content() == "http://drm.example:81/rightsmanager.asmx"


def test_the_root_names_the_public_address(calling: Calling) -> None:
    for public in ("https://drm.example/a/rightsmanager.asmx", "https://drm.example/a"):
        call = calling(RouterSettings(addressing=Addressing(public)))
        page = html.fromstring(call("GET", "/").body)
        (text,) = page.xpath("//main//a[starts-with(., 'http')]")
        assert text.text_content() == "https://drm.example/a/rightsmanager.asmx"


def test_a_header_may_name_a_page_for_people(call: ServerClient) -> None:
    page = call("GET", "/getrights.html", HTTP_HOST="drm.example:81")
    assert page.status == 200
    assert b"LA_URL" in page.body
