"""Replay: a stored request is sent as it was, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.journal.replay import replay
from rightsmanager.store.journal.entries import Entry, Flag, StoredEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
REPLY = f'<s:Envelope xmlns:s="{SOAP}"><s:Body><r xmlns="urn:r"/></s:Body></s:Envelope>'.encode()
FAULT = (
    f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>'
    "System.Web.Services.Protocols.SoapException: no</faultstring><detail><Exception><StatusCode>"
    "0x8004c604</StatusCode></Exception></detail></s:Fault></s:Body></s:Envelope>"
).encode()
STORED = Flag.HAS_REQUEST | Flag.HAS_REPLY
Sent = list[tuple[str, dict[str, str], bytes]]


def stored(flags: Flag = STORED, kind: str = "request") -> StoredEntry:
    entry = Entry(
        id=7,
        kind="act" if kind == "act" else "request",
        at_ms=0,
        request_id="r",
        operation="AcquireLicense",
        status=0,
        url="https://h/a.asmx",
        query="cfg=(sl:150)",
        soap_action='"urn:a"',
        content_type="text/xml",
        user_agent="tv",
        flags=flags,
        bytes_in=99,
    )
    return StoredEntry(entry, b"<request/>" if entry.has_request else b"", REPLY)


def test_a_request_is_sent_as_it_was() -> None:
    sent: Sent = []

    def post(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        sent.append((url, dict(headers), body))
        return REPLY

    replayed = replay(stored(), post)
    headers = {"Content-Type": "text/xml", "SOAPAction": '"urn:a"', "User-Agent": "tv"}
    assert sent == [("https://h/a.asmx?cfg=(sl:150)", headers, b"<request/>")]
    assert replayed.is_alike
    assert (replayed.after.outcome, replayed.after.reason) == ("ok", None)
    replay(stored(), post, "http://other/x.asmx")
    assert sent[1][0] == "http://other/x.asmx?cfg=(sl:150)"


def test_another_outcome_is_not_alike() -> None:
    replayed = replay(stored(), lambda *_: FAULT)
    assert not replayed.is_alike
    assert (replayed.after.outcome, replayed.after.reason) == ("0x8004c604", "no")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (stored(kind="act"), "is an act"),
        (stored(Flag.HAS_REPLY), "has no request body"),
        (stored(Flag.HAS_REPLY | Flag.REQUEST_WITHHELD | Flag.MASKED), "has no request body"),
        (stored(STORED | Flag.REQUEST_CUT), "has the first 10 of 99 bytes only"),
        (stored(STORED | Flag.MASKED), "has a masked query"),
    ],
)
def test_an_inexact_request_is_refused(entry: StoredEntry, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=f"entry 7 cannot be replayed: it {reason}"):
        replay(entry, lambda *_: pytest.fail("it was sent"))


def test_an_answer_that_is_not_soap_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        replay(stored(), lambda *_: b"<html>")
