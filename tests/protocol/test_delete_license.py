"""Messages of ProcessDeleteLicenseData against the second implementation, both ways."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.delete_license import (
    DeleteLicenseChallenge,
    open_delete_license,
    open_delete_license_response,
    seal_delete_license,
    seal_delete_license_response,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.wire import Kid, SessionId
from rightsmanager.protocol.xml.envelope import parse_envelope
from tests.second import challenge as second
from tests.second import curve, reports, world

BACKEND = choose_backend("portable")
SERVER = PrivateKey(world.SERVER.to_bytes(32, "big"))
DEVICE = PrivateKey(world.DEVICE_SIGNING.to_bytes(32, "big"))
SESSION = bytes(range(16))
KIDS = (bytes([1]) * 16, bytes([2]) * 16)

guids = st.binary(min_size=16, max_size=16)
some_kids = st.lists(guids, min_size=1, max_size=4, unique=True)


def opened(body: bytes, max_kids: int = 10) -> DeleteLicenseChallenge:
    return open_delete_license(parse_envelope(body), (SERVER,), BACKEND, parse_chain, max_kids)


@given(session=guids, kids=some_kids)
def test_challenges_of_the_second_client_are_opened(session: bytes, kids: list[bytes]) -> None:
    challenge = opened(reports.delete_license(world.CLIENT, session, tuple(kids)))
    assert challenge.session_id == SessionId(session)
    assert challenge.kids == tuple(map(Kid, kids))
    assert challenge.signer.raw == world.DEVICE_CHAIN


@given(session=guids, kids=some_kids)
def test_the_second_server_opens_sealed_challenges(session: bytes, kids: list[bytes]) -> None:
    body = seal_delete_license(
        SessionId(session),
        tuple(map(Kid, kids)),
        ClientInfo((world.DEVICE_CHAIN,), world.NOW, "4.4.0.1"),
        ChallengeKeys(DEVICE, SERVER.public, BACKEND, seeded_random(b"delete")),
    )
    read = reports.read_delete_license(body, world.SERVER, curve.public(world.ROOT))
    assert read == (session, tuple(kids))


@given(st.data())
def test_every_altered_byte_of_a_challenge_is_refused(data: st.DataObject) -> None:
    body = reports.delete_license(world.CLIENT, SESSION, KIDS)
    at = data.draw(st.integers(0, len(body) - 1))
    altered = body[:at] + bytes([body[at] ^ 1 << data.draw(st.integers(0, 7))]) + body[at + 1 :]
    try:
        challenge = opened(altered)
    except Refusal:
        return
    assert (challenge.session_id.raw, tuple(kid.raw for kid in challenge.kids)) == (SESSION, KIDS)


@pytest.mark.parametrize(
    ("alter", "text"),
    [
        (lambda data: data.replace("SessionID", "Session"), "no element SessionID"),
        (lambda data: data.replace("<SessionID>", "<SessionID>AAAA"), "SessionID has 19 bytes"),
        (lambda data: data.replace("KIDs", "Kids"), "no element KIDs"),
        (lambda data: data.replace("<KID>", "<KID>\x85"), "KID is not base64"),
        (lambda data: data.replace(second.b64(KIDS[1]), second.b64(KIDS[0])), "has a KID twice"),
        (lambda data: data[: data.index("<KIDs>")] + "<KIDs></KIDs>", "KIDs has 0 KID, expected"),
    ],
)
def test_an_invalid_challenge_is_refused(alter: Callable[[str], str], text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        opened(reports.delete_license(world.CLIENT, SESSION, KIDS, alter))
    assert text in refusal.value.text


def test_more_kids_than_allowed_are_refused() -> None:
    kids = tuple(number.to_bytes(16, "big") for number in range(11))
    with pytest.raises(InvalidMessage, match="KIDs has 11 KID, expected 1 to 10"):
        opened(reports.delete_license(world.CLIENT, SESSION, kids))


def test_a_reply_is_plain_and_has_the_session_id() -> None:
    text = seal_delete_license_response(SessionId(SESSION))
    assert reports.read_delete_license_reply(text) == SESSION
    envelope = b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        text,
    )
    session_id, custom_data = open_delete_license_response(parse_envelope(envelope))
    assert (session_id.raw, custom_data) == (SESSION, None)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"<Version>1<", b"<Version>2<", "has Version 2, expected 1"),
        (b"ProcessDelete", b"ProcessDeletE", "expected ProcessDeleteLicenseDataResponse"),
        (b"SessionID", b"SessionIX", "no element SessionID"),
    ],
)
def test_an_invalid_reply_is_refused(old: bytes, new: bytes, text: str) -> None:
    body = b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        seal_delete_license_response(SessionId(SESSION)).replace(old, new),
    )
    with pytest.raises(InvalidMessage, match=text):
        open_delete_license_response(parse_envelope(body))
