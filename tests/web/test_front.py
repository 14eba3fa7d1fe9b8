from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from structlog.testing import capture_logs

from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.protocol.wire import PROTOCOLS as P
from rightsmanager.protocol.wire import Kid
from rightsmanager.web.router import RouterSettings
from tests.web.conftest import PUBLIC_FILES

if TYPE_CHECKING:
    from rightsmanager.operations.request import Request
    from tests.web.conftest import Calling, ServerClient, Written


SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


@pytest.mark.parametrize(
    "path",
    [
        "/rightsmanager.asmx",
        "/service/rightsmanager.asmx",
        "/playready/RightsManager.asmx",
        "/directtaps/svc/pr30/RIGHTSMANAGER.ASMX",
    ],
)
def test_any_path_that_ends_in_the_asmx_is_served(
    call: ServerClient, envelope: Written, path: str
) -> None:
    assert call("POST", path, envelope()).status == 200


def test_a_reply_is_the_operations_bytes_in_an_envelope(
    call: ServerClient, envelope: Written
) -> None:
    answer = call.post(envelope())
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.body.startswith(
        b'<?xml version="1.0" encoding="utf-8"?>'
        b'<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"'
    )
    assert answer.body.endswith(
        b'<soap:Body><AcquireLicenseResponse xmlns="http://schemas.microsoft.com/DRM/2007/03/'
        b'protocols"><AcquireLicenseResult>%d</AcquireLicenseResult></AcquireLicenseResponse>'
        b"</soap:Body></soap:Envelope>" % len(envelope())
    )


@pytest.mark.parametrize("type_", ["text/xml", "application/octet-stream", "", "text/plain; x"])
def test_the_envelope_tells_the_version_whatever_the_content_type(
    call: ServerClient, envelope: Written, type_: str
) -> None:
    answer = call.post(envelope(namespace=SOAP12), CONTENT_TYPE=type_)
    assert answer.headers["Content-Type"] == "application/soap+xml; charset=utf-8"
    assert etree.fromstring(answer.body).tag == f"{{{SOAP12}}}Envelope"


def test_a_browsers_preflight_is_answered(call: ServerClient) -> None:
    answer = call(
        "OPTIONS",
        "/rightsmanager.asmx",
        HTTP_ORIGIN="https://player.example",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="content-type,x-token",
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert (
        answer.headers["Access-Control-Allow-Headers"]
        == "content-type, soapaction, authorization, content-type,x-token"
    )
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
    assert answer.headers["Access-Control-Max-Age"] == "86400"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/rightsmanager.asmx", b"", 500),
        ("POST", "/rightsmanager.asmx", b"x" * 5000, 413),
        ("GET", "/rightsmanager.asmx", b"", 200),
        ("GET", "/nothing", b"", 404),
        ("POST", "/nothing", b"x", 404),
        ("PUT", "/rightsmanager.asmx", b"", 405),
        ("DELETE", "/", b"", 405),
    ],
)
def test_every_answer_has_cross_origin_headers(
    call: ServerClient, method: str, path: str, body: bytes, status: int
) -> None:
    answer = call(method, path, body)
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_another_method_is_refused_with_the_allowed_ones(call: ServerClient) -> None:
    assert call("PUT", "/rightsmanager.asmx").headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert call("POST", "/").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_head_is_get_without_the_body(call: ServerClient) -> None:
    get = call("GET", "/rightsmanager.asmx", HTTP_X_REQUEST_ID="same")
    head = call("HEAD", "/rightsmanager.asmx", HTTP_X_REQUEST_ID="same")
    assert head.headers == get.headers
    assert head.body == b""


@pytest.mark.parametrize("path", ["/api", "/api/v1/domains", "/console", "/console/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_answers_to_operators_have_no_cross_origin_headers(
    call: ServerClient, method: str, path: str
) -> None:
    answer = call(method, path, HTTP_ORIGIN="https://evil.test")
    assert answer.status == 404
    assert not any(name.startswith("Access-Control") for name in answer.headers)
    assert call(method, "/apis").headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/rightsmanager.asmx"), ("OPTIONS", "/x"), ("POST", "/rightsmanager.asmx")],
)
def test_each_answer_names_its_request(call: ServerClient, method: str, path: str) -> None:
    def named(given: str) -> str:
        return call(method, path, HTTP_X_REQUEST_ID=given).headers["X-Request-Id"]

    assert named("3f2504e0-4f89:a/b=@1") == "3f2504e0-4f89:a/b=@1"
    assert named("a" * 128) == "a" * 128
    made = {named(given) for given in ("", "a" * 129, "a b", "<x>", "a,b", "\u00e4")}
    assert len(made) == 6
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in made)


def test_a_call_is_one_line_in_the_log_without_its_body(
    calling: Calling, envelope: Written
) -> None:
    with capture_logs() as lines:
        answer = calling().post(envelope(inner="secret"))
    (line,) = lines
    assert isinstance(line.pop("ms"), float)
    assert line == {
        "event": "call",
        "log_level": "info",
        "request_id": answer.headers["X-Request-Id"],
        "operation": "AcquireLicense",
        "status": "ok",
        "remote": "192.0.2.7",
        "bytes_in": len(envelope(inner="secret")),
        "bytes_out": len(answer.body),
    }


def test_a_refused_call_is_logged_with_its_status_code(calling: Calling, envelope: Written) -> None:
    with capture_logs() as lines:
        calling().post(envelope("LeaveDomain"))
    assert [(line["operation"], line["status"], line["reason"]) for line in lines] == [
        ("LeaveDomain", "0x8004c604", "the account is full")
    ]


def test_a_call_is_logged_with_device_kids_and_masked_query(
    calling: Calling, envelope: Written
) -> None:
    def answer(request: Request) -> bytes:
        request.progress.device = "the device"
        request.progress.kids = (Kid(bytes(16)),)
        raise ServiceSpecific("refused later")

    call = calling(more={"JoinDomain": answer})
    with capture_logs() as lines:
        call("POST", "/rightsmanager.asmx?cfg=(contentkey:abc,sl:1)", envelope("JoinDomain"))
    (line,) = lines
    assert line["device"] == "the device"
    assert line["kids"] == ["00000000-0000-0000-0000-000000000000"]
    assert line["query"] == "cfg=(contentkey:***,sl:1)"
    assert line["reason"] == "refused later"


def test_two_failures_of_a_kind_have_ids_of_their_own(calling: Calling, envelope: Written) -> None:
    refusal = InternalError("the store failed")

    def fail(_request: object) -> bytes:
        raise refusal from OSError("disk")

    call = calling(more={"JoinDomain": fail})
    with capture_logs() as lines:
        answers = [call.post(envelope("JoinDomain")).body for _ in range(2)]
    incidents = [line for line in lines if line["event"] == "incident"]
    assert len({line["incident"] for line in incidents}) == 2
    assert {line["reason"] for line in incidents} == {"the store failed"}
    for answer, line in zip(answers, incidents, strict=True):
        assert f"the store failed (incident {line['incident']})".encode() in answer


def test_a_surprise_is_an_internal_error_whose_id_the_log_has(
    calling: Calling, envelope: Written
) -> None:
    def fail(_request: object) -> bytes:
        raise KeyError("not for the client\nSELECT key")

    with capture_logs() as lines:
        answer = calling(more={"JoinDomain": fail}).post(envelope("JoinDomain"))
    assert (answer.status, answer.code) == (500, "0x8004c600")
    assert lines[0]["error"] == "KeyError"
    assert lines[0]["incident"].encode() in answer.body
    assert b"not for the client" not in answer.body
    assert any("fail" in frame for frame in lines[0]["frames"])


def test_a_service_that_answers_no_bytes_is_an_internal_error(
    calling: Calling, envelope: Written
) -> None:
    call = calling(more={"JoinDomain": lambda _request: "text"})
    answer = call.post(envelope("JoinDomain"))
    assert (answer.status, answer.code) == (500, "0x8004c600")


def test_the_next_call_is_served_after_any_refusal(call: ServerClient, envelope: Written) -> None:
    for bad in (b"", b"<", b"x" * 5000, envelope("Nothing")):
        assert call.post(bad).status >= 400
        assert call.post(envelope()).status == 200


def test_the_limit_counts_the_last_byte(calling: Calling, envelope: Written) -> None:
    body = envelope()
    assert calling(RouterSettings(max_body=len(body))).post(body).status == 200
    answer = calling(RouterSettings(max_body=len(body) - 1)).post(body)
    assert (answer.status, answer.code) == (413, "0x8004c601")
    assert str(len(body) - 1).encode() in answer.body


def test_an_operation_may_have_a_limit_of_its_own(calling: Calling, envelope: Written) -> None:
    body = envelope()
    settings = RouterSettings(max_body=len(body) - 1, max_bodies={"AcquireLicense": len(body)})
    call = calling(settings)
    assert call.post(body, HTTP_SOAPACTION=f'"{P}/AcquireLicense"').status == 200
    assert call.post(body).status == 413
    assert call.post(body, HTTP_SOAPACTION=f'"{P}/LeaveDomain"').status == 413
    assert call.post(body + b" ", HTTP_SOAPACTION=f'"{P}/AcquireLicense"').status == 413
    other = envelope("LeaveDomain").ljust(len(body))
    answer = call.post(other, HTTP_SOAPACTION=f'"{P}/AcquireLicense"')
    assert b"the SOAPAction names AcquireLicense" in answer.body


def test_public_files_are_served(call: ServerClient) -> None:
    for name, data in PUBLIC_FILES.items():
        answer = call("GET", f"/public/{name}")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert call("HEAD", f"/public/{name}").headers["Content-Length"] == str(len(data))


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/tls.pem", "/wmrmserver.key", "/ROOT.PUB", "/root.pub/", "/./root.pub"),
        *("/../keyring/root.key", "/..", "//root.pub", "/root.pub\0", "/%2e%2e/root.key"),
    ],
)
def test_nothing_else_of_the_data_folder_is_served(call: ServerClient, name: str) -> None:
    assert call("GET", f"/public{name}").status == 404


@pytest.mark.parametrize("length", [0, 5000])
def test_a_fault_names_the_query_without_its_key(
    call: ServerClient, envelope: Written, length: int
) -> None:
    """Also where the body is too long to be read."""
    query = "cfg=(sl:150,contentkey:EjQSNBI0EjQSNBI0EjQSNw==)"
    answer = call("POST", f"/rightsmanager.asmx?{query}", envelope("LeaveDomain") + b" " * length)
    assert answer.status == (413 if length else 500)
    actor = etree.fromstring(answer.body).findtext(".//faultactor")
    assert actor == "http://127.0.0.1/rightsmanager.asmx?cfg=(sl:150,contentkey:***)"
