"""Streams under four workers: the limit holds, and no report of a stop is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import system_random
from rightsmanager.protocol.formats.xmr.objects import SecureStop2Key
from rightsmanager.protocol.messages.secure_stop import build_proof, unwrap_key
from rightsmanager.protocol.wire import AccountId, Kid, SessionId
from tests.e2e.devices import make_device, text
from tests.e2e.reporting import Reporter, open_streams_of, read_stop, sessions_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Answer, Command, Enrol, HeaderOf, Server, Start

LIMIT = 3
TARGET = "/rightsmanager.asmx?cfg=(securestop:true)"
STOP = '"http://schemas.microsoft.com/DRM/2007/03/protocols/ProcessSecureStopData"'


@pytest.fixture(scope="module")
def limited(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with four workers and limits."""
    return start(
        tmp_path_factory.mktemp("limited") / "data",
        *("--workers", "4"),
        RIGHTSMANAGER_STREAMS__MAX_PER_DEVICE=str(LIMIT),
        RIGHTSMANAGER_STREAMS__MAX_PER_ACCOUNT="1",
    )


@pytest.fixture
def reporter(limited: Server, enrol: Enrol) -> Reporter:
    return Reporter(enrol(limited.data), limited)


def of(reporter: Reporter) -> list[Kid]:
    """Return the KIDs of a device's open streams."""
    device = reporter.client.device.chain.leaf.device_id
    return sorted(
        (each.kid for each in open_streams_of(reporter.server) if each.device == device),
        key=lambda kid: kid.raw,
    )


def ask(reporter: Reporter, header_of: HeaderOf, kid: Kid) -> bytes:
    return reporter.client.challenge(header_of(kid.base64))


def all_at_once(server: Server, bodies: list[bytes], target: str) -> list[Answer]:
    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(lambda body: server.post(body, target), bodies))


def some_kids(count: int) -> list[Kid]:
    return [Kid(system_random(16)) for _ in range(count)]


def test_the_limit_holds_over_all_workers_and_a_stop_frees_its_place(
    limited: Server, reporter: Reporter, header_of: HeaderOf
) -> None:
    kids = some_kids(16)
    bodies = [ask(reporter, header_of, kid) for kid in kids]
    answers = all_at_once(limited, bodies, TARGET)
    served = [kid for kid, answer in zip(kids, answers, strict=True) if answer.status == 200]
    refused = [answer for answer in answers if answer.status != 200]
    assert len(served) == LIMIT
    assert {answer.code for answer in refused} == {"0x8004c604"}
    told = json.loads(etree.fromstring(refused[0].body).findtext(".//CustomData", ""))
    assert (told["reason"], told["limit"], told["open"]) == ("streams", LIMIT, LIMIT)
    assert set(of(reporter)) == set(served)
    again = all_at_once(limited, bodies, TARGET)
    assert [each.status for each in again] == [each.status for each in answers]

    sessions = [reporter.session(kid) for kid in served[:2]]
    reply = limited.post(reporter.stop(sessions))
    assert read_stop(reply.body).accepted == tuple(each.session_id for each in sessions)
    more = all_at_once(limited, [ask(reporter, header_of, kid) for kid in some_kids(8)], TARGET)
    assert sorted(each.status for each in more) == [200] * 2 + [500] * 6


def test_a_proof_by_the_key_of_a_licence_is_confirmed(
    limited: Server, reporter: Reporter, header_of: HeaderOf
) -> None:
    (kid,) = some_kids(1)
    url = limited.url + "?cfg=(securestop:true)"
    (opened,) = reporter.client.acquire(url, header_of(kid.base64)).licenses
    carried = opened.license.find(SecureStop2Key)
    assert carried is not None
    session = reporter.session(kid)
    proof = build_proof(unwrap_key(carried.wrapped, opened.content_key), session)
    assert read_stop(limited.post(reporter.stop([session], proof)).body).verified == (
        session.session_id
    )
    wrong = replace(session, session_id=SessionId(system_random(16)))
    proof = replace(proof, session_id=wrong.session_id)
    assert read_stop(limited.post(reporter.stop([wrong], proof)).body).verified is None
    assert of(reporter) == []


def test_the_same_report_from_eight_connections_counts_once(
    limited: Server, reporter: Reporter
) -> None:
    sessions = [reporter.session(kid) for kid in some_kids(5)]
    body = reporter.stop(sessions)
    answers = all_at_once(limited, [body] * 8, "/rightsmanager.asmx")
    assert {answer.status for answer in answers} == {200}
    accepted = {read_stop(answer.body).accepted for answer in answers}
    assert accepted == {tuple(each.session_id for each in sessions)}
    recorded = [each.session_id for each in sessions_of(limited)]
    assert [recorded.count(each.session_id) for each in sessions] == [1] * 5


def test_a_client_that_vanishes_may_report_again(limited: Server, reporter: Reporter) -> None:
    session = reporter.session(some_kids(1)[0])
    body = reporter.stop([session])
    head = (
        "POST /rightsmanager.asmx HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
        f"SOAPAction: {STOP}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", limited.port)) as connection:
        connection.sendall(head.encode() + body)
    assert read_stop(limited.post(body).body).accepted == (session.session_id,)
    assert [each.session_id for each in sessions_of(limited)].count(session.session_id) == 1


def test_a_report_to_a_killed_worker_is_answered_when_it_is_repeated(
    limited: Server, reporter: Reporter
) -> None:
    bodies = {
        each.session_id: reporter.stop([each]) for each in map(reporter.session, some_kids(24))
    }
    unanswered = dict(bodies)

    def post(session_id: SessionId) -> tuple[SessionId, bool]:
        try:
            return session_id, limited.post(bodies[session_id]).status == 200
        except (OSError, HTTPException):
            return session_id, False

    kills = iter(limited.all_workers(4)[:2])
    with ThreadPoolExecutor(8) as threads:
        while unanswered:
            asked = threads.map(post, list(unanswered))
            if (pid := next(kills, None)) is not None:
                os.kill(pid, signal.SIGKILL)
            for session_id, is_answered in asked:
                if is_answered:
                    del unanswered[session_id]
    recorded = [each.session_id for each in sessions_of(limited)]
    assert [recorded.count(session_id) for session_id in bodies] == [1] * len(bodies)


def test_hostile_reports_are_refused_and_leave_nothing(limited: Server, reporter: Reporter) -> None:
    session = reporter.session(some_kids(1)[0])
    good = reporter.stop([session])
    middle = len(good) // 2
    cipher = good.rindex(b"<CipherValue>") + 20
    many = [replace(session, session_id=SessionId(n.to_bytes(16, "big"))) for n in range(1001)]
    other = replace(
        reporter,
        client=replace(
            reporter.client,
            opening=replace(
                reporter.client.opening,
                device=replace(
                    reporter.client.device, signing_key=PrivateKey.generate(system_random)
                ),
            ),
        ),
    )
    hostile = {
        "cut": good[:middle],
        "a letter of the ciphertext": good[:cipher]
        + (b"A" if good[cipher : cipher + 1] != b"A" else b"B")
        + good[cipher + 1 :],
        "another metering id": good.replace(
            reporter.mid.base64.encode(), Kid(system_random(16)).base64.encode()
        ),
        "another signer": other.stop([session]),
        "a control character": good.replace(b"<Version>1", b"<Version>&#1;1"),
        "too many sessions": reporter.stop(many),
        "a session twice": reporter.stop([session, session]),
    }
    before = sessions_of(limited)
    codes = {name: limited.post(body).code for name, body in hostile.items()}
    assert codes == dict.fromkeys(hostile, "0x8004c601")
    assert sessions_of(limited) == before
    assert limited.post(good).status == 200


def test_the_devices_of_an_account_share_its_streams(
    limited: Server, command: Command, tmp_path: Path
) -> None:
    account = AccountId(system_random(16)).text
    one, two = (make_device(limited.data, tmp_path / name) for name in ("one", "two"))
    url = f"{limited.url}?cfg=(securestop:true,accountid:{account})"
    kids = [text(kid.base64) for kid in some_kids(2)]
    for device in (one, two):
        device.run("join", "--url", limited.url, "--account", account)
    acquire = ("acquire", "--url", url, "--account", account, "--kid")
    one.run(*acquire, kids[0])
    refused = two.invoke(*acquire, kids[1])
    assert f"open streams of the account {account}: 1, expected fewer" in str(refused.exception)
    folder = ("--data", str(limited.data))
    ended = command("streams", "end", *folder, "--account", account)
    assert (ended.status, ended.output) == (0, "1 stream ended\n")
    two.run(*acquire, kids[1])
    (stream,) = command("streams", "list", *folder, "--account", account, "--json").json
    assert (stream["account"], stream["kid"]) == (account, kids[1])
