"""Messages of JoinDomain and LeaveDomain: sealed ones open, altered ones are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch, Refusal
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.domain import (
    DOMAIN_KEY_LENGTH,
    DomainRevision,
    JoinChallenge,
    JoinResponse,
    LeaveChallenge,
    LeaveResponse,
    open_join,
    open_join_response,
    open_leave,
    open_leave_response,
    seal_join,
    seal_join_response,
    seal_leave,
    seal_leave_response,
    unwrap_domain_key,
    wrap_domain_key,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.protocol.xml.envelope import Envelope, parse_envelope
from tests.second import challenge as second
from tests.second import curve, world
from tests.second import domain as other

BACKEND = choose_backend("portable")
SERVER = PrivateKey(world.SERVER.to_bytes(32, "big"))
DEVICE = PrivateKey(world.DEVICE_SIGNING.to_bytes(32, "big"))
DEVICE_ENCRYPTION = PrivateKey(world.DEVICE_ENCRYPTION.to_bytes(32, "big"))
SIGNER = PrivateKey(world.SIGNER.to_bytes(32, "big"))
SERVICE = ServiceId(b"service id 16 by")
ACCOUNT = AccountId(b"account id 16 by")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]))
JOINED = JoinResponse(
    SERVICE,
    ACCOUNT,
    "family & friends",
    "https://example.com/?a=1&b=<2>",
    (
        DomainRevision(3, b"newest chain", bytes(DOMAIN_KEY_LENGTH)),
        DomainRevision(1, b"oldest chain", bytes([1]) * DOMAIN_KEY_LENGTH),
    ),
)
LEFT = LeaveResponse(SERVICE, ACCOUNT, 3)


def asking(custom_data: str | None = None) -> ClientInfo:
    return ClientInfo((world.DEVICE_CHAIN,), world.NOW, "4.4.0.1", custom_data)


def sealing() -> ChallengeKeys:
    return ChallengeKeys(DEVICE, SERVER.public, BACKEND, seeded_random(b"domain"))


def join(
    account: AccountId | None = ACCOUNT, name: str | None = "phone", custom: str | None = None
) -> bytes:
    return seal_join(SERVICE, account, name, asking(custom), sealing())


def leave() -> bytes:
    return seal_leave(SERVICE, ACCOUNT, asking(), sealing())


def opened_join(body: bytes) -> JoinChallenge:
    return open_join(parse_envelope(body), (SERVER,), BACKEND, parse_chain)


def opened_leave(body: bytes) -> LeaveChallenge:
    return open_leave(parse_envelope(body), (SERVER,), BACKEND, parse_chain)


def in_envelope(child: bytes) -> Envelope:
    return parse_envelope(
        b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>'
        % (second.SOAP11.encode(), child)
    )


def joined(response: JoinResponse = JOINED) -> bytes:
    return seal_join_response(response, world.SIGNER_CHAIN, SIGNER)


@given(
    account=st.none() | st.binary(min_size=16, max_size=16).map(AccountId),
    name=st.none() | TEXTS,
    custom_data=st.none() | TEXTS,
)
def test_a_join_opens_to_what_was_sealed(
    account: AccountId | None, name: str | None, custom_data: str | None
) -> None:
    challenge = opened_join(join(account, name, custom_data))
    assert challenge.service_id == SERVICE
    assert challenge.account_id == account
    assert challenge.friendly_name == name
    assert challenge.custom_data == custom_data
    assert challenge.signer.raw == world.DEVICE_CHAIN
    assert [chain.raw for chain in challenge.chains] == [world.DEVICE_CHAIN]


def test_a_leave_opens_to_what_was_sealed() -> None:
    challenge = opened_leave(leave())
    assert (challenge.service_id, challenge.account_id) == (SERVICE, ACCOUNT)
    assert challenge.signer.raw == world.DEVICE_CHAIN
    assert len(challenge.digest) == 32


@pytest.mark.parametrize("of", [join, leave])
def test_every_altered_byte_of_a_challenge_is_refused(of: object) -> None:
    sealed, opened = (join(), opened_join) if of is join else (leave(), opened_leave)
    expected = opened(sealed)
    for at in range(0, len(sealed), 7):
        altered = sealed[:at] + bytes([sealed[at] ^ 1 << at % 8]) + sealed[at + 1 :]
        try:
            assert expected == opened(altered), at
        except Refusal:
            continue


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"DomainJoin", b"DomainJoiX", "no element DomainJoin"),
        (SERVICE.base64.encode(), b"AAAA", "altered"),
    ],
)
def test_an_invalid_join_is_refused(old: bytes, new: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        opened_join(join().replace(old, new))


def test_a_leave_requires_the_account() -> None:
    body = join(None, None).replace(b"JoinDomain", b"LeaveDomain")
    with pytest.raises(InvalidMessage, match="no element DomainLeave"):
        opened_leave(body)


def test_the_reply_to_a_join_opens_to_what_was_sealed() -> None:
    response, answered = open_join_response(in_envelope(joined()))
    assert response == JOINED
    assert response.revision == 3
    assert answered.signing_chain == world.SIGNER_CHAIN
    answered.verify(SIGNER.public)


def test_the_reply_to_a_leave_opens_to_what_was_sealed() -> None:
    child = seal_leave_response(LEFT, world.SIGNER_CHAIN, SIGNER)
    response, answered = open_leave_response(in_envelope(child))
    assert response == LEFT
    answered.verify(SIGNER.public)
    with pytest.raises(InvalidMessage, match="does not verify"):
        answered.verify(DEVICE.public)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"<Revision>3<", b"<Revision>2<", "Revision is 2, the newest DomainCertificate's is 3"),
        (b"<Revision>3<", b"<Revision>0<", "Revision is '0', expected 1 to"),
        (b"<Revision>3<", b"<Revision>4294967296<", "expected 1 to 4294967295"),
        (b'Key Revision="1"', b'Key Revision="2"', "not of the same revisions"),
        (b' Revision="1"', b' Revision="4"', "newest first"),
        (b' Revision="1"', b"", "Revision is '', expected 1 to"),
        (b"AAAA</DomainKey>", b"</DomainKey>", "DomainKey has 165 bytes, expected 168"),
        (b"DomainCertificate ", b"DomainCertificatX ", "is not well-formed XML"),
        (b"DomainKeys", b"DomainKeyz", "no element DomainKeys"),
        (b"AccountID", b"AccountIX", "no element AccountID"),
    ],
)
def test_an_invalid_reply_is_refused(old: bytes, new: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        open_join_response(in_envelope(joined().replace(old, new)))


# --- the domain's private key -------------------------------------------------------------------


@given(st.integers(1, 2**255).map(lambda number: PrivateKey(number.to_bytes(32, "big"))))
def test_a_wrapped_domain_key_opens_for_its_device_alone(key: PrivateKey) -> None:
    wrapped = wrap_domain_key(key, DEVICE_ENCRYPTION.public, BACKEND, seeded_random(b"key"))
    assert len(wrapped) == DOMAIN_KEY_LENGTH == 168
    assert unwrap_domain_key(wrapped, DEVICE_ENCRYPTION, BACKEND) == key
    with pytest.raises(InvalidMessage, match="wrapped key does not unwrap"):
        unwrap_domain_key(wrapped, DEVICE, BACKEND)


@pytest.mark.parametrize("length", [0, 128, 167, 169])
def test_a_wrapped_domain_key_has_168_bytes(length: int) -> None:
    with pytest.raises(InvalidMessage, match=f"DomainKey has {length} bytes, expected 168"):
        unwrap_domain_key(bytes(length), DEVICE_ENCRYPTION, BACKEND)


def test_every_altered_byte_of_a_wrapped_domain_key_is_refused() -> None:
    wrapped = wrap_domain_key(SERVER, DEVICE_ENCRYPTION.public, BACKEND, seeded_random(b"key"))
    for at in range(len(wrapped)):
        altered = wrapped[:at] + bytes([wrapped[at] ^ 0x10]) + wrapped[at + 1 :]
        with pytest.raises(InvalidMessage):
            unwrap_domain_key(altered, DEVICE_ENCRYPTION, BACKEND)


# --- the second implementation ------------------------------------------------------------------


@pytest.mark.parametrize("account", [ACCOUNT, None])
def test_the_second_implementation_reads_a_join(account: AccountId | None) -> None:
    raw = None if account is None else account.raw
    body = join(account, "TV", "a token")
    saying, key = other.read_join(body, world.SERVER, curve.public(world.ROOT))
    expected = other.Saying(SERVICE.raw, raw, "TV", "a token", "1", world.NOW)
    assert (saying, key) == (expected, curve.public(world.DEVICE_ENCRYPTION))


def test_the_second_implementation_reads_a_leave() -> None:
    saying, _ = other.read_leave(leave(), world.SERVER, curve.public(world.ROOT))
    assert saying == other.Saying(SERVICE.raw, ACCOUNT.raw, time=world.NOW)


@pytest.mark.parametrize("account", [ACCOUNT, None])
def test_a_join_of_the_second_implementation_is_read(account: AccountId | None) -> None:
    raw = None if account is None else account.raw
    saying = other.Saying(
        SERVICE.raw,
        raw,
        "<FriendlyName>TV &amp; radio</FriendlyName>",
        "<CustomData> a token </CustomData>",
    )
    challenge = opened_join(saying.join(world.CLIENT, world.DOMAIN_ISSUER_CHAIN))
    assert (challenge.service_id, challenge.account_id) == (SERVICE, account)
    assert (challenge.friendly_name, challenge.custom_data) == ("TV & radio", " a token ")
    assert [chain.raw for chain in challenge.chains] == [
        world.DEVICE_CHAIN,
        world.DOMAIN_ISSUER_CHAIN,
    ]
    assert challenge.signer.raw == world.DEVICE_CHAIN


def test_a_leave_of_the_second_implementation_is_read() -> None:
    challenge = opened_leave(other.Saying(SERVICE.raw, ACCOUNT.raw).leave(world.CLIENT))
    assert (challenge.service_id, challenge.account_id) == (SERVICE, ACCOUNT)
    with pytest.raises(InvalidMessage, match="no element AccountID"):
        opened_leave(other.Saying(SERVICE.raw).leave(world.CLIENT))


@pytest.mark.parametrize("version", ["0", "2", "5"])
def test_another_version_is_refused(version: str) -> None:
    saying = other.Saying(SERVICE.raw, ACCOUNT.raw, version=version)
    for ask in (
        lambda: opened_join(saying.join(world.CLIENT)),
        lambda: opened_leave(saying.leave(world.CLIENT)),
    ):
        with pytest.raises(ProtocolVersionMismatch, match=f"Version {version}, served are 1"):
            ask()


def test_the_second_implementation_opens_a_wrapped_domain_key() -> None:
    wrapped = wrap_domain_key(SERVER, DEVICE_ENCRYPTION.public, BACKEND, seeded_random(b"key"))
    assert other.domain_key(wrapped, world.DEVICE_ENCRYPTION) == world.SERVER
