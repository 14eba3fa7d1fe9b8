"""ProcessSecureStopData: a client reports stopped playback sessions.

    SecureStopData                   MeteringID (base64)
    Data                             Sessions/Session/{SessionID,KID,StartTime,UpdateTime,Stopped},
                                     one or more, each SessionID once; ids in base64, times in Unix
                                     seconds, Stopped 1, or 0 for a session that ended uncleanly
                                     SecureStop2/{SessionID,Proof}, optional, for one of them
    SecureStopResponse               MeteringID; SessionID, each that was accepted;
                                     SecureStop2VerifiedSession (base64), zeros if none is proven

The challenge is encrypted to the key of the metering service, and KeyName is its MeteringID. The
proof of secure stop 2 is AES-CMAC, 16 bytes, under the key in the KID's licence, over

    SessionID(16) KID(16) StartTime u64 UpdateTime u64 Stopped u8

It is public that sessions are so reported, that the message uses the metering certificate, and that
a server that sent a key with the licence can verify a session. The form is a profile of this
project: see `exchange`.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from rightsmanager.crypto import aes, p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.protocol.messages.challenge import KeysByName
from rightsmanager.protocol.messages.exchange import (
    ChallengeKeys,
    ClientInfo,
    MessageNames,
    OpenedReply,
    open_reply,
    seal_reply,
)
from rightsmanager.protocol.messages.metering import (
    build_mid,
    open_mid_challenge,
    seal_mid_challenge,
)
from rightsmanager.protocol.wire import (
    GUID_LENGTH,
    PROTOCOLS,
    Kid,
    Mid,
    SessionId,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml.elements import Fields, child, optional_child, plain_text
from rightsmanager.protocol.xml.envelope import Envelope

FORM: Final = MessageNames("ProcessSecureStopData", "SecureStopData", "SecureStopResponse")
MAX_SESSIONS: Final = 1000
"""Default of the most sessions in a message."""
PROOF_LENGTH: Final = 16
NOT_PROVEN: Final = SessionId(bytes(GUID_LENGTH))
"""The session id in a reply without a proven session."""

_PROVEN: Final = struct.Struct(">16s16sQQB")


@dataclass(frozen=True, slots=True)
class Session:
    """A reported playback session; times are in Unix seconds, below 2^64.

    Raises InvalidMessage for an update before the start.
    """

    session_id: SessionId
    kid: Kid
    start_time: int
    update_time: int
    stopped: bool
    """False for a session that ended uncleanly."""

    def __post_init__(self) -> None:
        """Refuse an update before the start."""
        if self.update_time < self.start_time:
            raise InvalidMessage(
                f"SessionID {self.session_id.text} has UpdateTime {self.update_time}, expected "
                f"its StartTime {self.start_time} or later"
            )


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of one session, 16 bytes; raises InvalidMessage for another length."""

    session_id: SessionId
    tag: bytes

    def __post_init__(self) -> None:
        """Refuse any other length."""
        if len(self.tag) != PROOF_LENGTH:
            raise InvalidMessage(f"Proof has {len(self.tag)} bytes, expected {PROOF_LENGTH}")


@dataclass(frozen=True, slots=True)
class SecureStopChallenge:
    """A ProcessSecureStopData challenge."""

    mid: Mid
    """The metering service that it was encrypted to."""
    sessions: tuple[Session, ...]
    """One or more with different ids."""
    proof: Proof | None
    """For one of the sessions."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""

    @property
    def proposed(self) -> Session | None:
        """The session that the proof is for; None without a proof."""
        if self.proof is None:
            return None
        session_id = self.proof.session_id
        return next(each for each in self.sessions if each.session_id == session_id)


@dataclass(frozen=True, slots=True)
class SecureStopResponse:
    """The reply to ProcessSecureStopData."""

    mid: Mid
    accepted: tuple[SessionId, ...]
    verified: SessionId | None
    """The proven session."""


# --- the key and the proof ------------------------------------------------------------------------


def build_proof(key: bytes, session: Session) -> Proof:
    """Return the proof of a session under its KID's secure-stop-2 key of 16 bytes."""
    return Proof(session.session_id, aes.cmac(key, _proven(session)))


def verify_proof(key: bytes, session: Session, proof: Proof) -> None:
    """Verify a session's proof under the key of 16 bytes; raises InvalidMessage."""
    aes.verify_cmac(key, proof.tag, _proven(session))


def _proven(session: Session) -> bytes:
    return _PROVEN.pack(
        session.session_id.raw,
        session.kid.raw,
        session.start_time,
        session.update_time,
        session.stopped,
    )


def wrap_key(key: bytes, content_key: bytes) -> bytes:
    """Return a secure-stop-2 key of 16 bytes, wrapped for a licence with that content key."""
    return aes.ecb_encrypt(content_key, key)


def unwrap_key(wrapped: bytes, content_key: bytes) -> bytes:
    """Return the secure-stop-2 key, 16 bytes, of a licence with that content key."""
    return aes.ecb_decrypt(content_key, wrapped)


# --- the challenge --------------------------------------------------------------------------------


def open_secure_stop(
    envelope: Envelope,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
    max_sessions: int = MAX_SESSIONS,
) -> SecureStopChallenge:
    """Return a ProcessSecureStopData challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    mid, opened = open_mid_challenge(envelope, FORM, keys, backend, parse_chain)
    sessions = _sessions(opened.data, max_sessions)
    proof = _proof(opened.data, sessions)
    return SecureStopChallenge(mid, sessions, proof, opened.chains, opened.signer, opened.fields)


def seal_secure_stop(
    mid: Mid,
    sessions: Sequence[Session],
    proof: Proof | None,
    client: ClientInfo,
    keys: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessSecureStopData challenge.

    `keys` has the key of the metering certificate as its server key; its name is ignored.
    """
    data_elements = _build_sessions(sessions) + _build_proof(proof)
    return seal_mid_challenge(mid, FORM, "", data_elements, client=client, keys=keys)


def _sessions(data: etree._Element, max_sessions: int) -> tuple[Session, ...]:
    elements = child(data, "", "Sessions").findall("Session")
    if not 0 < len(elements) <= max_sessions:
        raise InvalidMessage(f"Sessions has {len(elements)} Session, expected 1 to {max_sessions}")
    sessions = tuple(map(_session, elements))
    seen: set[SessionId] = set()
    for session in sessions:
        if session.session_id in seen:
            raise InvalidMessage(
                f"Sessions has SessionID {session.session_id.text} twice, expected each once"
            )
        seen.add(session.session_id)
    return sessions


def _session(element: etree._Element) -> Session:
    fields = Fields(element, "")
    return Session(
        session_id=SessionId.from_base64(fields.text("SessionID")),
        kid=Kid.from_base64(fields.text("KID")),
        start_time=fields.number("StartTime"),
        update_time=fields.number("UpdateTime"),
        stopped=_stopped(fields.text("Stopped")),
    )


def _stopped(text: str) -> bool:
    if text not in ("0", "1"):
        raise InvalidMessage(f"Stopped is {text[:32]!r}, expected 0 or 1")
    return text == "1"


def _proof(data: etree._Element, sessions: tuple[Session, ...]) -> Proof | None:
    element = optional_child(data, "", "SecureStop2")
    if element is None:
        return None
    fields = Fields(element, "")
    proof = Proof(
        SessionId.from_base64(fields.text("SessionID")),
        decode_base64(fields.text("Proof"), "Proof"),
    )
    if all(session.session_id != proof.session_id for session in sessions):
        raise InvalidMessage(
            f"SecureStop2 has SessionID {proof.session_id.text}, expected one of the Sessions"
        )
    return proof


def _build_sessions(sessions: Sequence[Session]) -> str:
    return f"<Sessions>{''.join(map(_build_session, sessions))}</Sessions>"


def _build_session(session: Session) -> str:
    return (
        f"<Session><SessionID>{session.session_id.base64}</SessionID>"
        f"<KID>{session.kid.base64}</KID><StartTime>{session.start_time}</StartTime>"
        f"<UpdateTime>{session.update_time}</UpdateTime><Stopped>{session.stopped:d}</Stopped>"
        "</Session>"
    )


def _build_proof(proof: Proof | None) -> str:
    if proof is None:
        return ""
    return (
        f"<SecureStop2><SessionID>{proof.session_id.base64}</SessionID>"
        f"<Proof>{encode_base64(proof.tag)}</Proof></SecureStop2>"
    )


# --- the reply ------------------------------------------------------------------------------------


def seal_secure_stop_response(
    response: SecureStopResponse,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: the signed reply to ProcessSecureStopData."""
    accepted = "".join(f"<SessionID>{each.base64}</SessionID>" for each in response.accepted)
    verified = (response.verified or NOT_PROVEN).base64
    elements = (
        f"{build_mid(response.mid)}{accepted}"
        f"<SecureStop2VerifiedSession>{verified}</SecureStop2VerifiedSession>"
    )
    return seal_reply(FORM, elements, signing_chain, key, custom_data=custom_data)


def open_secure_stop_response(envelope: Envelope) -> tuple[SecureStopResponse, OpenedReply]:
    """Return the reply to ProcessSecureStopData, its signature not yet verified.

    Raises InvalidMessage.
    """
    opened = open_reply(envelope, FORM, repeated=("SessionID",))
    accepted = opened.element.findall(f"{{{PROTOCOLS}}}SessionID")
    verified = SessionId.from_base64(opened.fields.text("SecureStop2VerifiedSession"))
    response = SecureStopResponse(
        mid=Mid.from_base64(opened.fields.text("MeteringID")),
        accepted=tuple(SessionId.from_base64(plain_text(each)) for each in accepted),
        verified=None if verified == NOT_PROVEN else verified,
    )
    return response, opened
