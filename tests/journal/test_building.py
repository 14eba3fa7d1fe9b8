"""Entries have the facts of their exchanges, and none of their keys and tokens."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.exchange import STAGES, Exchange
from rightsmanager.hooks.facts import Progress
from rightsmanager.journal.building import MAX_KIDS, Act, EntryBuilder
from rightsmanager.policy.rules import DecisionWarning, WarningCode
from rightsmanager.protocol.wire import AccountId, Kid
from rightsmanager.store.journal import reading
from rightsmanager.store.journal.entries import Flag, PendingEntry
from rightsmanager.store.journal.tables import ENTRY_COLUMNS
from tests.journal.conftest import DEVICE, KID, exchange

AT = 1_700_000_000_123


def build(given_: Exchange, **options: object) -> dict[str, object]:
    """Return the columns of the entry of an exchange, and its bodies."""
    return columns(EntryBuilder("7-ab", **options).build(given_, AT))  # type: ignore[arg-type]


def columns(entry: PendingEntry) -> dict[str, object]:
    named = dict(zip(ENTRY_COLUMNS, entry.columns, strict=True))
    return {**named, "request": entry.request, "reply": entry.reply}


def test_an_entry_has_the_facts_of_its_exchange() -> None:
    account = AccountId(b"a" * 16)
    progress = Progress(
        DEVICE,
        (KID, KID),
        tuple(DecisionWarning(WarningCode.CLIENT, text) for text in ("one", "two")),
        account,
        "hello",
        verified=1.25,
        decided=1.5,
    )
    refusal = InvalidMessage("the digest is wrong")
    built = build(exchange(query="cfg=(sl:150)", refusal=refusal, progress=progress))
    assert built == {
        "kind": 0,
        "at": AT,
        "request_id": "r1",
        "operation": "AcquireLicense",
        "outcome": 0x8004C601,
        "failed": "InvalidMessage",
        "stage": "record",
        "reason": "the digest is wrong",
        "device": DEVICE,
        "account": account.text,
        "kids": KID.raw * 2,
        "client": "127.0.0.1",
        "url": "http://127.0.0.1/rightsmanager.asmx",
        "query": "cfg=(sl:150)",
        "custom_data": "hello",
        "user_agent": "player/1",
        "soap_action": '"urn:a"',
        "content_type": "text/xml; charset=utf-8",
        "warnings": "one\ntwo",
        "http_status": 500,
        "stages": "125000,125000,250000,1000000",
        "bytes_in": 10,
        "bytes_out": 8,
        "worker": "7-ab",
        "flags": Flag.HAS_REQUEST | Flag.HAS_REPLY,
        "actor": None,
        "subject": None,
        "request": b"<request/>",
        "reply": b"<reply/>",
    }


def test_the_journal_has_the_stages_of_exchanges() -> None:
    # Two rooms that do not import each other have them.
    assert reading.STAGES == STAGES


def test_headers_with_tokens_are_left_out() -> None:
    entry = EntryBuilder("7-ab").build(exchange(), AT)
    assert "secret" not in repr(entry)


def test_bodies_are_left_out_or_cut_as_the_settings_say() -> None:
    without = build(exchange(), keep_bodies=False)
    assert (without["request"], without["reply"], without["flags"]) == (None, None, 0)
    cut = build(exchange(request=b"x" * 3000, reply=b"y" * 3000), max_body=1024)
    assert (cut["request"], cut["reply"]) == (b"x" * 1024, b"y" * 1024)
    assert cut["flags"] == (Flag.HAS_REQUEST | Flag.REQUEST_CUT | Flag.HAS_REPLY | Flag.REPLY_CUT)
    assert (cut["bytes_in"], cut["bytes_out"]) == (3000, 3000)


def test_a_body_that_was_not_read_is_missing() -> None:
    unread = build(exchange(request=b"", CONTENT_LENGTH="9000000"))
    assert (unread["request"], unread["bytes_in"]) == (None, 9_000_000)
    assert not Flag.HAS_REQUEST & int(str(unread["flags"]))


@pytest.mark.parametrize("length", ["", "-5", "x", "9" * 30])
def test_an_odd_length_is_not_believed(length: str) -> None:
    assert build(exchange(CONTENT_LENGTH=length))["bytes_in"] == len(b"<request/>")


def test_the_kids_of_an_entry_are_limited() -> None:
    kids = tuple(Kid(number.to_bytes(16, "big")) for number in range(MAX_KIDS + 5))
    assert build(exchange(progress=Progress(kids=kids)))["kids"] == b"".join(
        kid.raw for kid in kids[:MAX_KIDS]
    )


def test_a_packagers_keys_are_masked_in_the_reply() -> None:
    key = "EjQSNBI0EjQSNBI0EjQSNw=="
    reply = f"<a><KeyId>k</KeyId><KeyData>{key}</KeyData><p:KeyData x='1'>{key}</p:KeyData></a>"
    built = build(exchange(operation="AcquirePackagingData", reply=reply.encode()))
    assert built["reply"] == (
        b"<a><KeyId>k</KeyId><KeyData>***</KeyData><p:KeyData x='1'>***</p:KeyData></a>"
    )
    assert Flag.REPLY_MASKED & int(str(built["flags"]))


def test_text_that_a_database_cannot_store_is_replaced() -> None:
    built = build(exchange(HTTP_USER_AGENT="a\0b\ud800c", query="x=%00\0"))
    assert built["user_agent"] == "a\N{REPLACEMENT CHARACTER}b?c"
    assert "\0" not in str(built["query"])


def test_an_act_has_its_operator_and_its_subject() -> None:
    act = Act("domain.remove", "account x", "token ops", "10.0.0.1", InvalidMessage("no"), "r7")
    built = columns(EntryBuilder("7-ab").build_act(act, AT))
    assert (built["kind"], built["operation"], built["subject"]) == (
        1,
        "domain.remove",
        "account x",
    )
    assert (built["actor"], built["client"], built["request_id"]) == ("token ops", "10.0.0.1", "r7")
    assert (built["outcome"], built["failed"], built["reason"]) == (
        0x8004C601,
        "InvalidMessage",
        "no",
    )


# --- content keys ---------------------------------------------------------------------------------


def spell_base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


SPELLINGS = (
    spell_base64,
    lambda key: base64.b64encode(key).decode().rstrip("="),
    lambda key: base64.urlsafe_b64encode(key).decode(),
    lambda key: key.hex(),
    lambda key: key.hex().upper(),
    lambda key: f"0x{key.hex()}",
)
NAMES = ("contentkey", "ContentKey", "ck", "contentkye", "key", "my-key")
FORMS = (
    lambda name, key: f"cfg=({name}:{key})",
    lambda name, key: f"cfg=(kid:x,{name}:{key},sl:150)",
    lambda name, key: f"cfg=({name} : {key})",
    lambda name, key: f"{name}={key}&PlayRight=1",
    lambda name, key: "cfg64=" + spell_base64(f"({name}:{key})".encode()),
    lambda name, key: "json=" + json.dumps([{name: key}]),
    lambda name, key: json.dumps({"licenses": [{name: key, "sl": 150}]}),
    lambda name, key: json.dumps([{name: key}], ensure_ascii=True).replace("k", "\\u006b"),
    lambda name, key: quote(f"cfg=({name}:{key})", ""),
    lambda name, key: quote(quote(f"cfg=({name}:{key})", ""), ""),
)
# As CustomData only: a player's own formats.
FREE_FORMS = (
    *FORMS,
    lambda _, key: key,
    lambda _, key: f"the key is {key}.",
    lambda name, key: f"<{name}>{key}</{name}>",
    lambda _, key: json.dumps({"a": ["b", key]}),
)
keys = st.binary(min_size=16, max_size=16).filter(lambda key: len(set(key)) > 8)


def is_hidden(entry: PendingEntry, key: bytes) -> bool:
    """Return whether no spelling of a key is in an entry."""
    stored = repr(entry).lower()
    spelled = [spell(key).lower() for spell in SPELLINGS]
    parts = [each[at : at + 12] for each in spelled for at in range(0, len(each) - 12, 4)]
    return not any(part in stored for part in parts if len(set(part)) > 4)


@given(keys, st.sampled_from(SPELLINGS), st.sampled_from(NAMES), st.sampled_from(FORMS))
def test_no_content_key_of_a_query_is_recorded(key, spell, name, form) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    built = EntryBuilder("7-ab").build(exchange(query=form(name, spell(key))), AT)
    assert is_hidden(built, key)
    assert columns(built)["flags"] == Flag.MASKED | Flag.HAS_REQUEST | Flag.HAS_REPLY


@given(keys, st.sampled_from(SPELLINGS), st.sampled_from(NAMES), st.sampled_from(FREE_FORMS))
def test_no_content_key_of_custom_data_is_recorded(key, spell, name, form) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    built = EntryBuilder("7-ab").build(exchange(custom_data=form(name, spell(key))), AT)
    assert is_hidden(built, key)
    # The request has it too, encrypted to a key that readers of the journal have.
    assert built.request is None
    assert columns(built)["flags"] == Flag.MASKED | Flag.REQUEST_WITHHELD | Flag.HAS_REPLY


@pytest.mark.parametrize(
    "custom_data",
    [
        "",
        "user=bob",
        '{"user": "bob", "page": 7}',
        "0c3a1b52-6a0d-4f3e-9c77-1d2f8f5b4a10",
        f"cfg=(kid:{KID.base64},sl:150)",
        "<script>alert(1)</script>",
        "Grüße",
    ],
)
def test_custom_data_without_a_key_stays(custom_data: str) -> None:
    built = build(exchange(custom_data=custom_data))
    assert (built["custom_data"], built["request"]) == (custom_data, b"<request/>")
