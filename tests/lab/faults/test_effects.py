"""Each toxic at the operation and in the reply is seen by a device as the refusal it should be."""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.aes import ecb_encrypt
from rightsmanager.device.terms import refuse_unusable
from rightsmanager.errors import (
    DomainRequired,
    InternalError,
    InvalidMessage,
    ProtocolRedirect,
    Refusal,
)
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.lab.faults.injection import Injector
from rightsmanager.protocol.messages.response import parse_fault
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.journal.entries import Filter
from tests.lab.faults.conftest import Asker, World, header_of, new_kid

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.device import OpenedLicense
    from rightsmanager.protocol.formats.wrmheader import Header

PERSISTENT = "cfg=(persist:true)"
ACQUIRE = "http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense"


def play(device: Asker, kid: Kid, header: Header | None = None) -> OpenedLicense:
    """Return a licence that a player would use now."""
    acquired = device.acquire(kid, header=header)
    license_ = next((each for each in acquired.licenses if each.kid == kid), None)
    if license_ is None:
        raise InvalidMessage(f"the reply has no licence for KID {kid.text}")
    refuse_unusable(kid, license_.terms, device.client.now, None)
    return license_


def checked_header(device: Asker, kid: Kid) -> Header:
    """Return a header with the checksum of the KID's content key."""
    key = play(device, kid).content_key
    header = header_of(kid)
    entry = replace(header.kids[0], checksum=ecb_encrypt(key, kid.raw)[:8])
    return replace(header, kids=(entry,))


@pytest.mark.parametrize("query", ["", PERSISTENT])
@pytest.mark.parametrize(
    ("kind", "fields", "refused"),
    [
        ("license-mac", {}, "CMAC"),
        ("wrong-nonce", {}, "LicenseNonce"),
        ("license-kid", {}, "the reply has no licence for KID"),
        ("license-kid", {"other_kid": new_kid().text}, "the reply has no licence for KID"),
        ("content-key", {}, "the server has another key for this KID"),
        ("content-key", {"other_kid": new_kid().text}, "the server has another key"),
        ("license-expired", {}, "expired at"),
        ("license-not-yet-valid", {"by_seconds": 60}, "is good from"),
        ("license-missing", {}, "the reply has no licence for KID"),
        ("foreign-signer", {}, "is not a trust anchor"),
        ("expired-signer", {}, "expired"),
        ("stale-revocation-list", {}, "expected one above 0"),
        ("truncated", {}, "did not answer with SOAP: the answer is not well-formed XML"),
        ("truncated", {"bytes": 0}, "did not answer with SOAP: the answer has an empty body"),
        ("corrupted", {}, "did not answer with SOAP"),
        ("status", {"status": "0x8004c600", "text": "as asked"}, "as asked"),
        ("fault-with-200", {"status": "0x8004c601", "text": "as asked"}, "as asked"),
        ("http-status", {"http_status": 503}, "did not answer with SOAP"),
        ("answer", {"body": b64encode(b"<html/>").decode()}, "did not answer with SOAP"),
        ("answer", {"query": "errorcode=0x8004c065"}, "device certificate revoked"),
    ],
)
def test_a_device_refuses_the_reply_and_takes_the_next(
    world: World, device: Asker, *, kind: str, fields: dict[str, Any], query: str, refused: str
) -> None:
    world.query = query
    kid = new_kid()
    header = checked_header(device, kid)
    fault = world.inject(kind, count=1, **fields)
    with pytest.raises(Refusal) as error:
        play(device, kid, header)
    assert refused in error.value.text
    assert world.used(fault) == 1
    assert play(device, kid, header).kid == kid
    assert world.injected == ["", f"{kind} {fault.id}", ""]


@pytest.mark.parametrize("kind", ["license-mac", "wrong-nonce", "content-key", "license-expired"])
def test_leaves_under_a_root_are_changed_too(world: World, device: Asker, kind: str) -> None:
    root, leaf = new_kid(), new_kid()
    world.query = f"cfg=(kid:{root.base64},isroot:true),(kid:{leaf.base64},rootid:{root.base64})"
    assert len(device.acquire(root, leaf).licenses) == 2
    world.inject(kind, count=1)
    if kind == "license-expired":
        acquired = device.acquire(root, leaf)
        assert {each.terms.state(device.client.now, None).value for each in acquired.licenses} == {
            "expired"
        }
    else:
        with pytest.raises(InvalidMessage):
            device.acquire(root, leaf)


def test_a_leaf_alone_is_changed(world: World, device: Asker) -> None:
    root, leaf = new_kid(), new_kid()
    world.query = f"cfg=(kid:{root.base64},isroot:true,persist:true)"
    stored = device.acquire(root).licenses[0]
    device = replace(device, opening=replace(device.opening, roots={root: stored.content_key}))
    world.query = f"cfg=(kid:{leaf.base64},rootid:{root.base64})"
    whole = device.acquire(leaf).licenses[0]
    world.inject("content-key", count=1)
    other = device.acquire(leaf).licenses[0]
    assert other.content_key == sha256(whole.content_key).digest()[:16]


def test_the_key_of_another_kid_is_its_own(world: World, device: Asker) -> None:
    kid, other = new_kid(), new_kid()
    key = play(device, other).content_key
    world.inject("content-key", other_kid=other.text)
    assert play(device, kid).content_key == key


def test_licences_out_of_order_are_refused(world: World, device: Asker) -> None:
    kids = new_kid(), new_kid()
    fault = world.inject("license-order", count=1)
    assert len(device.acquire(kids[0]).licenses) == 1
    # One licence has no order.
    assert world.used(fault) == 0
    assert world.injected == [""]
    with pytest.raises(InvalidMessage, match="is not the challenge's LicenseNonce plus 0"):
        device.acquire(*kids)
    assert len(device.acquire(*kids).licenses) == 2


@pytest.mark.parametrize(("which", "refused"), [("first", True), ("last", False)])
def test_a_licence_is_missing(world: World, device: Asker, *, which: str, refused: bool) -> None:
    kids = new_kid(), new_kid()
    world.inject("license-missing", which=which)
    if refused:
        with pytest.raises(InvalidMessage, match="LicenseNonce plus 0"):
            device.acquire(*kids)
    else:
        assert [each.kid for each in device.acquire(*kids).licenses] == [kids[0]]


def test_an_older_reply_is_refused(world: World, device: Asker) -> None:
    fault = world.inject("older-reply", count=1)
    assert len(device.acquire(new_kid()).licenses) == 1
    with pytest.raises(InvalidMessage, match="LicenseNonce plus 0"):
        device.acquire(new_kid())
    assert len(device.acquire(new_kid()).licenses) == 1
    assert world.injected == ["", f"older-reply {fault.id}", ""]


def test_a_refused_request_is_not_counted_for_a_toxic_of_licences(
    world: World, device: Asker
) -> None:
    fault = world.inject("license-mac", count=1)
    world.query = "errorcode=0x8004c604"
    with pytest.raises(Refusal):
        device.acquire(new_kid())
    assert world.used(fault) == 0
    world.query = ""
    with pytest.raises(InvalidMessage):
        device.acquire(new_kid())


def test_a_fault_acts_on_its_device_and_kid(world: World, device: Asker) -> None:
    kid = new_kid()
    ours = device.opening.device.chain.leaf.device_id
    world.inject("status", status="0x8004c600", device=ours, kid=kid.text)
    world.inject("status", status="0x8004c601", device="00" * 32)
    assert len(device.acquire(new_kid()).licenses) == 1
    with pytest.raises(InternalError):
        device.acquire(kid)


# --- faults ---------------------------------------------------------------------------------------


def test_a_fault_has_any_code_and_its_details(world: World, device: Asker) -> None:
    world.inject(
        "status",
        status="0x80070005",
        custom_data="<for the client & more>",
        redirect_url="https://elsewhere.test/?a=1&b=2",
    )
    answer = world.ask(ACQUIRE, device.challenge())
    fault = parse_fault(parse_envelope(answer.body))
    assert fault is not None
    assert (answer.status, fault.status) == (500, 0x80070005)
    assert fault.custom_data == "<for the client & more>"
    assert fault.redirect_url == "https://elsewhere.test/?a=1&b=2"


def test_a_fault_names_a_domain(world: World, device: Asker) -> None:
    account = new_kid().text
    world.inject("status", status="DOMAIN_REQUIRED", account=account, friendly_name="Home")
    with pytest.raises(DomainRequired) as refused:
        device.acquire(new_kid())
    domain = refused.value.domain
    assert domain is not None
    defaults = world.server.context.domains.defaults
    assert domain.account_id == Kid.from_text(account).base64
    assert domain.service_id == defaults.service_id.base64
    assert domain.friendly_name == "Home"
    assert domain.url == "http://127.0.0.1:8080/rightsmanager.asmx"


def test_a_redirect_is_a_fault_too(world: World, device: Asker) -> None:
    world.inject("status", status="PROTOCOL_REDIRECT", redirect_url="http://127.0.0.1:1/a.asmx")
    with pytest.raises(ProtocolRedirect) as refused:
        device.acquire(new_kid())
    assert refused.value.redirect_url == "http://127.0.0.1:1/a.asmx"


def test_nothing_is_recorded_of_a_refused_request(world: World, device: Asker) -> None:
    kid = new_kid()
    world.inject("status", status="0x8004c600", count=1)
    world.inject("http-status", count=1)
    for _ in range(2):
        with pytest.raises(Refusal):
            device.acquire(kid)
    with world.server.store.reading() as found:
        assert [each for each in found.licenses.find_all() if each.kid == kid] == []


def test_a_signer_without_issuer_is_an_error(world: World, device: Asker, tmp_path: Path) -> None:
    bare = Injector(world.data, KeyFiles(tmp_path, None))
    broken = replace(world, injector=bare)
    fault = broken.inject("expired-signer")
    with pytest.raises(InternalError, match="has no key of license-signer-issuer"):
        replace(device, world=broken).acquire(new_kid())
    assert broken.used(fault) == 0


# --- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "headers", "body"),
    [
        ({}, 503, {"Content-Type": "text/plain; charset=utf-8"}, b""),
        ({"http_status": 429, "retry_after": 7}, 429, {"Retry-After": "7"}, b""),
        ({"http_status": 307, "location": "/other.asmx"}, 307, {"Location": "/other.asmx"}, b""),
        ({"http_status": 404, "body": "gone"}, 404, {"Content-Length": "4"}, b"gone"),
        ({"http_status": 204, "body": "none"}, 204, {}, b""),
        ({"http_status": 599}, 599, {}, b""),
    ],
)
def test_an_http_status_is_answered(
    world: World,
    device: Asker,
    *,
    fields: dict[str, Any],
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    world.inject("http-status", **fields)
    answer = world.ask(ACQUIRE, device.challenge())
    assert (answer.status, answer.body) == (status, body)
    assert headers.items() <= answer.headers.items()
    assert "X-Request-Id" in answer.headers
    assert ("Content-Length" in answer.headers) is (status != 204)


@pytest.mark.parametrize(("given", "left"), [(100, 100), (10**6, None), (None, 0.5)])
def test_a_truncated_reply_says_its_length(
    world: World, device: Asker, given: int | None, left: float | None
) -> None:
    body = device.challenge()
    whole = len(world.ask(ACQUIRE, body).body)
    fields: dict[str, Any] = {} if given is None else {"bytes": given}
    world.inject("truncated", **fields)
    answer = world.ask(ACQUIRE, body)
    expected = whole if left is None else whole // 2 if left == 0.5 else left
    assert (answer.status, len(answer.body)) == (200, expected)
    assert answer.headers["Content-Length"] == str(expected)


def test_corruption_follows_from_its_seed(world: World, device: Asker) -> None:
    body = device.challenge()
    whole = world.ask(ACQUIRE, body).body
    found = []
    for seed in (1, 1, 2):
        world.faults.clear()
        world.inject("corrupted", seed=seed, bytes=3)
        answer = world.ask(ACQUIRE, body).body
        found.append([at for at, byte in enumerate(answer) if byte >= 0xF8])
        assert len(answer) == len(whole)
    assert found[0] == found[1] != found[2]
    assert [len(each) for each in found] == [3, 3, 3]


def test_another_content_type_is_named(world: World, device: Asker) -> None:
    world.inject("content-type")
    answer = world.ask(ACQUIRE, device.challenge())
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
    assert b"<License>" in answer.body


@pytest.mark.parametrize("query", ["", PERSISTENT])
def test_a_prefixed_reply_is_read_alike(world: World, device: Asker, query: str) -> None:
    world.query = query
    world.inject("prefixed-xml")
    assert len(device.acquire(new_kid()).licenses) == 1
    body = world.ask(ACQUIRE, device.challenge()).body
    assert body.startswith(b'<?xml version="1.0" encoding="utf-8"?><SOAP-ENV:Envelope xmlns:SOAP-')
    assert b"<p:AcquireLicenseResponse xmlns:p=" in body
    assert b"</m:Response></p:AcquireLicenseResult></p:AcquireLicenseResponse></SOAP-" in body
    assert b"soap:" not in body


@pytest.mark.parametrize("content_type", ["text/xml", "application/soap+xml"])
def test_a_prefixed_fault_is_read_alike(world: World, device: Asker, content_type: str) -> None:
    world.inject("prefixed-xml")
    world.inject("status", status="0x8004c604", text="soap:Server stays")
    body = device.challenge()
    if content_type != "text/xml":
        body = body.replace(
            b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"
        )
    answer = world.ask(ACQUIRE, body, CONTENT_TYPE=content_type)
    fault = parse_fault(parse_envelope(answer.body))
    assert fault is not None
    assert fault.status == 0x8004C604
    assert fault.text.endswith("soap:Server stays")
    assert b"<soap:" not in answer.body


def test_a_body_is_answered_as_it_is(world: World, device: Asker) -> None:
    body = b64encode(b"\0\xff").decode()
    world.inject("answer", body=body, http_status=201, content_type="a/b")
    answer = world.ask(ACQUIRE, device.challenge())
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (201, b"\0\xff", "a/b")


def test_a_script_is_answered_in_its_order(world: World, device: Asker) -> None:
    for query in ("errorcode=0x8004c600", "errorcode=0x8004c601", PERSISTENT):
        world.inject("answer", query=query, count=1, script="a")
    for status in (0x8004C600, 0x8004C601):
        with pytest.raises(Refusal) as refused:
            device.acquire(new_kid())
        assert refused.value.status == status
    assert device.acquire(new_kid()).licenses[0].persistent
    assert not device.acquire(new_kid()).licenses[0].persistent


def test_faults_at_several_places_act_at_once(world: World, device: Asker) -> None:
    first = world.inject("status", status="0x8004c600")
    second = world.inject("content-type", content_type="text/plain")
    answer = world.ask(ACQUIRE, device.challenge())
    assert (answer.status, answer.headers["Content-Type"]) == (500, "text/plain")
    assert world.injected == [f"status {first.id}; content-type {second.id}"]


def test_what_names_no_operation_is_left_alone(world: World) -> None:
    fault = world.inject("cut-before")
    assert world.ask(ACQUIRE, b"<a/>").status == 500
    assert world.ask(ACQUIRE, b"", REQUEST_METHOD="GET", PATH_INFO="/").status == 200
    assert world.used(fault) == 0


def test_the_journal_knows_who_asked(world: World, device: Asker) -> None:
    """Also of a request whose operation did not run."""
    kid = new_kid()
    ours = device.opening.device.chain.leaf.device_id
    marks = []
    for kind, fields in (
        ("status", {"status": "0x8004c600"}),
        ("cut-before", {}),
        ("truncated", {}),
    ):
        fault = world.inject(kind, count=1, **fields)
        marks.append(f"{kind} {fault.id}")
        with pytest.raises((Refusal, ConnectionResetError)):
            device.acquire(kid)
    deadline = time.monotonic() + 30
    while len(entries := world.server.journal.find(Filter(device=ours, kid=kid)).entries) < 3:
        assert time.monotonic() < deadline
        world.server.journal.settle()
    assert [each.injected for each in entries] == marks[::-1]
    assert [each.outcome for each in entries] == ["ok", "0x8004c600", "0x8004c600"]
