"""Whatever is posted, the answer is a fault with a status code: never a traceback or a page."""

from __future__ import annotations

import gzip
import io
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rightsmanager.protocol.messages.operations import Role
from rightsmanager.soap.application import build
from rightsmanager.soap.server import SoapServer

if TYPE_CHECKING:
    from tests.web.conftest import ServerClient, Written


_ENVELOPE = b"http://schemas.xmlsoap.org/soap/envelope/"
_P = b"http://schemas.microsoft.com/DRM/2007/03/protocols"
_OPEN = b'<e:Envelope xmlns:e="%s"><e:Body>' % _ENVELOPE
_CLOSE = b"</e:Body></e:Envelope>"
_CALL = b'<AcquireLicense xmlns="%s"/>' % _P
_NOT_WELL_FORMED = "is not well-formed XML"

HOSTILE = {
    "empty": (b"", "the request has an empty body"),
    "blank": (b" \r\n\t", "the request has an empty body"),
    "no XML": (b"cfg=1", _NOT_WELL_FORMED),
    "cut": (_OPEN + _CALL, _NOT_WELL_FORMED),
    "bare Body": (b"<Body/>", "the root element is Body"),
    "foreign Envelope": (b'<Envelope xmlns="urn:x"/>', "the root element is {urn:x}Envelope"),
    "no Body": (b'<e:Envelope xmlns:e="%s"/>' % _ENVELOPE, "0 Body elements"),
    "two Bodies": (_OPEN + b"</e:Body><e:Body>" + _CLOSE, "2 Body elements"),
    "empty Body": (_OPEN + _CLOSE, "the Body has 0 elements"),
    "two operations": (_OPEN + _CALL + _CALL + _CLOSE, "the Body has 2 elements"),
    "unknown operation": (
        _OPEN + b'<Acquire xmlns="%s"/>' % _P + _CLOSE,
        "there is no operation Acquire, expected one of AcquireLicense, AcknowledgeLicense",
    ),
    "foreign operation": (
        _OPEN + b'<AcquireLicense xmlns="urn:x"/>' + _CLOSE,
        "AcquireLicense is in the namespace 'urn:x', expected 'http://schemas.microsoft.com",
    ),
    "operation without namespace": (_OPEN + b"<AcquireLicense/>" + _CLOSE, "in the namespace ''"),
    "bad UTF-8": (_OPEN + _CALL + b"<!-- \xff\xfe -->" + _CLOSE, _NOT_WELL_FORMED),
    "Latin-1": ((_OPEN + b"<x>\xe4</x>" + _CLOSE), _NOT_WELL_FORMED),
    "half of UTF-16": (b"\xff\xfe<", "is not the UTF-16 its first bytes say"),
    "lone surrogate": (b"\xff\xfe<\x00\x00\xd8", "is not the UTF-16 its first bytes say"),
    "UTF-32": ((_OPEN + _CALL + _CLOSE).decode().encode("utf-32"), _NOT_WELL_FORMED),
    "gzip": (gzip.compress(_OPEN + _CALL + _CLOSE), "Content-Encoding is 'gzip', expected none"),
    "NUL": (_OPEN + b"\x00" + _CALL + _CLOSE, _NOT_WELL_FORMED),
    "control characters": (_OPEN + b"<x>\x01\x1b</x>" + _CLOSE, _NOT_WELL_FORMED),
    "control character reference": (_OPEN + b"<x>&#1;</x>" + _CLOSE, _NOT_WELL_FORMED),
    "DTD": (b"<!DOCTYPE e:Envelope>" + _OPEN + _CALL + _CLOSE, "a document type declaration"),
    "DTD behind a declaration": (
        b'<?xml version="1.0"?>\n<!-- x --><!DOCTYPE x [<!ENTITY a "b">]>' + _OPEN + _CLOSE,
        "a document type declaration",
    ),
    "external DTD": (
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + _OPEN + _CALL + _CLOSE,
        "a document type declaration",
    ),
    "entity": (_OPEN + b"<x>&lol;</x>" + _CLOSE, _NOT_WELL_FORMED),
    "depth": (_OPEN + b"<a>" * 400 + b"</a>" * 400 + _CLOSE, _NOT_WELL_FORMED),
    "bytes after the end": (_OPEN + _CALL + _CLOSE + b"x", _NOT_WELL_FORMED),
    "zeros": (bytes(1000), _NOT_WELL_FORMED),
}


@pytest.mark.parametrize(("body", "text"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("type_", ["text/xml", "application/soap+xml; charset=utf-8"])
def test_it_is_an_invalid_message_that_says_why(
    call: ServerClient, body: bytes, text: str, type_: str
) -> None:
    answer = call.post(body, CONTENT_TYPE=type_)
    assert (answer.status, answer.code) == (500, "0x8004c601")
    assert text in "".join(etree.fromstring(answer.body).itertext())


@pytest.mark.parametrize(
    "charset", ["utf-7", "utf-16", "ebcdic", '"', "x" * 5000, "\x00", ";" * 99]
)
def test_the_charset_of_the_content_type_does_not_matter(
    call: ServerClient, envelope: Written, charset: str
) -> None:
    assert call.post(envelope(), CONTENT_TYPE=f"text/xml; charset={charset}").status == 200


@pytest.mark.parametrize(
    ("encoding", "status"),
    [("gzip", 500), ("br", 500), ("Deflate", 500), ("x" * 5000, 500), ("identity", 200), ("", 200)],
)
def test_a_content_encoding_is_named_in_the_refusal(
    call: ServerClient, envelope: Written, encoding: str, status: int
) -> None:
    answer = call.post(envelope(), HTTP_CONTENT_ENCODING=encoding)
    assert answer.status == status
    if status != 200:
        assert answer.code == "0x8004c601"
        assert f"Content-Encoding is '{encoding[:32]}'".encode() in answer.body


def test_a_declared_encoding_does_not_matter(call: ServerClient, envelope: Written) -> None:
    for name in (b"utf-16", b"iso-8859-1", b"nonsense"):
        body = b'<?xml version="1.0" encoding="%s"?>' % name + envelope()
        assert call.post(body).status == 200


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8", "utf-16-le", "utf-16-be"])
def test_utf_8_and_utf_16_are_understood_with_and_without_a_mark(
    call: ServerClient, envelope: Written, encoding: str
) -> None:
    assert call.post(envelope().decode().encode(encoding)).status == 200


@cache
def bare_server() -> SoapServer:
    return SoapServer(build({}, frozenset(Role)))


@pytest.mark.parametrize("before", [_OPEN, b"", b"\xff\xfe", b"<!--"])
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused(before: bytes, data: bytes) -> None:
    statuses: list[str] = []
    body = before + data
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    (answer,) = bare_server()(environ, lambda status, _headers: statuses.append(status))
    assert statuses == ["500 Internal Server Error"]
    assert etree.fromstring(answer).findtext(".//StatusCode") == "0x8004c601"


@pytest.mark.parametrize("query", ["op=%00%ff", "op=<script>", "op=", "wsdl=1", "\xff", "a" * 9000])
def test_a_hostile_query_is_a_page_without_it(call: ServerClient, query: str) -> None:
    answer = call("GET", "/rightsmanager.asmx?" + query)
    assert answer.status in {200, 404}
    assert b"<script>" not in answer.body


@pytest.mark.parametrize(
    "host", ['"><script>', "a b", "x" * 300, "a/b", "evil.example\r\nX: y", "é"]
)
def test_a_hostile_host_is_replaced(call: ServerClient, host: str) -> None:
    answer = call("GET", "/rightsmanager.asmx?wsdl", HTTP_HOST=host, SERVER_NAME="own")
    assert b'location="http://own:80/rightsmanager.asmx"' in answer.body


def test_a_hostile_path_is_quoted(call: ServerClient) -> None:
    answer = call("GET", '/"><b>&/\xe9/rightsmanager.asmx?wsdl', HTTP_HOST="h")
    etree.fromstring(answer.body)
    assert b"<b>" not in answer.body
