"""Hostile requests to a server: each gets a fault, and the worker survives."""

from __future__ import annotations

import gzip
import socket
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from rightsmanager.settings import Settings
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
ENVELOPE = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
END = b"</e:Body></e:Envelope>"
INVALID = {"0x8004c601"}


@pytest.fixture(scope="module")
def alone(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with one worker, which gets every request."""
    return start(tmp_path_factory.mktemp("alone") / "data")


@pytest.fixture(scope="module")
def visitor(alone: Server, enrol: Enrol) -> Client:
    return enrol(alone.data)


def altered(good: bytes) -> dict[str, bytes]:
    """Return variants of a valid challenge, each with one defect."""

    def swap(old: str, new: str, count: int = 1) -> bytes:
        assert old.encode() in good
        return good.replace(old.encode(), new.encode(), count)

    def value_of(name: str, new: str) -> bytes:
        begin = good.index(f"<{name}>".encode()) + len(name) + 2
        return good[:begin] + new.encode() + good[good.index(f"</{name}>".encode()) :]

    entities = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    declaration = '<?xml version="1.0" encoding="utf-8"?>'
    short = b64encode(bytes(127)).decode()
    return {
        "empty": b"",
        "blanks": b" \r\n" * 100,
        "a NUL": b"\0",
        "NULs": bytes(100_000),
        "NUL inside": swap("<LicenseNonce>", "<LicenseNonce>\0"),
        "NUL by reference": swap("<LicenseNonce>", "<LicenseNonce>&#0;"),
        "no XML": b"cfg=(kid:header)",
        "JSON": b'{"challenge": null}',
        "cut in the middle": good[: len(good) // 2],
        "last byte missing": good[:-1],
        "first byte missing": good[len(declaration) + 1 :],
        "twice": good + good,
        "gzip": gzip.compress(good),
        "half a UTF-16": b"\xff\xfe" + good[:101],
        "bad UTF-8": swap("<ClientTime>", "<ClientTime>").replace(b"WMRMServer", b"WMRM\xff\xfe"),
        "DTD": swap(declaration, declaration + "<!DOCTYPE e:Envelope>"),
        "external DTD": swap(declaration, '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'),
        "entity bomb": swap(declaration, f'<!DOCTYPE a [<!ENTITY a0 "lol">{entities}]>'),
        "external entity": swap(
            declaration, '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        ),
        "undefined entity": swap("<LicenseNonce>", "<LicenseNonce>&x;"),
        "deep nesting": ENVELOPE + b"<a>" * 100_000 + b"</a>" * 100_000 + END,
        "many attributes": ENVELOPE
        + b"<a "
        + b" ".join(b'a%d=""' % n for n in range(9999))
        + b"/>",
        "other envelope": swap("http://schemas.xmlsoap.org/soap/envelope/", "urn:x", 9),
        "no operation": ENVELOPE + END,
        "two operations": ENVELOPE + b"<a/><b/>" + END,
        "unknown operation": swap("<AcquireLicense ", "<AcquireLicence ").replace(
            b"</AcquireLicense>", b"</AcquireLicence>"
        ),
        "other protocol namespace": swap("DRM/2007/03/protocols", "DRM/2008/03/protocols", 9),
        "other messages namespace": swap("protocols/messages", "protocols/message"),
        "no challenge": ENVELOPE
        + b'<AcquireLicense xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"/>'
        + END,
        "no signature": good[: good.index(b"<Signature ")] + good[good.index(b"</Challenge>") :],
        "other Id": swap('Id="SignedData"', 'Id="Signed"'),
        "other Reference": swap("#SignedData", "#Other"),
        "nonce that is not base64": value_of("LicenseNonce", "!!!!"),
        "nonce of 15 bytes": value_of("LicenseNonce", b64encode(bytes(15)).decode()),
        "time that is not a number": value_of("ClientTime", "yesterday"),
        "KID that is not base64": value_of("KID", "@"),
        "digest of another": value_of("DigestValue", b64encode(bytes(32)).decode()),
        "digest of 31 bytes": value_of("DigestValue", b64encode(bytes(31)).decode()),
        "signature of zeros": value_of("SignatureValue", b64encode(bytes(64)).decode()),
        "signature of 63 bytes": value_of("SignatureValue", b64encode(bytes(63)).decode()),
        "public key at infinity": value_of("PublicKey", b64encode(bytes(64)).decode()),
        "public key too short": value_of("PublicKey", "AA=="),
        "wrapped key too short": value_of("CipherValue", short),
        "wrapped key without padding": value_of("CipherValue", "A" * 171),
        "wrapped key of megabytes": value_of("CipherValue", "A" * 1_000_000),
        "other key name": value_of("KeyName", "Someone"),
        "megabyte of text": ENVELOPE + b"x" * 1_000_000 + END,
    }


def test_hostile_requests_leave_the_worker_alive_and_nothing_behind(
    alone: Server, visitor: Client, header_of: HeaderOf
) -> None:
    good = visitor.challenge(header_of(KID))
    assert alone.post(good).status == 200
    worker, issued = alone.workers(), alone.issued()
    requests = altered(visitor.challenge(header_of(KID)))
    assert len(requests) > 40
    for name, body in requests.items():
        answer = alone.post(body, Content_Type="text/xml")
        assert (answer.status, answer.code) == (500, "0x8004c601"), name
        assert b"Traceback" not in answer.body
    assert alone.issued() == issued
    assert len(visitor.acquire(alone.url, header_of(KID)).licenses) == 1
    assert alone.workers() == worker


def test_a_body_over_the_limit_is_refused_unread(alone: Server) -> None:
    most = Settings().server.max_body
    head = b"POST /rightsmanager.asmx HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", alone.port), timeout=30) as peer:
        peer.sendall(head % (most + 1))
        answer = b""
        while not answer.endswith(b"Envelope>"):
            answer += peer.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"<StatusCode>0x8004c601</StatusCode>" in answer
    assert alone.post(bytes(most)).status == 500


@pytest.mark.parametrize(
    "type_", ["image/png", "multipart/related; boundary=x", ";;;", "text/xml; charset=ebcdic", "\t"]
)
def test_any_content_type_is_accepted(
    alone: Server, visitor: Client, header_of: HeaderOf, type_: str
) -> None:
    assert alone.post(visitor.challenge(header_of(KID)), Content_Type=type_).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_another_method_is_refused(alone: Server, method: str) -> None:
    answer = alone.call(method, "/rightsmanager.asmx", b"<a/>")
    assert answer.status == 405
    assert b"Traceback" not in answer.body


def test_the_text_of_a_fault_is_escaped(alone: Server) -> None:
    body = b'<a xmlns="&lt;script>]]>&#x1F600;"/>'
    assert etree.fromstring(alone.post(body).body).findtext(".//faultstring")
