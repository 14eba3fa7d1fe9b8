"""Decoding of an entry: both bodies with their checks as of then, and the explanation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from rightsmanager.cli.serve import prepare
from rightsmanager.inspection import Context, Description
from rightsmanager.inspection.explanation import Defaults
from rightsmanager.journal.decoding import Decoded, decode
from rightsmanager.protocol.wire import Kid
from rightsmanager.server import Runtime, Server
from rightsmanager.settings import Settings
from rightsmanager.store.journal.entries import Entry, Flag, StoredEntry
from tests.bench.fixture import Bench
from tests.bench.process import answer
from tests.building import built

if TYPE_CHECKING:
    from collections.abc import Iterator

KID = Kid.from_text("6f651ae1-dbe4-4434-bcb4-690d1564c41c")
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
NOW = int(time.time())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("decoding") / "data")
    prepare(Settings(data=made.data))
    return made


@pytest.fixture(scope="module")
def server(bench: Bench) -> Iterator[Server]:
    with built(bench.settings(), Runtime()) as made:
        yield made


def context(server: Server, now: int = NOW) -> Context:
    keyring = server.keyring
    return Context(
        now=now,
        backend=server.context.backend,
        server_keys=tuple(keyring.server_keys),
        trust_anchors=tuple(keyring.trust_anchors),
    )


def decoded(
    server: Server, request: bytes, reply: bytes, query: str = "", custom_data: str | None = None
) -> Decoded:
    entry = Entry(
        id=1,
        kind="request",
        at_ms=NOW * 1000,
        request_id="r",
        operation="AcquireLicense",
        status=0,
        kids=(KID,),
        query=query,
        custom_data=custom_data,
        flags=Flag.HAS_REQUEST | Flag.HAS_REPLY,
    )
    # A look years later makes the checks of then.
    later = context(server, NOW + 10**9)
    return decode(StoredEntry(entry, request, reply), later, Defaults())


def exchange(bench: Bench, server: Server) -> tuple[bytes, bytes]:
    request = next(bench.challenges(bench.device(), 1))
    reply = answer(server, request)
    start = f'<s:Envelope xmlns:s="{SOAP}"><s:Body>'.encode()
    return request, start + reply + b"</s:Body></s:Envelope>"


def names(description: Description) -> set[str]:
    return {description.name}.union(*map(names, description.children))


def test_both_bodies_are_decoded_and_checked(bench: Bench, server: Server) -> None:
    found = decoded(server, *exchange(bench, server), "cfg=(sl:150)")
    assert found.request is not None
    assert found.reply is not None
    assert "LicenseNonce" in names(found.request)
    assert "playback policy" in names(found.reply)
    assert found.failed_checks == ()


def test_a_request_that_was_altered_has_a_failed_check(bench: Bench, server: Server) -> None:
    request, reply = exchange(bench, server)
    altered = request.replace(b"10.0.16384.10011", b"10.0.16384.10012")
    found = decoded(server, altered, reply)
    assert "digest" in {check.name for check in found.failed_checks}


def test_the_explanation_knows_the_devices_level(bench: Bench, server: Server) -> None:
    found = decoded(server, *exchange(bench, server), "cfg=(sl:3000)")
    assert found.explanation is not None
    assert "needs security level 3000" in found.explanation.problems[0]


def test_masked_parameters_are_left_out_of_the_explanation(bench: Bench, server: Server) -> None:
    found = decoded(server, *exchange(bench, server), "ContentKey=***", "***")
    assert found.explanation is not None
    assert not found.explanation.problems


@pytest.mark.parametrize("body", [b"", b"junk", b"<html/>", bytes(100)])
def test_a_body_of_any_kind_is_passed_over(server: Server, body: bytes) -> None:
    found = decoded(server, body, body)
    assert (found.request, found.reply, found.failed_checks) == (None, None, ())
