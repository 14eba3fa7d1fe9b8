"""Exchanges as observers receive them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.soap.application import build
from rightsmanager.soap.server import SoapServer
from tests.soap.conftest import ServerClient, name_it

if TYPE_CHECKING:
    from rightsmanager.hooks.exchange import Exchange, Observer
    from rightsmanager.operations.request import Request
    from rightsmanager.soap.application import ServiceOperation
    from tests.soap.conftest import Written


class Clock:
    """Returns 1.0, 2.0, 3.0, …"""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def observed_by(
    *observers: Observer, answer: ServiceOperation = name_it, clock: Clock | None = None
) -> ServerClient:
    application = build(dict.fromkeys(OPERATIONS, answer), frozenset(Role))
    return ServerClient(SoapServer(application, observers, clock or Clock()))


def test_an_exchange_has_both_bodies_and_the_seconds_of_each_stage(envelope: Written) -> None:
    seen: list[Exchange] = []
    clock = Clock()

    def answer(request: Request) -> bytes:
        progress = request.progress
        progress.verified, progress.decided, progress.recorded = clock(), clock(), clock()
        return name_it(request)

    call = observed_by(seen.append, answer=answer, clock=clock)
    reply = call(envelope(), "https://h/a.asmx", **{"rightsmanager.request_id": "r1"})
    (exchange,) = seen
    assert (exchange.request_id, exchange.operation) == ("r1", "AcquireLicense")
    assert (exchange.request, exchange.reply) == (envelope(), reply.body)
    assert (exchange.url, exchange.http_status) == ("https://h/a.asmx", "200 OK")
    assert exchange.refusal is None
    assert exchange.stages() == (1, 1, 1, 1, 1)


def test_a_refused_exchange_ends_in_the_stage_that_refused(envelope: Written) -> None:
    seen: list[Exchange] = []

    def answer(request: Request) -> bytes:
        request.progress.verified = request.progress.clock()
        raise ServiceSpecific("no")

    observed_by(seen.append, answer=answer)(envelope())
    observed_by(seen.append)(b"not XML")
    assert [len(each.stages()) for each in seen] == [3, 1]
    assert isinstance(seen[0].refusal, ServiceSpecific)
    assert (seen[1].operation, seen[1].request) == ("", b"not XML")


def test_a_request_that_is_refused_unread_is_observed() -> None:
    seen: list[Exchange] = []
    server = SoapServer(build({}, frozenset(Role)), [seen.append])
    refusal = InvalidMessage("too long")
    (body,) = server.refuse({"CONTENT_TYPE": ""}, lambda *_: None, "http://h/a.asmx", refusal)
    assert [(each.refusal, each.request, each.reply) for each in seen] == [(refusal, b"", body)]


def test_an_observer_that_fails_does_not_change_the_reply(envelope: Written) -> None:
    seen: list[Exchange] = []

    def fail(_exchange: Exchange) -> None:
        raise ValueError("secret")

    with capture_logs() as lines:
        answer = observed_by(fail, seen.append)(envelope())
    assert answer.status == "200 OK"
    assert len(seen) == 1
    assert [line["error"] for line in lines if line["event"] == "incident"] == ["ValueError"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_observed_under_its_name(envelope: Written, name: str) -> None:
    seen: list[Exchange] = []
    observed_by(seen.append)(envelope(name))
    assert [each.operation for each in seen] == [name]
