"""ProcessSecureStopData: a device reports which playback sessions have stopped.

A session is identified by its device and its id, and counts once. A report may be repeated, and a
session that ended uncleanly may later be reported as continued or stopped; an older report that
arrives late changes nothing. Any other contradiction under the same id is refused.

An invalid proof of secure stop 2 leaves its session unproven; the sessions are recorded all the
same, because the device does report them. The server need not know the KID.

A report that says something new closes the streams of its device and KID that the device had
opened by the time of the session's last update, all by the device's own clock.
"""

from dataclasses import replace

from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.context import Context, authenticate, build_report_facts
from rightsmanager.operations.request import Request
from rightsmanager.operations.streams import LATEST
from rightsmanager.policy.device import Device
from rightsmanager.protocol.messages.secure_stop import (
    SecureStopChallenge,
    SecureStopResponse,
    Session,
    open_secure_stop,
    seal_secure_stop_response,
    verify_proof,
)
from rightsmanager.protocol.wire import SessionId
from rightsmanager.store.database import Transaction
from rightsmanager.store.sessions import StoredSession


def process_secure_stop_data(context: Context, request: Request) -> bytes:
    """Return the reply to a ProcessSecureStopData challenge, its sessions recorded."""
    now = context.clock()
    challenge = open_secure_stop(
        request.envelope,
        context.metering_keys.by_name,
        context.backend,
        context.verifier.parse,
        context.options.max_sessions,
    )
    device = authenticate(context, request, challenge, now)
    _refuse_times(challenge)
    if context.hooks.is_used:
        _ask_hooks(context, request, challenge, device)
    proven = _find_proven(context, challenge)
    with context.store.transaction() as transaction:
        _record(transaction, challenge, device, proven, now)
    request.progress.recorded = request.progress.clock()
    request.progress.kids = tuple(session.kid for session in challenge.sessions)
    response = SecureStopResponse(
        challenge.mid, tuple(each.session_id for each in challenge.sessions), proven
    )
    return seal_secure_stop_response(
        response,
        context.signing.chain,
        context.signing.key,
        custom_data=request.progress.reply_custom_data,
    )


def _ask_hooks(
    context: Context, request: Request, challenge: SecureStopChallenge, device: Device
) -> None:
    facts = replace(
        build_report_facts(request, device, challenge.elements),
        kids=tuple(dict.fromkeys(each.kid for each in challenge.sessions)),
        metering_id=challenge.mid,
        sessions=challenge.sessions,
    )
    context.hooks.decide(request.progress, facts)


def _find_proven(context: Context, challenge: SecureStopChallenge) -> SessionId | None:
    """Return the session whose proof verifies, or None."""
    proposed, proof = challenge.proposed, challenge.proof
    if proposed is None or proof is None:
        return None
    try:
        verify_proof(context.secure_stop_keys.key(proposed.kid), proposed, proof)
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
    transaction: Transaction,
    challenge: SecureStopChallenge,
    device: Device,
    proven: SessionId | None,
    now: int,
) -> None:
    # In a fixed order, to avoid deadlock.
    sessions = sorted(challenge.sessions, key=lambda session: session.session_id.raw)
    new = [
        session
        for session in sessions
        if _record_session(transaction, _to_row(challenge, session, device, proven, now))
    ]
    for session in sorted(new, key=lambda session: session.kid.raw):
        transaction.streams.end_stopped(device.id, session.kid, session.update_time, now)


def _to_row(
    challenge: SecureStopChallenge,
    session: Session,
    device: Device,
    proven: SessionId | None,
    now: int,
) -> StoredSession:
    return StoredSession(
        device=device.id,
        session_id=session.session_id,
        kid=session.kid,
        mid=challenge.mid,
        start_time=session.start_time,
        update_time=session.update_time,
        stopped=session.stopped,
        proven=session.session_id == proven,
        reported_at=now,
        changed_at=now,
    )


def _record_session(transaction: Transaction, reported: StoredSession) -> bool:
    """Record a reported session; return True if it says anything new of the playback."""
    known = transaction.sessions.record(reported)
    if known is None:
        return True
    _refuse_contradiction(known, reported)
    is_newer = not known.stopped and (reported.stopped or reported.update_time > known.update_time)
    is_same = (known.update_time, known.stopped) == (reported.update_time, reported.stopped)
    if is_newer or (is_same and reported.proven and not known.proven):
        transaction.sessions.change(reported)
    return is_newer


def _refuse_contradiction(known: StoredSession, reported: StoredSession) -> None:
    """Raise InvalidMessage if the two reports of a session contradict each other."""
    for name in ("kid", "mid", "start_time"):
        if getattr(known, name) != getattr(reported, name):
            raise _contradiction(known, reported, name.replace("_", " "))
    last = max(known.update_time, reported.update_time)
    for each in (known, reported):
        if each.stopped and each.update_time != last:
            raise _contradiction(known, reported, "update time")


def _contradiction(known: StoredSession, reported: StoredSession, what: str) -> InvalidMessage:
    return InvalidMessage(
        f"SessionID {reported.session_id.text} was reported before with another {what}: "
        f"{_summary(known)}, now {_summary(reported)}"
    )


def _summary(session: StoredSession) -> str:
    end = "stopped" if session.stopped else "last seen"
    return (
        f"KID {session.kid.text} of MID {session.mid.text}, started {session.start_time}, "
        f"{end} {session.update_time}"
    )
