"""ProcessSecureStopData on the client's side: sessions under secure stop, until accepted.

A message proves one session, so each whose licence brought a key of secure stop 2 is in a message
of its own, together with as many others as fit.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rightsmanager.device.client import ServerClient
from rightsmanager.device.journal import Journal
from rightsmanager.device.metering import MeteringCertificates, report_url
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.messages.metering import MeteringCertificate
from rightsmanager.protocol.messages.secure_stop import (
    FORM,
    MAX_SESSIONS,
    SecureStopResponse,
    Session,
    build_proof,
    open_secure_stop_response,
    seal_secure_stop,
)
from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.protocol.xml.envelope import Envelope


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A session that no server has accepted yet."""

    session: Session
    proof_key: bytes | None = field(repr=False)
    """16 bytes; None if the licence had none."""


@dataclass(frozen=True, slots=True)
class Message:
    """The sessions of one message."""

    sessions: tuple[KeptSession, ...]
    proven: KeptSession | None
    """The session that it proves."""

    @property
    def ids(self) -> frozenset[SessionId]:
        """The ids of its sessions."""
        return frozenset(each.session.session_id for each in self.sessions)


@dataclass(frozen=True, slots=True)
class SessionStore:
    """The sessions in a journal."""

    journal: Journal

    def mids(self) -> tuple[Mid, ...]:
        """Return the metering ids with sessions to report."""
        with self.journal.transaction() as connection:
            rows = connection.execute("SELECT DISTINCT mid FROM sessions ORDER BY mid").fetchall()
        return tuple(Mid(mid) for (mid,) in rows)

    def find(self, mid: Mid) -> tuple[KeptSession, ...]:
        """Return the sessions of a metering id, the oldest first."""
        with self.journal.transaction() as connection:
            rows = connection.execute(
                "SELECT session_id, kid, started_at, updated_at, stopped, proof_key FROM sessions "
                "WHERE mid = ? ORDER BY started_at, rowid",
                (mid.raw,),
            ).fetchall()
        return tuple(
            KeptSession(
                Session(SessionId(row[0]), Kid(row[1]), row[2], row[3], bool(row[4])), row[5]
            )
            for row in rows
        )

    def clear(self, sessions: Sequence[Session]) -> None:
        """Remove accepted sessions, unless they changed since they were reported."""
        with self.journal.transaction() as connection:
            connection.executemany(
                "DELETE FROM sessions WHERE session_id = ? AND updated_at = ? AND stopped = ?",
                [(each.session_id.raw, each.update_time, each.stopped) for each in sessions],
            )


def report_sessions(
    mid: Mid,
    url: str | None,
    client: ServerClient,
    certificates: MeteringCertificates,
    store: SessionStore,
) -> Iterator[tuple[Message, SecureStopResponse]]:
    """Report the sessions of a metering id, and yield each message that was answered.

    Raises the Refusal of a fault, InvalidMessage for a reply that fails a check, and InternalError
    without a reply; sessions that were not accepted are sent again the next time.
    """
    certificate = certificates.obtain(mid, url, client)
    for message in messages(store.find(mid)):
        answer = process_secure_stop_data(
            report_url(url, certificate), message, certificate, client
        )
        accepted = set(answer.accepted)
        sessions = [each.session for each in message.sessions]
        store.clear([each for each in sessions if each.session_id in accepted])
        yield message, answer


def messages(kept: Sequence[KeptSession], max_sessions: int = MAX_SESSIONS) -> Iterator[Message]:
    """Yield the messages that report the sessions, with at most `max_sessions` (2 or more) each."""
    provable = [each for each in kept if each.proof_key is not None]
    others = [each for each in kept if each.proof_key is None]
    size = max_sessions - 1
    parts = [others[at : at + size] for at in range(0, len(others), size)]
    for part, proven in zip_longest(parts, provable):
        yield Message((*(part or ()), *((proven,) if proven else ())), proven)


def process_secure_stop_data(
    url: str, message: Message, certificate: MeteringCertificate, client: ServerClient
) -> SecureStopResponse:
    """Return the sessions that the server accepted; raises what `report_sessions` raises."""
    envelope = client.call(url, FORM.operation, sessions_challenge(message, certificate, client))
    return accept_sessions(envelope, certificate.mid, message.ids, client)


def sessions_challenge(
    message: Message, certificate: MeteringCertificate, client: ServerClient
) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessSecureStopData challenge."""
    proven = message.proven
    proof = (
        None
        if proven is None or proven.proof_key is None
        else build_proof(proven.proof_key, proven.session)
    )
    sessions = [each.session for each in message.sessions]
    return seal_secure_stop(
        certificate.mid,
        sessions,
        proof,
        client.client_info(),
        client.challenge_keys(certificate.key),
    )


def accept_sessions(
    envelope: Envelope, mid: Mid, reported: Collection[SessionId], client: ServerClient
) -> SecureStopResponse:
    """Return a reply to a report of sessions; raises InvalidMessage if it fails a check."""
    response, reply = open_secure_stop_response(envelope)
    client.verify(reply)
    _refuse_other(response, mid, reported)
    return response


def _refuse_other(response: SecureStopResponse, mid: Mid, reported: Collection[SessionId]) -> None:
    if response.mid != mid:
        raise InvalidMessage(f"the reply is of MeteringID {response.mid.text}, expected {mid.text}")
    for session_id in response.accepted:
        if session_id not in reported:
            raise InvalidMessage(
                f"the reply accepts SessionID {session_id.text}, which was not reported"
            )
