"""The HTTP hook in all nine operations: each call is as its OpenAPI description says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from openapi_spec_validator import validate

from rightsmanager.crypto.random import system_random
from rightsmanager.hooks.backend.client import BackEnd, BackEndOptions
from rightsmanager.hooks.backend.hook import make_backend_hooks
from rightsmanager.hooks.facts import KEY_ENDPOINT
from tests.hooks import backends
from tests.hooks.openapi import DESCRIPTION, errors_of
from tests.operations.subject import post
from tests.operations.test_hooks_of_operations import ACCOUNT, BODIES, KIDS, Desk
from tests.second import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rightsmanager.hooks.hook_set import HookSet
    from rightsmanager.store.database import Store


@pytest.fixture(scope="module")
def back_end() -> Iterator[backends.BackEnd]:
    with backends.running() as back_end:
        yield back_end


def hooks_of(back_end: backends.BackEnd, *, sends_events: bool) -> HookSet:
    options = BackEndOptions(back_end.url, backends.SECRET)
    client = BackEnd(options, system_random, lambda: world.NOW)
    return make_backend_hooks(client, sends_events=sends_events)


def test_the_description_is_openapi() -> None:
    validate(DESCRIPTION)
    operations = DESCRIPTION["components"]["schemas"]["DecisionRequest"]["properties"]["operation"]
    assert sorted(operations["enum"]) == sorted([*BODIES, KEY_ENDPOINT])


@pytest.mark.parametrize("operation", BODIES)
def test_each_call_is_as_described(
    store: Store, back_end: backends.BackEnd, operation: str
) -> None:
    desk = Desk(store, [])
    desk.prepare(operation)
    context = desk.context(hooks_of(back_end, sends_events=True))
    back_end.calls.clear()
    back_end.behaviours = [backends.answering({"decision": "allow", "custom_data": "hello"})]
    reply = post(context, operation, BODIES[operation](), "token=abc")
    assert (b"<CustomData>hello</CustomData>" in reply) == (operation != "AcquirePackagingData")
    context.hooks._event_threads.shutdown()
    decision, event = back_end.calls
    assert errors_of(decision.document, "DecisionRequest") == []
    assert errors_of(event.document, "Event") == []
    assert decision.document["operation"] == event.document["operation"] == operation
    assert decision.document["query_values"] == {"token": ["abc"]}
    is_device = operation != "AcquirePackagingData"
    assert len(decision.document["chain"]) == (2 if is_device else 0)
    assert event.document["device"] == decision.document["device"]


def test_reports_are_in_the_document(store: Store, back_end: backends.BackEnd) -> None:
    desk = Desk(store, [])
    context = desk.context(hooks_of(back_end, sends_events=False))
    back_end.calls.clear()
    for operation in BODIES:
        desk.prepare(operation)
        post(context, operation, BODIES[operation]())
    documents = {call.document["operation"]: call.document for call in back_end.calls}
    (usage,) = documents["ProcessMeteringData"]["usage"]
    assert usage == {"kid": KIDS[0].text, "action": "Play", "value": 3}
    (session,) = documents["ProcessSecureStopData"]["sessions"]
    assert (session["kid"], session["update_time"], session["stopped"]) == (KIDS[0].text, 9, True)
    assert documents["AcknowledgeLicense"]["results"] == [
        {"kid": KIDS[0].text, "result": "0x00000000"}
    ]
    assert documents["JoinDomain"]["account_id"] == ACCOUNT.text
    licenses = documents["AcquireLicense"]["licenses"]
    assert [each["kid"] for each in licenses] == [kid.text for kid in KIDS]
    assert licenses[0]["policy"]["persistent"] is True
    assert documents["AcquireLicense"]["chain"][0]["manufacturer"]["model_name"] == "Client"
    assert documents["AcquirePackagingData"]["keys"] == [
        {"program": "movie", "period": 0, "kid": None, "scheme": None}
    ]
