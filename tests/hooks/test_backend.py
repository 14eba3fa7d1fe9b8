"""The HTTP hook: what it sends, which answers count, and failures of its back end."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.app import _backend_hooks
from rightsmanager.crypto.random import seeded_random, system_random
from rightsmanager.errors import (
    InternalError,
    InvalidMessage,
    ProtocolRedirect,
    ServiceSpecific,
)
from rightsmanager.hooks.backend.answers import read_answer
from rightsmanager.hooks.backend.breaker import CallOutcome, CircuitBreaker
from rightsmanager.hooks.backend.client import MAX_ANSWER, BackEndOptions
from rightsmanager.hooks.backend.client import BackEnd as Client
from rightsmanager.hooks.backend.hook import make_backend_hooks
from rightsmanager.hooks.backend.signing import read_secret, sign_request
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.choice import Choice, ChosenKey, Dropped
from rightsmanager.hooks.facts import Event, Facts, Progress
from rightsmanager.policy.grants import Grant, OutputLevels, Policy
from rightsmanager.protocol.wire import AccountId, Kid
from rightsmanager.server import Runtime
from rightsmanager.settings import HooksSettings, Settings
from tests.docs.documents import ROOT, blocks
from tests.hooks.backends import (
    ALLOW,
    SECRET,
    BackEnd,
    Behaviour,
    Call,
    answering,
    find_free_port,
    running,
    sign,
)
from tests.hooks.openapi import ANSWERS, errors_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1790000000
KIDS = (Kid(b"first kid of all"), Kid(b"second kid......"))
GRANTS = tuple(Grant(kid, None, Policy()) for kid in KIDS)
FACTS = Facts("AcquireLicense", "http://x/", "token=abc&token=d%20e", {}, "127.0.0.1")


@pytest.fixture
def back_end() -> Iterator[BackEnd]:
    with running() as back_end:
        yield back_end


def client_of(url: str, **changes: Any) -> Client:  # noqa: ANN401 -- fields of BackEndOptions
    options = replace(BackEndOptions(url, SECRET, answer_seconds=5, max_failures=100), **changes)
    return Client(options, system_random, lambda: NOW)


def decide(client: Client, grants: tuple[Grant, ...] = GRANTS) -> Choice | None:
    choose = make_backend_hooks(client).choose
    assert choose is not None
    return choose(FACTS, grants)


# --- requests ---------------------------------------------------------------------------------


def test_a_call_is_signed_over_time_nonce_and_body(back_end: BackEnd) -> None:
    client = client_of(back_end.url)
    assert decide(client) == Choice()
    decide(client)
    first, second = back_end.calls
    assert first.path == "/base/decide"
    nonces = [call.headers["RightsManager-Nonce"] for call in back_end.calls]
    assert nonces[0] != nonces[1]
    for call, nonce in zip(back_end.calls, nonces, strict=True):
        expected = sign(b"request", str(NOW).encode(), nonce.encode(), call.body)
        assert call.headers["RightsManager-Signature"] == expected
        assert call.headers["RightsManager-Timestamp"] == str(NOW)
    assert first.document == second.document
    assert first.document["query_values"] == {"token": ["abc", "d e"]}
    # One connection serves all calls.
    assert back_end.connections == 1


def test_the_documented_example_of_a_signature_is_right() -> None:
    text = (ROOT / "docs" / "hooks.md").read_text()
    signature = sign_request(b"a secret of thirty-two characters", NOW, "00" * 16, b"{}")
    assert signature in text


def test_only_the_named_operations_are_asked_about(back_end: BackEnd) -> None:
    choose = make_backend_hooks(client_of(back_end.url), {"JoinDomain"}).choose
    assert choose is not None
    assert choose(FACTS, GRANTS) is None
    assert choose(replace(FACTS, operation="JoinDomain"), ()) == Choice()
    assert [call.document["operation"] for call in back_end.calls] == ["JoinDomain"]


def test_an_answer_may_come_in_chunks(back_end: BackEnd) -> None:
    def answer(call: Call) -> None:
        body = b'{"decision": "allow", "custom_data": "said"}'
        signature = sign(b"answer", call.headers["RightsManager-Nonce"].encode(), body)
        head = f"HTTP/1.1 200 OK\r\nRightsManager-Signature: {signature}\r\n"
        call.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for part in (body[:5], body[5:]):
            call.send(b"%x\r\n%s\r\n" % (len(part), part))
        call.send(b"0\r\n\r\n")

    back_end.behaviours = [answer, answer]
    client = client_of(back_end.url)
    assert decide(client) == decide(client) == Choice(custom_data="said")
    assert back_end.connections == 1


def test_any_text_can_be_sent(back_end: BackEnd) -> None:
    choose = make_backend_hooks(client_of(back_end.url)).choose
    assert choose is not None
    # Lone surrogates are no text in UTF-8.
    choose(replace(FACTS, custom_data="ä\N{SNOWMAN}\udc80", query="%ff=%00&&=;"), GRANTS)
    (call,) = back_end.calls
    assert call.document["custom_data"] == "ä\N{SNOWMAN}\udc80"


def test_keys_of_the_request_are_not_sent(back_end: BackEnd) -> None:
    secret = bytes(range(16))
    grants = (replace(GRANTS[0], content_key=secret), replace(GRANTS[1], key_seed=secret * 2))
    decide(client_of(back_end.url), grants)
    (call,) = back_end.calls
    assert "key" not in {name for each in call.document["licenses"] for name in each}
    assert set(call.document["licenses"][0]["policy"]) == {each.name for each in fields(Policy)}


def test_events_are_posted_without_a_signed_answer(back_end: BackEnd) -> None:
    back_end.behaviours = [lambda call: call.reply(b"", signature="none")]
    on_event = make_backend_hooks(client_of(back_end.url), sends_events=True).on_event
    assert on_event is not None
    on_event(Event("JoinDomain", "a device", KIDS[:1], ServiceSpecific("no")))
    (call,) = back_end.calls
    assert call.path == "/base/event"
    assert call.document == {
        "version": 1,
        "operation": "JoinDomain",
        "request_id": "",
        "device": "a device",
        "kids": [KIDS[0].text],
        "refusal": {"status": "0x8004c604", "text": "no"},
    }
    back_end.behaviours = [lambda call: call.reply(b"", status="500 No")]
    with pytest.raises(InternalError, match="back end answered HTTP 500, expected 200"):
        on_event(Event("JoinDomain"))


# --- failures ---------------------------------------------------------------------------------


def hang(call: Call) -> None:
    call.stopping.wait(30)


def drip(call: Call) -> None:
    """Send a byte now and then, each before its timeout."""
    call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not call.stopping.wait(0.05):
        call.send(b" ")


def close_early(call: Call) -> None:
    call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    raise OSError


def close_at_once(_call: Call) -> None:
    raise OSError


def redirect(call: Call) -> None:
    call.reply(b"", status="307 There", headers="Location: /base/other\r\n")


def another_nonce(call: Call) -> None:
    body = b'{"decision": "allow"}'
    call.reply(body, sign(b"answer", b"00" * 16, body))


def huge(call: Call) -> None:
    call.reply(b" " * (MAX_ANSWER + 1))


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "hangs": (hang, r"did not answer within 0\.2 s"),
    "drips": (drip, r"did not answer within 0\.2 s"),
    "closes": (close_at_once, "closed the connection before its answer"),
    "closes early": (close_early, "closed the connection before its answer"),
    "redirects": (redirect, "answered HTTP 307, expected 200"),
    "fails": (lambda call: call.reply(b"", status="500 No"), "answered HTTP 500, expected 200"),
    "has nothing": (lambda call: call.reply(b"", status="204 No"), "answered HTTP 204, expected"),
    "speaks no HTTP": (lambda call: call.send(b"220 ftp\r\n"), "closed the connection before"),
    "answers HTML": (lambda call: call.reply(b"<html>", ""), "has no RightsManager-Signature"),
    "signs wrongly": (lambda call: call.reply(b"{}", "0" * 64), "a wrong RightsManager-Signature"),
    "signs another call": (another_nonce, "a wrong RightsManager-Signature"),
    "answers no JSON": (lambda call: call.reply(b"rubbish"), "an answer that is not JSON"),
    "answers deeply": (lambda call: call.reply(b"[" * 100_000), "an answer that is not JSON"),
    "answers twice": (lambda call: call.reply(b"{}{}"), "an answer that is not JSON"),
    "answers bytes": (lambda call: call.reply(b"\xff\xfe"), "an answer that is not JSON"),
    "answers a list": (answering([]), "invalid answer: the answer is an array"),
    "answers too much": (huge, "answered more than 1048576 bytes"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_named_and_never_a_choice(back_end: BackEnd, name: str) -> None:
    behave, text = FAILURES[name]
    back_end.behaviours = [behave, behave]
    client = client_of(back_end.url, connect_seconds=0.1, answer_seconds=0.2)
    begun = time.monotonic()
    with pytest.raises(InternalError, match=f"^the hooks' back end .*{text}"):
        decide(client)
    assert time.monotonic() - begun < 5
    # The next call is not disturbed by the rest of this answer.
    back_end.behaviours = []
    assert decide(client_of(back_end.url)) == decide(client) == Choice()


def drip_headers(call: Call) -> None:
    call.send(b"HTTP/1.1 200 OK\r\n")
    while not call.stopping.wait(0.02):
        call.send(b"X: y\r\n")


def test_a_back_end_that_never_ends_its_headers_is_too_slow(back_end: BackEnd) -> None:
    back_end.behaviours = [drip_headers]
    client = client_of(back_end.url, answer_seconds=0.2)
    hooks = Hooks(make_backend_hooks(client), 0.3)
    with pytest.raises(InternalError, match=r"operator's choose did not answer within 0\.3 s"):
        hooks.decide(Progress(), FACTS, GRANTS)


def test_a_back_end_that_is_down_is_named(back_end: BackEnd) -> None:
    with running() as other:
        url = other.url
    with pytest.raises(InternalError, match=r"back end cannot be reached: Connection refused$"):
        decide(client_of(url))
    with pytest.raises(InternalError, match="back end fails the TLS handshake"):
        decide(client_of(back_end.url.replace("http:", "https:")))


def test_a_kept_connection_that_ended_is_replaced() -> None:
    port = find_free_port()
    with running(port) as first:
        client = client_of(first.url)
        decide(client)
    with running(port) as again:
        assert decide(client) == Choice()
        assert len(again.calls) == 1


def test_a_call_whose_connection_breaks_is_made_once_more(back_end: BackEnd) -> None:
    back_end.behaviours = [close_at_once, ALLOW]
    assert decide(client_of(back_end.url)) == Choice()
    first, second = back_end.calls
    assert first.body == second.body
    assert first.headers["RightsManager-Nonce"] != second.headers["RightsManager-Nonce"]


# --- the circuit breaker ----------------------------------------------------------------------


def test_the_breaker_opens_tries_once_and_closes() -> None:
    now = 100.0
    outcomes: list[CallOutcome] = []
    breaker = CircuitBreaker(2, 10, lambda: now, outcomes.append)
    for _ in range(2):
        breaker.refuse_open()
        breaker.record_failure("did not answer")
    with pytest.raises(InternalError) as caught:
        breaker.refuse_open()
    assert caught.value.text == (
        "the hooks' back end is not asked for 10.0 s, since 2 calls failed, the last because it "
        "did not answer"
    )
    now += 10
    breaker.refuse_open()
    with pytest.raises(InternalError):
        # The trial has not ended.
        breaker.refuse_open()
    breaker.record_failure("did not answer")
    with pytest.raises(InternalError):
        breaker.refuse_open()
    now += 10
    breaker.refuse_open()
    breaker.record_success()
    breaker.refuse_open()
    assert [outcome.value for outcome in outcomes] == [
        *("failed", "failed", "skipped", "skipped", "failed", "skipped", "answered")
    ]


def test_a_back_end_that_fails_is_left_alone(back_end: BackEnd) -> None:
    failing: Behaviour = lambda call: call.reply(b"", status="503 Away")  # noqa: E731
    back_end.behaviours = [failing] * 3
    now = 0.0
    options = BackEndOptions(back_end.url, SECRET, max_failures=3, retry_seconds=10)
    outcomes: list[CallOutcome] = []
    client = Client(options, seeded_random(b"x"), lambda: NOW, lambda: now, outcomes.append)
    for _ in range(3):
        with pytest.raises(InternalError, match="answered HTTP 503"):
            decide(client)
    for _ in range(5):
        with pytest.raises(InternalError, match=r"not asked for 10\.0 s, .* answered HTTP 503"):
            decide(client)
    assert len(back_end.calls) == 3
    now = 10.0
    assert decide(client) == Choice()
    assert Counter(outcomes) == {
        CallOutcome.FAILED: 3,
        CallOutcome.SKIPPED: 5,
        CallOutcome.ANSWERED: 1,
    }


def test_many_calls_at_once_have_a_connection_each_and_keep_them(back_end: BackEnd) -> None:
    client = client_of(back_end.url)
    barrier = threading.Barrier(8)
    choices: list[Choice | None] = []

    def ask() -> None:
        barrier.wait()
        choices.extend(decide(client) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert choices == [Choice()] * 40
    assert back_end.connections <= 8


# --- answers ----------------------------------------------------------------------------------


def allow(**members: object) -> object:
    return {"decision": "allow", **members}


def test_an_answer_may_set_each_field_of_a_choice() -> None:
    account = AccountId(b"account of hooks")
    document = allow(
        custom_data="said",
        dropped=[{"kid": KIDS[1].text, "reason": "not in your plan"}],
        expires_in_seconds=60,
        stream_user="user",
        stream_limit=0.0,
        account_id=account.text,
        keys=[{"program": "movie", "period": 2, "kid": KIDS[0].text, "key": "A" * 22 + "=="}],
    )
    assert errors_of(document, *ANSWERS) == []
    choice = read_answer(document, GRANTS)
    assert choice == Choice(
        dropped=(Dropped(KIDS[1], "not in your plan"),),
        expires_in_seconds=60,
        stream_user="user",
        stream_limit=0,
        account_id=account,
        keys=(ChosenKey("movie", 2, KIDS[0], bytes(16)),),
        custom_data="said",
    )


def test_an_answer_may_change_the_licences_of_a_kid() -> None:
    change = {
        "kid": KIDS[0].text.upper(),
        "expires_in_seconds": 60,
        "content_key": "A" * 22 + "==",
        "policy": {
            "persistent": True,
            "begin": None,
            "grace_period": 7,
            "output_levels": {"analog_video": 200},
        },
    }
    choice = read_answer(allow(licenses=[change]), (replace(GRANTS[0], key_seed=b"x"), GRANTS[1]))
    assert isinstance(choice, Choice)
    assert choice.grants is not None
    first, second = choice.grants
    assert second is GRANTS[1]
    assert (first.content_key, first.key_seed) == (bytes(16), None)
    assert first.policy == Policy(
        persistent=True, grace_period=7, valid_for=60, output_levels=OutputLevels(analog_video=200)
    )


def test_the_documented_answer_is_valid() -> None:
    (text,) = blocks(ROOT / "docs" / "hooks.md", "json")
    document = json.loads(text)
    assert errors_of(document, *ANSWERS) == []
    granted, dropped = (each[0]["kid"] for each in (document["licenses"], document["dropped"]))
    grants = tuple(Grant(Kid.from_text(kid), None, Policy()) for kid in (granted, dropped))
    choice = read_answer(document, grants)
    assert isinstance(choice, Choice)
    assert choice.stream_user == "alice"
    assert choice.grants is not None
    assert choice.grants[0].policy.output_levels == OutputLevels(analog_video=200)


def test_an_answer_may_refuse() -> None:
    refusal = read_answer({"decision": "refuse", "text": "no", "custom_data": "why"}, ())
    assert isinstance(refusal, ServiceSpecific)
    assert (refusal.text, refusal.custom_data) == ("no", "why")
    moved = read_answer(
        {"decision": "refuse", "text": "moved", "status": "0x8004C60D", "redirect_url": "http://x"},
        (),
    )
    assert isinstance(moved, ProtocolRedirect)
    assert moved.redirect_url == "http://x"


def test_a_refusal_is_the_clients(back_end: BackEnd) -> None:
    back_end.behaviours = [answering({"decision": "refuse", "text": "no"})] * 2
    client = client_of(back_end.url, max_failures=1)
    for _ in range(2):
        with pytest.raises(ServiceSpecific, match=r"^no$"):
            decide(client)


KID = {"kid": KIDS[0].text}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (None, "the answer is null, expected an object"),
        ({}, "decision is missing, expected 'allow' or 'refuse'"),
        ({"decision": True}, "has decision 'True', expected a text"),
        ({"decision": "maybe"}, "decision is 'maybe'"),
        ({"decision": "refuse"}, "expected 1 to 1024 characters"),
        ({"decision": "refuse", "text": "x" * 1025}, "expected 1 to 1024 characters"),
        ({"decision": "refuse", "text": "x", "status": "0"}, "status is '0', expected one of"),
        ({"decision": "refuse", "text": "x", "redirect_url": "u"}, "redirect_url is given with"),
        ({"decision": "refuse", "text": "x", "status": "0x8004c60d"}, "redirect_url is given with"),
        ({"decision": "refuse", "text": "x", "custom_data": "\0"}, "XML does not allow"),
        ({"decision": "refuse", "text": "\0"}, "XML does not allow"),
        ({"decision": "refuse", "text": "\ud800"}, "XML does not allow"),
        ({"decision": "refuse", "text": "x", "dropped": []}, "the answer has 'dropped'"),
        (allow(custom_dat="x"), "the answer has 'custom_dat', expected no such member"),
        (allow(custom_data=1), "has custom_data '1', expected a text"),
        (allow(custom_data="x" * 65537), "has 65537 characters"),
        (allow(expires_in_seconds=0), "expires_in_seconds is '0'"),
        (allow(expires_in_seconds=-1), "expected an integer from 0"),
        (allow(expires_in_seconds=1.5), "expected an integer from 0"),
        (allow(expires_in_seconds=True), "expected an integer from 0"),
        (allow(stream_user=""), "stream_user is ''"),
        (allow(stream_user="\ud800"), "characters that XML allows"),
        (allow(stream_user="\0"), "characters that XML allows"),
        (allow(account_id="x"), "GUID is 'x'|is 'x', expected a GUID"),
        (allow(dropped={}), "has dropped 'an object', expected an array"),
        (allow(dropped=["x"]), r"dropped\[0\] is a str, expected an object"),
        (allow(dropped=[{"reason": "x"}]), "has no kid"),
        (allow(dropped=[KID]), "reason is '', expected 1 to 1024"),
        (allow(dropped=[{**KID, "reason": "\ud800"}]), "XML does not allow"),
        (allow(dropped=[{**KID, "reason": "x", "x": 1}]), r"dropped\[0\] has 'x'"),
        (allow(keys=[{"program": None}]), "a key without a program or its Kid"),
        (allow(keys=[{"program": "m", "key": "AAAA"}]), "key has 3 bytes|16"),
        # The number may be a key.
        (allow(keys=[{"program": "m", "key": 7 * 10**37}]), "has key a int, expected base64"),
        (allow(keys=[{"program": "m", "x": 1}]), r"keys\[0\] has 'x'"),
        (allow(licenses=[{}]), "has no kid"),
        (allow(licenses=[{"kid": Kid(bytes(16)).text}]), "expected one of the request's"),
        (allow(licenses=[KID, KID]), "has a KID twice"),
        (allow(licenses=[{**KID, "x": 1}]), r"licenses\[0\] has 'x'"),
        (allow(licenses=[{**KID, "policy": []}]), "policy is an array"),
        (allow(licenses=[{**KID, "policy": {"x": 1}}]), "policy has 'x'"),
        (allow(licenses=[{**KID, "policy": {"metering": "x"}}]), "policy has 'metering'"),
        (allow(licenses=[{**KID, "policy": {"persistent": 1}}]), "expected true or false"),
        (allow(licenses=[{**KID, "policy": {"persistent": None}}]), "persistent null"),
        (allow(licenses=[{**KID, "policy": {"security_level": None}}]), "security_level null"),
        (allow(licenses=[{**KID, "policy": {"begin": "1"}}]), "has begin '1'"),
        (
            allow(licenses=[{**KID, "policy": {"output_levels": {"x": 1}}}]),
            "output_levels has 'x'",
        ),
    ],
)
def test_an_answer_of_another_form_is_refused(document: object, text: str) -> None:
    with pytest.raises((InvalidMessage, InternalError), match=text):
        read_answer(document, GRANTS)
    # What no schema can say: the licences of the request, and members that belong together.
    beyond = {"redirect_url is given with", "expected one of the request's", "has a KID twice"}
    beyond |= {"XML does not allow", "a key without a program or its Kid", "key has 3 bytes|16"}
    beyond.add("characters that XML allows")
    assert errors_of(document, *ANSWERS) or text in beyond


# --- the secret -------------------------------------------------------------------------------


def test_a_missing_or_short_secret_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hooks.secret"
    with pytest.raises(InternalError, match=r"cannot be read: .*; create it with python3"):
        read_secret(file)
    file.write_bytes(b"short\n")
    with pytest.raises(InternalError, match="has 5 bytes, expected at least 32"):
        read_secret(file)
    file.write_bytes(SECRET + b"\n")
    assert read_secret(file) == SECRET


def test_the_secret_is_in_the_keyring_by_default(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, hooks=HooksSettings(url="http://127.0.0.1:9"))
    with pytest.raises(InternalError, match=r"keyring/hooks\.secret cannot be read"):
        _backend_hooks(settings, Runtime())
    (tmp_path / "keyring").mkdir()
    (tmp_path / "keyring" / "hooks.secret").write_bytes(SECRET)
    assert _backend_hooks(settings, Runtime()).choose is not None
