"""Hooks at the key endpoint: who gets keys, which ones, and the events of all requests."""

from __future__ import annotations

import base64
import io
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.hooks.backend.client import BackEnd, BackEndOptions
from rightsmanager.hooks.backend.hook import make_backend_hooks
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.choice import Choice, ChosenKey
from rightsmanager.hooks.facts import Event, Facts, RequestedKey
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.access import Access, AccessMode
from rightsmanager.operations.context import Options
from rightsmanager.protocol.wire import Kid
from rightsmanager.web.http import Addressing
from rightsmanager.web.keys.endpoint import Bounds, KeyEndpoint
from tests.hooks import backends
from tests.hooks.openapi import errors_of
from tests.operations.subject import make_context
from tests.second import cpix_reader, world
from tests.second.cpix_documents import document, key

if TYPE_CHECKING:
    from rightsmanager.store.database import Store

KID, KEY = Kid(b"a packagers kid."), bytes(range(16))


def ask(
    store: Store, hooks: HookSet, path: str, query: str = "", body: bytes = b""
) -> tuple[str, bytes]:
    context = make_context(
        store,
        rng=system_random,
        options=Options(packaging_access=Access(AccessMode.OPEN)),
        hooks=Hooks(hooks, 5),
    )
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": "192.0.2.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_X_PACKAGER": "shaka",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    statuses: list[str] = []
    endpoint = KeyEndpoint(context, Addressing(), Bounds(), lambda *_: None)
    answer = b"".join(endpoint(environ, lambda status, _headers: statuses.append(status)))
    context.hooks._event_threads.shutdown()
    return statuses[0], answer


def nginx_key(body: bytes) -> tuple[bytes, bytes]:
    (entry,) = json.loads(body)
    return base64.b64decode(entry["key_id"]), base64.b64decode(entry["key"])


@pytest.mark.parametrize(
    ("path", "protocol"), [("/nginx-vod/movie", "nginx-vod"), ("/cpix/movie", "cpix")]
)
def test_a_hook_refuses_a_packager(store: Store, path: str, protocol: str) -> None:
    seen: list[Facts] = []
    events: list[Event] = []

    def authorise(facts: Facts) -> None:
        seen.append(facts)
        raise ServiceSpecific("no contract")

    hooks = HookSet(authorise=authorise, on_event=events.append)
    status, body = ask(store, hooks, path, "token=abc&period=3&periods=3")
    assert status == "403 Forbidden"
    assert b"no contract" in body
    (facts,) = seen
    assert (facts.operation, facts.protocol, facts.device) == ("KeyEndpoint", protocol, "")
    assert facts.headers["x-packager"] == "shaka"
    assert facts.query_values["token"] == ["abc"]
    assert facts.keys == (RequestedKey("movie", 3),)
    with pytest.raises(IndexError):
        assert facts.certificate
    (event,) = events
    assert event.refusal is not None
    assert (event.operation, event.refusal.text) == ("KeyEndpoint", "no contract")
    with store.reading() as found:
        assert found.sources.find_kid("movie", 3) is None


@pytest.mark.parametrize("path", ["/nginx-vod/movie", "/cpix/movie"])
def test_the_text_of_a_hooks_refusal_may_have_any_characters(store: Store, path: str) -> None:
    def authorise(_facts: Facts) -> None:
        raise ServiceSpecific("no \ud800 contract")

    status, body = ask(store, HookSet(authorise=authorise), path)
    assert (status, rb"no \ud800 contract" in body) == ("403 Forbidden", True)


def test_a_hook_chooses_the_keys_of_a_program(store: Store) -> None:
    events: list[Event] = []
    choice = Choice(keys=(ChosenKey("movie", 0, KID, KEY),))
    hooks = HookSet(choose=lambda _facts, _grants: choice, on_event=events.append)
    status, body = ask(store, hooks, "/nginx-vod/movie")
    assert status == "200 OK"
    assert nginx_key(body) == (uuid.UUID(KID.text).bytes, KEY)
    assert [event.kids for event in events] == [(KID,)]
    # It is stored: the program has it without the hook.
    assert ask(store, HookSet(), "/nginx-vod/movie") == (status, body)
    other = Choice(keys=(ChosenKey("movie", 0, Kid(bytes(16))),))
    hooks = HookSet(choose=lambda _facts, _grants: other)
    assert ask(store, hooks, "/nginx-vod/movie")[0] == "409 Conflict"


def test_a_key_depends_on_the_root_that_a_hook_chose(store: Store) -> None:
    root, leaf = str(uuid.uuid4()), str(uuid.uuid4())
    scheme = 'commonEncryptionScheme="cenc"'
    body = document(
        key(leaf, f'{scheme} dependsOnKey="{root}"'),
        key(root, scheme),
        attributes='id="live"',
    )
    choice = Choice(keys=(ChosenKey("live#root", 0, KID, KEY),))
    hooks = HookSet(choose=lambda _facts, _grants: choice)
    status, answer = ask(store, hooks, "/speke/v1.0/copyProtection", body=body)
    assert status == "200 OK", answer
    assert f'dependsOnKey="{KID.text}"'.encode() in answer
    found = cpix_reader.read(answer)
    assert (list(found), found[KID.text].key) == ([leaf, KID.text], KEY)


def test_a_failure_of_a_hook_is_an_error(store: Store) -> None:
    def choose(_facts: Facts, _grants: object) -> Choice:
        raise LookupError

    status, body = ask(store, HookSet(choose=choose), "/cpix/movie")
    assert status == "500 Internal Server Error"
    assert b"the operator's choose failed, expected a Refusal" in body

    def find(_facts: Facts, _kid: Kid) -> bytes:
        raise InternalError("the key server cannot be reached")

    ask(store, HookSet(), "/cpix/movie")
    status, body = ask(store, HookSet(find_content_key=find), "/cpix/movie")
    assert status == "500 Internal Server Error"
    assert b"the key server cannot be reached" in body


def test_a_back_end_decides_on_keys(store: Store) -> None:
    with backends.running() as back_end:
        options = BackEndOptions(back_end.url, backends.SECRET)
        client = BackEnd(options, system_random, lambda: world.NOW)
        key = {"program": "movie", "period": 0, "kid": KID.text}
        back_end.behaviours = [backends.answering({"decision": "allow", "keys": [key]})]
        hooks = make_backend_hooks(client, sends_events=True)
        status, body = ask(store, hooks, "/cpix/movie")
        assert status == "200 OK"
        assert KID.text.encode() in body
        decision, event = back_end.calls
    assert errors_of(decision.document, "DecisionRequest") == []
    assert errors_of(event.document, "Event") == []
    assert (decision.document["operation"], decision.document["protocol"]) == (
        "KeyEndpoint",
        "cpix",
    )
    assert event.document["kids"] == [KID.text]
