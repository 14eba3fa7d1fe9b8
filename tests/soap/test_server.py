from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from rightsmanager import errors
from rightsmanager.errors import InvalidMessage, ProtocolRedirect, Refusal, ServiceSpecific
from rightsmanager.protocol.messages.operations import OPERATIONS, Role

if TYPE_CHECKING:
    from rightsmanager.operations.request import Request
    from tests.soap.conftest import Calling, ServerClient, Written


P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("namespace", [SOAP11, SOAP12])
def test_each_of_the_nine_is_answered_by_its_own_service(
    call: ServerClient, envelope: Written, name: str, namespace: str
) -> None:
    answer = call(envelope(name, namespace))
    assert answer.status == "200 OK"
    root = etree.fromstring(answer.body)
    assert root.tag == f"{{{namespace}}}Envelope"
    assert root[0][0].tag == f"{{{P}}}{name}Response"


def test_the_bytes_of_a_reply_are_spliced_and_nothing_else(
    calling: Calling, envelope: Written
) -> None:
    odd = b"<R  xmlns='urn:x' b=\"1\"\n a='2'><a></a><!--&--><?p?>\xc3\xa4</R >"
    answer = calling({"AcquireLicense": lambda _request: odd})(envelope())
    assert b"<soap:Body>" + odd + b"</soap:Body>" in answer.body


def test_a_service_is_given_the_request_as_it_came(calling: Calling, envelope: Written) -> None:
    seen: list[Request] = []

    def look(request: Request) -> bytes:
        seen.append(request)
        return b"<x/>"

    body = envelope()
    calling({"AcquireLicense": look})(
        body,
        "https://h/a.asmx",
        QUERY_STRING="cfg=(kid:a+b==)",
        REMOTE_ADDR="192.0.2.1",
        CONTENT_TYPE="text/xml",
        HTTP_X_CUSTOM="1",
        SERVER_NAME="own",
    )
    (request,) = seen
    assert request.envelope.text == body
    assert request.envelope.element.tag == f"{{{P}}}AcquireLicense"
    assert (request.url, request.query) == ("https://h/a.asmx", "cfg=(kid:a+b==)")
    assert request.remote == "192.0.2.1"
    assert dict(request.headers) == {
        "content-type": "text/xml",
        "content-length": str(len(body)),
        "x-custom": "1",
    }
    assert len(request.headers) == 3
    assert request.headers.get("authorization") is None


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_whose_role_is_off_is_service_specific(
    calling: Calling, envelope: Written, name: str
) -> None:
    role = OPERATIONS[name].role
    answer = calling(roles=frozenset(Role) - {role})(envelope(name))
    assert answer.code == "0x8004c604"
    assert f"{name} is not served here: the role {role.value} is off".encode() in answer.body


def test_an_operation_without_a_service_is_service_specific(
    calling: Calling, envelope: Written
) -> None:
    answer = calling({"JoinDomain": lambda _request: b"<x/>"})(envelope())
    assert answer.code == "0x8004c604"
    assert b"AcquireLicense is not built yet" in answer.body


@pytest.mark.parametrize(
    "action",
    ["", '""', f'"{P}/AcquireLicense"', f"{P}/AcquireLicense", ' "AcquireLicense" ', "urn:else"],
)
def test_an_action_that_names_no_other_operation_is_served(
    call: ServerClient, envelope: Written, action: str
) -> None:
    assert call(envelope(), HTTP_SOAPACTION=action).status == "200 OK"


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_SOAPACTION": f'"{P}/JoinDomain"'},
        {"HTTP_SOAPACTION": f"{P}/JoinDomain"},
        {"HTTP_SOAPACTION": "JoinDomain"},
        {"CONTENT_TYPE": f'application/soap+xml; charset=utf-8; action="{P}/JoinDomain"'},
        {"CONTENT_TYPE": f"application/soap+xml;ACTION={P}/JoinDomain;charset=utf-8"},
    ],
)
def test_an_action_that_names_another_operation_is_refused(
    call: ServerClient, envelope: Written, headers: dict[str, str]
) -> None:
    answer = call(envelope(namespace=SOAP12), **headers)
    assert answer.code == "0x8004c601"
    assert b"the SOAPAction names JoinDomain, and the Body is AcquireLicense" in answer.body


def _header(namespace: str, attributes: str) -> str:
    return f'<s:Header xmlns:s="{namespace}"><a:Token xmlns:a="urn:a" {attributes}/></s:Header>'


@pytest.mark.parametrize(
    ("namespace", "attributes", "code_path"),
    [
        (SOAP11, 's:mustUnderstand="1"', "faultcode"),
        (SOAP11, f's:mustUnderstand="1" s:actor="{SOAP11[:-9]}actor/next"', "faultcode"),
        (SOAP12, 's:mustUnderstand="true"', "{*}Code/{*}Value"),
        (SOAP12, f's:mustUnderstand="1" s:role="{SOAP12}/role/next"', "{*}Code/{*}Value"),
    ],
)
def test_a_header_that_must_be_understood_has_its_own_fault_code(
    call: ServerClient, envelope: Written, namespace: str, attributes: str, code_path: str
) -> None:
    answer = call(envelope("AcquireLicense", namespace, _header(namespace, attributes)))
    assert answer.status == "500 Internal Server Error"
    assert answer.fault.findtext(code_path) == "soap:MustUnderstand"
    assert answer.code == "0x8004c601"
    assert b"{urn:a}Token" in answer.body


@pytest.mark.parametrize(
    "attributes", ["", 's:mustUnderstand="0"', 's:mustUnderstand="1" s:actor="urn:b"']
)
def test_any_other_header_is_served(call: ServerClient, envelope: Written, attributes: str) -> None:
    assert call(envelope("AcquireLicense", SOAP11, _header(SOAP11, attributes))).status == "200 OK"


@pytest.mark.parametrize("refusal", errors.REFUSALS.values())
def test_each_refusal_is_a_fault_with_its_status_code(
    calling: Calling, envelope: Written, refusal: type[Refusal]
) -> None:
    def refuse(_request: Request) -> bytes:
        raise refusal("the text")

    answer = calling({"AcquireLicense": refuse})(envelope())
    assert answer.status == "500 Internal Server Error"
    assert answer.code == refusal.status.hex


def test_a_fault_of_soap_1_1_is_written_to_the_byte(calling: Calling, envelope: Written) -> None:
    def refuse(_request: Request) -> bytes:
        raise ProtocolRedirect("a <b> & c", custom_data="<&>", redirect_url="http://x/?a&b")

    answer = calling({"AcquireLicense": refuse})(envelope(), "http://h/a.asmx?<&")
    assert answer.headers == {
        "Content-Type": "text/xml; charset=utf-8",
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "private",
    }
    assert answer.body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>'
        "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>"
        "System.Web.Services.Protocols.SoapException: a &lt;b&gt; &amp; c</faultstring>"
        "<faultactor>http://h/a.asmx?&lt;&amp;</faultactor>"
        "<detail><Exception><StatusCode>0x8004c60d</StatusCode>"
        "<CustomData>&lt;&amp;&gt;</CustomData><RedirectUrl>http://x/?a&amp;b</RedirectUrl>"
        "</Exception></detail></soap:Fault></soap:Body></soap:Envelope>"
    )


def test_a_fault_of_soap_1_2_is_written_to_the_byte(calling: Calling, envelope: Written) -> None:
    def refuse(_request: Request) -> bytes:
        raise ServiceSpecific("text")

    answer = calling({"AcquireLicense": refuse})(envelope(namespace=SOAP12))
    assert answer.headers["Content-Type"] == "application/soap+xml; charset=utf-8"
    assert answer.body.decode().partition("<soap:Body>")[2] == (
        "<soap:Fault><soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code>"
        '<soap:Reason><soap:Text xml:lang="en">'
        "System.Web.Services.Protocols.SoapException: text</soap:Text></soap:Reason>"
        "<soap:Detail><Exception><StatusCode>0x8004c604</StatusCode></Exception></soap:Detail>"
        "</soap:Fault></soap:Body></soap:Envelope>"
    )


@pytest.mark.parametrize(
    ("type_", "namespace"),
    [
        ("", SOAP11),
        ("text/xml", SOAP11),
        ("application/soap+xml; charset=utf-8", SOAP12),
        ("Application/SOAP+XML", SOAP12),
    ],
)
def test_without_an_envelope_the_content_type_tells_the_version(
    call: ServerClient, type_: str, namespace: str
) -> None:
    assert etree.fromstring(call(b"<", CONTENT_TYPE=type_).body).tag == f"{{{namespace}}}Envelope"


@pytest.mark.parametrize("bad", ["\x00", "\x1b[31m", "\ufffe", "\ud800", "\x0b"])
def test_what_xml_cannot_hold_is_replaced_in_texts(
    calling: Calling, envelope: Written, bad: str
) -> None:
    def refuse(_request: Request) -> bytes:
        raise InvalidMessage(f"a{bad}b\ttab", custom_data=f"c{bad}d", redirect_url=bad)

    answer = calling({"AcquireLicense": refuse})(envelope())
    assert answer.code == "0x8004c601"
    text = answer.fault.findtext("faultstring") or ""
    assert "a\ufffd" in text
    assert text.endswith("b\ttab")


def test_texts_have_a_limit(calling: Calling, envelope: Written) -> None:
    def refuse(_request: Request) -> bytes:
        raise InvalidMessage("x" * 100_000, custom_data="y" * 100_000)

    fault = calling({"AcquireLicense": refuse})(envelope()).fault
    assert len(fault.findtext("faultstring") or "") == 2048
    assert len(fault.findtext(".//CustomData") or "") == 65536


def test_an_envelope_in_base64_is_found(call: ServerClient, envelope: Written) -> None:
    assert call(base64.b64encode(envelope())).status == "200 OK"
    answer = call(base64.b64encode(b"<a></a>"))
    assert "expected an element" in (answer.fault.findtext("faultstring") or "")
