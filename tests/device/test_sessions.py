"""A device reports its sessions under secure stop until they are accepted."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device.journal import open_journal
from rightsmanager.device.metering import MeteringCertificates
from rightsmanager.device.playing import stop
from rightsmanager.device.sessions import KeptSession, SessionStore, messages, report_sessions
from rightsmanager.errors import InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.metering import metering_keys
from rightsmanager.protocol.messages.secure_stop import (
    SecureStopChallenge,
    SecureStopResponse,
    Session,
    open_secure_stop,
    seal_secure_stop_response,
    verify_proof,
)
from rightsmanager.protocol.wire import Kid, SessionId
from tests.device.answering import (
    SIGNER_KEY,
    URL,
    Answer,
    Lost,
    Server,
    make_client,
    refusing,
)
from tests.device.test_metering import METERING_KEY, MID, OTHER_MID, giving, metering_chain
from tests.operations.subject import PORTABLE
from tests.second import world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.device import LicenseOpener
    from rightsmanager.device.client import ServerClient
    from rightsmanager.protocol.xml.envelope import Envelope

KID, KEY = Kid(bytes(range(16))), b"secure stop key2"
NOBODYS = SessionId(b"\x99" * 16)


def session_id(number: int) -> SessionId:
    return SessionId(bytes([number]) * 16)


def kept(number: int, key: bytes | None = None, *, stopped: bool = True) -> KeptSession:
    return KeptSession(Session(session_id(number), KID, 1000, 1060, stopped), key)


@dataclass(frozen=True)
class Stopping:
    """A device with sessions."""

    opening: LicenseOpener
    store: SessionStore
    certificates: MeteringCertificates

    def put(self, *sessions: KeptSession) -> None:
        rows = [
            (
                each.session.session_id.raw,
                MID.raw,
                each.session.kid.raw,
                each.session.start_time,
                each.session.update_time,
                each.session.stopped,
                each.proof_key,
            )
            for each in sessions
        ]
        with self.store.journal.transaction() as connection:
            connection.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def report(self, *answers: Answer) -> list[SecureStopResponse]:
        server = Server(
            {
                "GetMeteringCertificate": [giving(metering_chain())],
                "ProcessSecureStopData": list(answers),
            }
        )
        client: ServerClient = make_client(self.opening, server)
        reported = report_sessions(MID, URL, client, self.certificates, self.store)
        return [answer for _, answer in reported]

    def left(self) -> list[SessionId]:
        return [each.session.session_id for each in self.store.find(MID)]


@pytest.fixture
def stopping(opening: LicenseOpener, tmp_path: Path) -> Iterator[Stopping]:
    with closing(open_journal(tmp_path)) as journal:
        yield Stopping(opening, SessionStore(journal), MeteringCertificates(tmp_path))


def hearing(received: list[SecureStopChallenge], **more: object) -> Answer:
    """Accept every session of a message and prove what it proves, but for what is given."""

    def answer(envelope: Envelope) -> bytes:
        keys = metering_keys(lambda _: [METERING_KEY])
        challenge = open_secure_stop(envelope, keys, PORTABLE, parse_chain)
        received.append(challenge)
        session = challenge.proposed
        if session is not None and challenge.proof is not None:
            verify_proof(KEY, session, challenge.proof)
        accepted = tuple(each.session_id for each in challenge.sessions)
        verified = None if session is None else session.session_id
        right = SecureStopResponse(challenge.mid, accepted, verified)
        response = replace(right, **more)  # type: ignore[arg-type] # fields of SecureStopResponse
        return seal_secure_stop_response(response, world.SIGNER_CHAIN, SIGNER_KEY)

    return answer


def test_all_sessions_are_reported_in_one_message(stopping: Stopping) -> None:
    sessions = [kept(1), kept(2, stopped=False), kept(3, KEY)]
    stopping.put(*sessions)
    received: list[SecureStopChallenge] = []
    (answer,) = stopping.report(hearing(received))
    (challenge,) = received
    assert challenge.sessions == tuple(each.session for each in sessions)
    assert answer.verified == session_id(3)
    assert stopping.left() == []
    assert stopping.store.mids() == ()


def test_each_session_with_a_key_is_proven(stopping: Stopping) -> None:
    stopping.put(kept(1, KEY), kept(2, KEY), kept(3))
    received: list[SecureStopChallenge] = []
    answers = stopping.report(hearing(received))
    assert [answer.verified for answer in answers] == [session_id(1), session_id(2)]
    assert [len(challenge.sessions) for challenge in received] == [2, 1]


def test_what_is_not_accepted_stays(stopping: Stopping) -> None:
    stopping.put(kept(1), kept(2))
    stopping.report(hearing([], accepted=(session_id(2),)))
    assert stopping.left() == [session_id(1)]


def test_a_session_that_stops_while_it_is_reported_is_reported_again(stopping: Stopping) -> None:
    stopping.put(kept(1, stopped=False), kept(2))

    def meanwhile(envelope: Envelope) -> bytes:
        stop([session_id(1)], stopping.store.journal, 2000)
        return hearing([])(envelope)

    stopping.report(meanwhile)
    (left,) = stopping.store.find(MID)
    assert left.session == Session(session_id(1), KID, 1000, 2000, stopped=True)


def lose(envelope: Envelope) -> bytes:
    hearing([])(envelope)
    raise Lost


@pytest.mark.parametrize(
    "answer",
    [
        lose,
        refusing(ServiceSpecific("not now")),
        hearing([], mid=OTHER_MID),
        hearing([], accepted=(NOBODYS,)),
    ],
)
def test_sessions_without_a_good_answer_stay(stopping: Stopping, answer: Answer) -> None:
    stopping.put(kept(1), kept(2, KEY))
    with pytest.raises((Lost, Refusal)):
        stopping.report(answer)
    assert stopping.left() == [session_id(1), session_id(2)]
    received: list[SecureStopChallenge] = []
    stopping.report(hearing(received))
    assert len(received[0].sessions) == 2
    assert stopping.left() == []


def test_an_unsigned_answer_is_refused(stopping: Stopping) -> None:
    stopping.put(kept(1))

    def altered(envelope: Envelope) -> bytes:
        reply = hearing([], accepted=())(envelope)
        return reply.replace(
            b"<SecureStop2V", f"<SessionID>{session_id(1).base64}</SessionID><SecureStop2V".encode()
        )

    with pytest.raises(InvalidMessage):
        stopping.report(altered)
    assert stopping.left() == [session_id(1)]


@pytest.mark.parametrize(
    ("others", "provable", "sizes"),
    [
        (0, 0, []),
        (1, 0, [1]),
        (5, 0, [2, 2, 1]),
        (0, 2, [1, 1]),
        (5, 1, [3, 2, 1]),
        (1, 3, [2, 1, 1]),
    ],
)
def test_a_message_is_of_bounded_size(others: int, provable: int, sizes: list[int]) -> None:
    sessions = [kept(n) for n in range(others)] + [kept(n, KEY) for n in range(9, 9 + provable)]
    made = list(messages(sessions, 3))
    assert [len(message.sessions) for message in made] == sizes
    assert sum(message.proven is not None for message in made) == provable
    assert {each.session for message in made for each in message.sessions} == {
        each.session for each in sessions
    }
