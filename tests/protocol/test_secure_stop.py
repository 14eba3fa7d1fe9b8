"""Messages of ProcessSecureStopData against the second implementation, both ways."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch, Refusal
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.messages.secure_stop import (
    Proof,
    SecureStopChallenge,
    SecureStopResponse,
    Session,
    build_proof,
    open_secure_stop,
    open_secure_stop_response,
    seal_secure_stop,
    seal_secure_stop_response,
    unwrap_key,
    verify_proof,
    wrap_key,
)
from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.protocol.xml.envelope import parse_envelope
from tests.second import challenge as second
from tests.second import curve, reports, world

BACKEND = choose_backend("portable")
METERING = PrivateKey(world.OTHER.to_bytes(32, "big"))
DEVICE = PrivateKey(world.DEVICE_SIGNING.to_bytes(32, "big"))
SIGNER = PrivateKey(world.SIGNER.to_bytes(32, "big"))
CLIENT = replace(world.CLIENT, server=curve.public(world.OTHER))
ROOT = curve.public(world.ROOT)
MID = bytes(range(16, 32))
KEY = bytes(range(16))
SESSION = reports.Session(bytes([1]) * 16, bytes([2]) * 16, 1_790_000_000, 1_790_000_060)
OTHER = replace(SESSION, session_id=bytes([3]) * 16, stopped=0)
SAID = reports.SecureStop(MID, (SESSION, OTHER), (SESSION.session_id, SESSION.proof(KEY)))

guids = st.binary(min_size=16, max_size=16)
times = st.integers(0, 2**64 - 1)


@st.composite
def some_sessions(draw: st.DrawFn) -> reports.Session:
    start, update = sorted((draw(times), draw(times)))
    return reports.Session(draw(guids), draw(guids), start, update, draw(st.integers(0, 1)))


def ours(session: reports.Session) -> Session:
    return Session(
        SessionId(session.session_id),
        Kid(session.kid),
        session.start,
        session.update,
        session.stopped == 1,
    )


def keys(name: str) -> Sequence[PrivateKey]:
    if name != second.b64(MID):
        raise InvalidMessage(f"KeyName is {name!r}, expected a metering id")
    return (METERING,)


def opened(body: bytes, max_sessions: int = 10) -> SecureStopChallenge:
    return open_secure_stop(parse_envelope(body), keys, BACKEND, parse_chain, max_sessions)


def sealed(sessions: Sequence[Session], proof: Proof | None) -> bytes:
    return seal_secure_stop(
        Mid(MID),
        sessions,
        proof,
        ClientInfo((world.DEVICE_CHAIN,), world.NOW, "4.4.0.1"),
        ChallengeKeys(DEVICE, METERING.public, BACKEND, seeded_random(b"secure stop")),
    )


@given(st.lists(some_sessions(), min_size=1, max_size=4, unique_by=lambda each: each.session_id))
def test_challenges_of_the_second_client_are_opened(sessions: list[reports.Session]) -> None:
    proof = sessions[-1].session_id, sessions[-1].proof(KEY)
    challenge = opened(reports.SecureStop(MID, tuple(sessions), proof).body(CLIENT))
    assert challenge.mid == Mid(MID)
    assert challenge.sessions == tuple(map(ours, sessions))
    assert challenge.proof == Proof(SessionId(proof[0]), proof[1])
    assert challenge.proposed == ours(sessions[-1])
    assert challenge.signer.raw == world.DEVICE_CHAIN


@given(st.lists(some_sessions(), min_size=1, max_size=4, unique_by=lambda each: each.session_id))
def test_the_second_server_opens_sealed_challenges(sessions: list[reports.Session]) -> None:
    proof = build_proof(KEY, ours(sessions[0]))
    body = sealed([ours(each) for each in sessions], proof)
    expected = reports.SecureStop(
        MID, tuple(sessions), (sessions[0].session_id, sessions[0].proof(KEY))
    )
    assert reports.read_secure_stop(body, world.OTHER, ROOT, MID) == expected


def test_the_proof_is_optional() -> None:
    body = sealed([ours(SESSION)], None)
    assert reports.read_secure_stop(body, world.OTHER, ROOT, MID).proof is None
    challenge = opened(body)
    assert (challenge.proof, challenge.proposed) == (None, None)


@given(session=some_sessions(), key=guids)
def test_a_proof_is_the_second_implementations(session: reports.Session, key: bytes) -> None:
    proof = build_proof(key, ours(session))
    assert proof.tag == session.proof(key)
    verify_proof(key, ours(session), proof)


@pytest.mark.parametrize(
    "other",
    [
        replace(SESSION, session_id=bytes(16)),
        replace(SESSION, kid=bytes(16)),
        replace(SESSION, start=SESSION.start - 1),
        replace(SESSION, update=SESSION.update + 1),
        replace(SESSION, stopped=0),
    ],
)
def test_a_proof_covers_every_field_of_a_session(other: reports.Session) -> None:
    with pytest.raises(InvalidMessage, match="does not verify"):
        verify_proof(KEY, ours(other), build_proof(KEY, ours(SESSION)))


def test_a_proof_under_another_key_does_not_verify() -> None:
    with pytest.raises(InvalidMessage, match="does not verify"):
        verify_proof(bytes(16), ours(SESSION), build_proof(KEY, ours(SESSION)))


def test_a_wrapped_key_unwraps_to_the_same() -> None:
    wrapped = wrap_key(KEY, bytes([9]) * 16)
    assert wrapped != KEY
    assert unwrap_key(wrapped, bytes([9]) * 16) == KEY


@given(st.data())
def test_every_altered_byte_of_a_challenge_is_refused(data: st.DataObject) -> None:
    body = SAID.body(CLIENT)
    at = data.draw(st.integers(0, len(body) - 1))
    altered = body[:at] + bytes([body[at] ^ 1 << data.draw(st.integers(0, 7))]) + body[at + 1 :]
    try:
        challenge = opened(altered)
    except Refusal:
        return
    assert challenge.sessions == (ours(SESSION), ours(OTHER))


def swapping(old: str, new: str) -> Callable[[str], str]:
    return lambda data: data.replace(old, new)


@pytest.mark.parametrize(
    ("alter", "text"),
    [
        (swapping("Sessions>", "Session>"), "no element Sessions"),
        (lambda _: "<Sessions></Sessions>", "Sessions has 0 Session, expected 1 to 10"),
        (swapping(second.b64(OTHER.session_id), second.b64(SESSION.session_id)), "twice"),
        (swapping("<Stopped>1<", "<Stopped>2<"), "Stopped is '2', expected 0 or 1"),
        (swapping("<Stopped>1<", "<Stopped>true<"), "Stopped is 'true', expected 0 or 1"),
        (swapping("<Stopped>1<", "<Stopped><"), "Stopped is '', expected 0 or 1"),
        (swapping("<Stopped>1</Stopped>", ""), "no element Stopped"),
        (swapping("</Stopped>", "</Stopped><Stopped>0</Stopped>"), "several elements Stopped"),
        (swapping("<StartTime>1790000000", "<StartTime>-1"), "StartTime is '-1'"),
        (swapping("<StartTime>1790000000", "<StartTime>18446744073709551616"), "below 2"),
        (swapping("<StartTime>1790000000", "<StartTime>1e9"), "StartTime is '1e9'"),
        (swapping("<StartTime>1790000000", "<StartTime>1790000061"), "has UpdateTime 1790000060"),
        (swapping("<UpdateTime>1790000060", "<UpdateTime>1789999999"), "StartTime 1790000000 or"),
        (swapping("<SessionID>", "<SessionID>AAAA"), "SessionID"),
        (swapping("<KID>", "<KID>&#9;A"), "KID"),
        (swapping("<SecureStop2><SessionID>AQ", "<SecureStop2><SessionID>AA"), "one of the Sess"),
        (swapping("<Proof>", "<Proof>AAAA"), "Proof has 19 bytes, expected 16"),
        (swapping("</SecureStop2>", "</SecureStop2><SecureStop2></SecureStop2>"), "several elem"),
    ],
)
def test_an_invalid_challenge_is_refused(alter: Callable[[str], str], text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        opened(SAID.body(CLIENT, alter))
    assert text in refusal.value.text


def test_more_sessions_than_allowed_are_refused() -> None:
    sessions = tuple(
        replace(SESSION, session_id=number.to_bytes(16, "big")) for number in range(11)
    )
    with pytest.raises(InvalidMessage, match="Sessions has 11 Session, expected 1 to 10"):
        opened(reports.SecureStop(MID, sessions).body(CLIENT))
    assert len(opened(reports.SecureStop(MID, sessions[1:]).body(CLIENT)).sessions) == 10


@pytest.mark.parametrize("key_name", ["WMRMServer", second.b64(bytes(16)), "x"])
def test_another_key_name_than_the_metering_id_is_refused(key_name: str) -> None:
    with pytest.raises(InvalidMessage, match="KeyName is"):
        opened(replace(SAID, key_name=key_name).body(CLIENT))


def test_a_key_name_must_be_the_metering_id_of_the_message() -> None:
    body = replace(SAID, mid=bytes(16), key_name=second.b64(MID)).body(CLIENT)
    with pytest.raises(InvalidMessage, match="but the challenge is encrypted to the key of"):
        opened(body)


def test_a_message_to_another_key_does_not_open() -> None:
    body = SAID.body(replace(CLIENT, server=curve.public(world.SERVER)))
    with pytest.raises(InvalidMessage, match="EncryptedData does not open"):
        opened(body)


@pytest.mark.parametrize("version", ["0", "2", "5"])
def test_another_version_is_a_mismatch(version: str) -> None:
    with pytest.raises(ProtocolVersionMismatch):
        opened(replace(SAID, version=version).body(CLIENT))


# --- the reply ------------------------------------------------------------------------------------


def reply(response: SecureStopResponse) -> bytes:
    return seal_secure_stop_response(response, world.SIGNER_CHAIN, SIGNER)


def enveloped(child: bytes) -> bytes:
    return b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        child,
    )


ACCEPTED = (SessionId(SESSION.session_id), SessionId(OTHER.session_id))


@pytest.mark.parametrize("verified", [None, ACCEPTED[0]])
def test_a_reply_has_the_accepted_and_proven_sessions(verified: SessionId | None) -> None:
    response = SecureStopResponse(Mid(MID), ACCEPTED, verified)
    text = reply(response)
    read = reports.read_secure_stop_reply(text, ROOT)
    proven = bytes(16) if verified is None else verified.raw
    assert read == (MID, (SESSION.session_id, OTHER.session_id), proven)
    again, answered = open_secure_stop_response(parse_envelope(enveloped(text)))
    assert again == response
    answered.verify(SIGNER.public)


def test_an_altered_reply_does_not_verify() -> None:
    text = reply(SecureStopResponse(Mid(MID), ACCEPTED, None))
    altered = text.replace(ACCEPTED[1].base64.encode(), SessionId(bytes(16)).base64.encode(), 1)
    _, answered = open_secure_stop_response(parse_envelope(enveloped(altered)))
    with pytest.raises(InvalidMessage, match="altered after signing"):
        answered.verify(SIGNER.public)


def test_only_session_ids_may_be_repeated() -> None:
    text = reply(SecureStopResponse(Mid(MID), ACCEPTED, None))
    altered = text.replace(b"<MeteringID>", b"<MeteringID></MeteringID><MeteringID>")
    with pytest.raises(InvalidMessage, match="several elements MeteringID"):
        open_secure_stop_response(parse_envelope(enveloped(altered)))
