"""Messages of AcknowledgeLicense: sealed ones open to the same, altered ones are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.acknowledgement import (
    AcknowledgementChallenge,
    StorageResult,
    open_acknowledgement,
    open_acknowledgement_response,
    seal_acknowledgement,
    seal_acknowledgement_response,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.protocol.xml.envelope import parse_envelope
from tests.second import challenge as second
from tests.second import world

BACKEND = choose_backend("portable")
SERVER = PrivateKey(world.SERVER.to_bytes(32, "big"))
DEVICE = PrivateKey(world.DEVICE_SIGNING.to_bytes(32, "big"))
SIGNER = PrivateKey(world.SIGNER.to_bytes(32, "big"))
TRANSACTION = TransactionId(bytes(range(16)))
RESULT = StorageResult(Kid(bytes(16)), 0)


def sealed(*results: StorageResult, custom_data: str | None = None) -> bytes:
    return seal_acknowledgement(
        TRANSACTION,
        results,
        ClientInfo((world.DEVICE_CHAIN,), world.NOW, "4.4.0.1", custom_data),
        ChallengeKeys(DEVICE, SERVER.public, BACKEND, seeded_random(b"acknowledgement")),
    )


def opened(body: bytes) -> AcknowledgementChallenge:
    return open_acknowledgement(parse_envelope(body), (SERVER,), BACKEND, parse_chain)


def reply() -> bytes:
    child = seal_acknowledgement_response(TRANSACTION, world.SIGNER_CHAIN, SIGNER)
    return b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        child,
    )


@given(
    results=st.dictionaries(
        st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), min_size=1, max_size=4
    ),
    custom_data=st.none() | st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
)
def test_a_sealed_challenge_opens_to_the_same(
    results: dict[bytes, int], custom_data: str | None
) -> None:
    said = tuple(StorageResult(Kid(kid), result) for kid, result in results.items())
    challenge = opened(sealed(*said, custom_data=custom_data))
    assert (challenge.transaction_id, challenge.results) == (TRANSACTION, said)
    assert challenge.signer.raw == world.DEVICE_CHAIN
    assert [chain.raw for chain in challenge.chains] == [world.DEVICE_CHAIN]


@given(st.data())
def test_every_altered_byte_of_a_challenge_is_refused(data: st.DataObject) -> None:
    body = sealed(RESULT)
    at = data.draw(st.integers(0, len(body) - 1))
    altered = body[:at] + bytes([body[at] ^ 1 << data.draw(st.integers(0, 7))]) + body[at + 1 :]
    try:
        challenge = opened(altered)
    except Refusal:
        return
    assert (challenge.transaction_id, challenge.results) == (TRANSACTION, (RESULT,))


def test_a_challenge_to_another_operation_is_refused() -> None:
    body = sealed(RESULT).replace(b"LicenseAcknowledgement", b"LicenseAcknowledgemenX")
    with pytest.raises(InvalidMessage, match="no element LicenseAcknowledgement"):
        opened(body)


def test_the_reply_has_the_transaction_id_and_a_signature() -> None:
    transaction_id, answered = open_acknowledgement_response(parse_envelope(reply()))
    assert transaction_id == TRANSACTION
    assert answered.signing_chain == world.SIGNER_CHAIN
    assert answered.custom_data is None
    answered.verify(SIGNER.public)


def test_a_reply_of_another_signer_does_not_verify() -> None:
    _, answered = open_acknowledgement_response(parse_envelope(reply()))
    with pytest.raises(InvalidMessage, match="SignatureValue does not verify"):
        answered.verify(DEVICE.public)


def test_an_altered_reply_does_not_verify() -> None:
    other = TransactionId(bytes(16)).text.encode()
    altered = reply().replace(TRANSACTION.text.encode(), other)
    _, answered = open_acknowledgement_response(parse_envelope(altered))
    with pytest.raises(InvalidMessage, match="it was altered after signing"):
        answered.verify(SIGNER.public)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"<Version>1<", b"<Version>2<", "has Version 2, expected 1"),
        (b"AcknowledgeLicenseResp", b"AcquireLicenseResp", "expected AcknowledgeLicenseResponse"),
        (b"TransactionID", b"TransactionIX", "has no element TransactionID"),
        (b"SigningCertificateChain", b"SigningCertificateChaiX", "no element SigningCertificate"),
        (b"<Signature ", b"<SignaturX ", "is not well-formed XML"),
    ],
)
def test_an_invalid_reply_is_refused(old: bytes, new: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        open_acknowledgement_response(parse_envelope(reply().replace(old, new)))


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ("", "StorageResults is empty, expected a License"),
        ("<License><KID>{0}</KID><Result>0</Result></License>", "Result is '0', expected 0x and 8"),
        ("<License><KID>{0}</KID><Result>0x00000000</Result></License>" * 2, "has a KID twice"),
    ],
)
def test_invalid_results_are_refused(results: str, text: str) -> None:
    data = (
        f"<Data><CertificateChains><CertificateChain>{second.b64(world.DEVICE_CHAIN)}"
        "</CertificateChain></CertificateChains>"
        f"<StorageResults>{results.format(second.b64(bytes(16)))}</StorageResults></Data>"
    )
    with pytest.raises(InvalidMessage, match=text):
        opened(with_data(data))


def with_data(data: str, key_name: str = "WMRMServer") -> bytes:
    """Return a challenge with any Data element, which the builders would not write."""
    encrypted = second.encrypted_data(
        *second.cipher_values(data.encode(), world.CLIENT.server), key_name
    )
    element = (
        f'<LicenseAcknowledgement xmlns="{second.P}" Id="SignedData" xml:space="preserve">'
        f"<Version>1</Version><TransactionID>{TRANSACTION.text}</TransactionID>{encrypted}"
        "</LicenseAcknowledgement>"
    )
    body = second.sealed(world.CLIENT, element)
    return body.replace(b"AcquireLicense", b"AcknowledgeLicense")


def test_another_key_name_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="KeyName is 'Other', expected 'WMRMServer'"):
        opened(with_data("<Data></Data>", "Other"))
