"""Faults are read and written without loss, and refused with a text that says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.lab.faults.altering import ALTERATIONS, REPLACEMENTS
from rightsmanager.lab.faults.delivery import CUTS, DELAYS
from rightsmanager.lab.faults.fault import MATCHERS, Fault, fault_facts, fault_from, parse_fault
from rightsmanager.lab.faults.licensing import CHANGES
from rightsmanager.lab.faults.operating import EFFECTS
from rightsmanager.lab.faults.toxics import TOXICS, Place, Toxic

ID = "00112233445566aa"
NOW = 2_000_000_000
KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
DEVICE = "ab" * 32


def parsed(**fields: Any) -> Fault:  # noqa: ANN401 -- JSON of any shape
    return parse_fault(fields, ID, NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "status", "status": "0x8004c600"},
        {
            "kind": "status",
            "status": "0x8004c605",
            "operation": "AcquireLicense",
            "device": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
            "kid": KID,
            "nth": 3,
            "count": 2,
            "seed": 7,
            "seconds": 10.0,
            "custom_data": "<a>ü</a>",
            "redirect_url": "https://elsewhere.test/",
            "account": KID,
        },
        {"kind": "latency", "milliseconds": 10.0, "distribution": "normal", "jitter_ms": 2.5},
        {"kind": "cut-before", "rate": 0.1, "seed": 7, "reset": True},
        {"kind": "answer", "body": "PGEvPg==", "http_status": 503},
    ],
)
def test_a_fault_is_written_as_it_was_read(fields: dict[str, Any]) -> None:
    fault = parse_fault(fields, ID, NOW, "a script")
    facts = fault_facts(fault)
    assert {**fields, "id": ID, "created_at": NOW, "script": "a script"} == facts
    assert fault_from(facts) == fault


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"kind": "status", "status": 0x8004C600}, {"status": "0x8004c600"}),
        ({"kind": "status", "status": "RENEW_DOMAIN"}, {"status": "0x8004c606"}),
        ({"kind": "cut-before", "device": DEVICE}, {"device": "q6ur" * 10 + "q6s="}),
        ({"kind": "cut-before", "kid": "4RplbORbNES8tGkNFWTEHA=="}, {}),
        ({"kind": "cut-before", "nth": None}, {}),
    ],
)
def test_values_have_one_spelling(given: dict[str, Any], stored: dict[str, Any]) -> None:
    facts = fault_facts(parse_fault(given, ID, NOW))
    assert {name: facts.get(name) for name in stored} == stored
    assert None not in facts.values()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "a fault has no kind, expected one such as status"),
        ({"kind": "sttus"}, "kind is 'sttus', expected status;"),
        ({"kind": "x" * 500}, "expected one of status, fault-with-200"),
        ({"kind": "status"}, "status has no status, expected a status code"),
        ({"kind": "status", "status": "0x0"}, "expected a failure"),
        ({"kind": "status", "status": "RENEW"}, "expected a failure"),
        ({"kind": "status", "status": True}, "expected a failure"),
        ({"kind": "cut-before", "oepration": "x"}, "no field 'oepration', expected operation"),
        ({"kind": "cut-before", "status": 1}, "cut-before has no field 'status'"),
        ({"kind": "cut-before", "operation": "Acquire"}, "expected one of AcquireLicense"),
        ({"kind": "license-mac", "operation": "JoinDomain"}, "one that license-mac can act on"),
        ({"kind": "cut-before", "operation": "JoinDomain", "kid": KID}, "kid is given for Join"),
        (
            {"kind": "cut-before", "operation": "AcquirePackagingData", "device": DEVICE},
            "device is given for AcquirePackagingData",
        ),
        ({"kind": "cut-before", "nth": 0}, "nth is 0, expected an integer from 1"),
        ({"kind": "cut-before", "count": 1.5}, "count is 1.5, expected an integer"),
        ({"kind": "cut-before", "count": 0}, "count is 0, expected an integer from 1"),
        ({"kind": "cut-before", "rate": 1.5}, "rate is 1.5, expected a number from 0 to 1"),
        ({"kind": "cut-before", "rate": float("nan")}, "rate is nan, expected a number"),
        ({"kind": "cut-before", "rate": 0}, "rate or seconds is 0"),
        ({"kind": "cut-before", "seconds": 0}, "rate or seconds is 0"),
        ({"kind": "cut-before", "nth": 2, "rate": 0.5}, "nth and rate are given"),
        ({"kind": "cut-before", "device": "ab"}, "device is 'ab', expected a device id"),
        ({"kind": "cut-before", "device": 7}, "device is 7, expected a device id"),
        ({"kind": "cut-before", "kid": "ab"}, "kid: KID is 'ab'"),
        ({"kind": "cut-before", "kid": 7}, "kid is 7, expected a GUID"),
        ({"kind": "cut-before", "reset": 1}, "reset is 1, expected true or false"),
        ({"kind": "latency"}, "latency has no milliseconds"),
        ({"kind": "latency", "milliseconds": 1e9}, "expected a number from 0 to 120000"),
        ({"kind": "latency", "milliseconds": 1, "jitter_ms": 1}, "expected a distribution"),
        ({"kind": "latency", "milliseconds": 1, "distribution": "flat"}, "one of fixed"),
        ({"kind": "http-status", "http_status": 100}, "an integer from 200 to 599"),
        ({"kind": "http-status", "location": "http://a/"}, "location is given with 503"),
        ({"kind": "content-type", "content_type": "a\r\nb: c"}, "printable ASCII"),
        ({"kind": "answer"}, "query and body are both or neither given"),
        ({"kind": "answer", "query": "a", "body": ""}, "query and body are both"),
        ({"kind": "answer", "query": "a", "http_status": 200}, "are of a body"),
        ({"kind": "answer", "body": "?"}, "body is '?', expected base64"),
        ({"kind": "answer", "body": "A" * 80_000}, "expected base64 of at most"),
        ({"kind": "status", "status": "0x8004c600", "text": "x" * 5000}, "at most 4096 Unicode"),
    ],
)
def test_an_invalid_fault_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        parsed(**fields)
    assert text in refused.value.text
    assert len(refused.value.text) < 1000


@pytest.mark.parametrize("given", [[], "status", 7, None])
def test_a_fault_is_an_object(given: object) -> None:
    with pytest.raises(InvalidMessage, match="expected a JSON object"):
        parse_fault(given, ID, NOW)


@pytest.mark.parametrize("wrong", [{"id": "../x"}, {"created_at": "now"}, {"kind": "x"}])
def test_a_stored_fault_is_checked(wrong: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"id": ID, "kind": "cut-before", "created_at": NOW, **wrong}
    with pytest.raises(InvalidMessage):
        fault_from(facts)


def test_each_toxic_has_one_effect_at_its_place() -> None:
    found = {
        Place.OPERATION: {*EFFECTS, *CHANGES},
        Place.REPLY: {*ALTERATIONS, "reply-lost", "cut-in-reply"},
        Place.DELIVERY: {"cut-after", *DELAYS},
    }
    for place, names in found.items():
        assert names == {each.name for each in TOXICS.values() if each.place is place}
    assert {*REPLACEMENTS, *CUTS} <= set(TOXICS)


def test_each_toxic_says_what_a_client_does_and_by_which_source() -> None:
    for toxic in TOXICS.values():
        assert toxic.effect.endswith(".")
        assert toxic.client.endswith(".")
        assert toxic.source
        assert toxic.operations


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def objects(toxic: Toxic) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with any values in the fields of a kind."""
    names = [*MATCHERS, *(each.name for each in toxic.parameters), "other"]
    kind = {"kind": st.just(toxic.name)}
    return st.fixed_dictionaries(kind, optional=dict.fromkeys(names, JSON))


@given(st.sampled_from(list(TOXICS.values())).flatmap(objects))
@settings(max_examples=50)
def test_any_object_is_a_fault_or_refused(fields: dict[str, Any]) -> None:
    try:
        fault = parse_fault(fields, ID, NOW)
    except InvalidMessage:
        return
    assert fault_from(json.loads(json.dumps(fault_facts(fault)))) == fault


@pytest.mark.parametrize("text", ["a\0", "\ud800"])
def test_a_text_that_cannot_be_sent_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match="Unicode"):
        parsed(kind="http-status", body=text)
