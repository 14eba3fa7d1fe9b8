"""ProcessSecureStopData: a device says which playback sessions have stopped.

A session is known by its device and its id, and counts once. What is said of it may be repeated,
and a session that had ended uncleanly may be told to have gone on or to have stopped after all; an
older report that arrives late changes nothing. Anything else said under the same id is refused.

A proof of secure stop 2 that is wrong leaves its session unproven; the sessions are recorded all
the same, for they are what the device reports. A KID need not be one that the server knows.

A report that says something new closes the streams of its device and KID that the device had
opened by the time of the session's last update, all by the device's own clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.clients import device_id, refuse_client
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.signing import Signing
from rightsmanager.operations.streams import LATEST
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import KeysByName
from rightsmanager.protocol.messages.secure_stop import (
    FORM,
    MAX_SESSIONS,
    SecureStopChallenge,
    SecureStopResponse,
    Session,
    open_secure_stop,
    seal_secure_stop_response,
    verify_proof,
)
from rightsmanager.protocol.wire import SessionId
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.sessions import StoredSession


@dataclass(frozen=True, slots=True)
class SecureStopService:
    """Takes note of playback sessions that have ended."""

    keys: KeysByName = field(repr=False)
    """Gives the private keys of a metering id, which is what a KeyName is here."""
    secure_stop_keys: SecureStopKeys
    signing: Signing
    verifier: ChainVerifier
    store: Store
    revocations: RevocationCache
    backend: p256.Backend
    clock: Callable[[], int]
    max_sessions: int = MAX_SESSIONS
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))

    def process_secure_stop_data(self, request: Request) -> bytes:
        """Return the reply to a ProcessSecureStopData challenge, its sessions recorded.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_secure_stop(
            request.envelope, self.keys, self.backend, self.verifier.parse, self.max_sessions
        )
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, now)
        _refuse_times(challenge)
        verified = self._verified(challenge)
        with self.store.transaction() as transaction:
            _record(transaction, challenge, verified, now)
        kids = tuple(session.kid for session in challenge.sessions)
        self.hooks.on_event(Event(FORM.operation, device_id(challenge.signer.leaf), kids))
        response = SecureStopResponse(
            challenge.mid, tuple(each.session_id for each in challenge.sessions), verified
        )
        return seal_secure_stop_response(response, self.signing.chain, self.signing.key)

    def _verified(self, challenge: SecureStopChallenge) -> SessionId | None:
        """Return the session that is proven, None for none."""
        proposed, proof = challenge.proposed, challenge.proof
        if proposed is None or proof is None:
            return None
        try:
            verify_proof(self.secure_stop_keys.key(proposed.kid), proposed, proof)
        except InvalidMessage:
            return None
        return proposed.session_id


def _refuse_times(challenge: SecureStopChallenge) -> None:
    for session in challenge.sessions:
        if session.update_time > LATEST:
            raise InvalidMessage(
                f"SessionID {session.session_id.text} has UpdateTime {session.update_time}, "
                f"expected at most {LATEST}"
            )


def _record(
    transaction: Transaction, challenge: SecureStopChallenge, verified: SessionId | None, now: int
) -> None:
    device = device_id(challenge.signer.leaf)
    # Everybody locks in the same order, so that nobody waits for one who waits for him.
    sessions = sorted(challenge.sessions, key=lambda session: session.session_id.raw)
    news = [
        session
        for session in sessions
        if _record_session(transaction, _stored(challenge, session, device, verified, now))
    ]
    for session in sorted(news, key=lambda session: session.kid.raw):
        transaction.streams.end_stopped(device, session.kid, session.update_time, now)


def _stored(
    challenge: SecureStopChallenge,
    session: Session,
    device: str,
    verified: SessionId | None,
    now: int,
) -> StoredSession:
    return StoredSession(
        device=device,
        session_id=session.session_id,
        kid=session.kid,
        mid=challenge.mid,
        start_time=session.start_time,
        update_time=session.update_time,
        stopped=session.stopped,
        proven=session.session_id == verified,
        reported_at=now,
        changed_at=now,
    )


def _record_session(transaction: Transaction, said: StoredSession) -> bool:
    """Record what is said of a session; return whether it says anything new of the playback."""
    known = transaction.sessions.record(said)
    if known is None:
        return True
    _refuse_contradiction(known, said)
    is_newer = not known.stopped and (said.stopped or said.update_time > known.update_time)
    is_same = (known.update_time, known.stopped) == (said.update_time, said.stopped)
    if is_newer or (is_same and said.proven and not known.proven):
        transaction.sessions.change(said)
    return is_newer


def _refuse_contradiction(known: StoredSession, said: StoredSession) -> None:
    """Refuse what cannot be true beside what was said before; raises InvalidMessage."""
    for name in ("kid", "mid", "start_time"):
        if getattr(known, name) != getattr(said, name):
            raise _contradiction(known, said, name.replace("_", " "))
    last = max(known.update_time, said.update_time)
    for each in (known, said):
        if each.stopped and each.update_time != last:
            raise _contradiction(known, said, "update time")


def _contradiction(known: StoredSession, said: StoredSession, what: str) -> InvalidMessage:
    return InvalidMessage(
        f"SessionID {said.session_id.text} was reported before with another {what}: "
        f"{_told(known)}, now {_told(said)}"
    )


def _told(session: StoredSession) -> str:
    end = "stopped" if session.stopped else "last seen"
    return (
        f"KID {session.kid.text} of MID {session.mid.text}, started {session.start_time}, "
        f"{end} {session.update_time}"
    )
