"""A device's acknowledgements are recorded once, if they are about its own licences."""

import base64
import hashlib
import re
from dataclasses import dataclass, field, replace
from queue import Queue

import pytest
from lxml import etree

from rightsmanager.errors import (
    DeviceCertificateRevoked,
    InvalidMessage,
    ProtocolVersionMismatch,
    Refusal,
    ServiceSpecific,
)
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.context import Context, Options
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO
from rightsmanager.protocol.messages.response import open_license_response
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import Store
from tests.operations.subject import (
    ask,
    make_context,
    post,
)
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, world

KIDS = (bytes([1]) * 16, bytes([2]) * 16)
WISH = second.Wish(second.header_42(*KIDS), "4")
STORED, FAILED = "0x00000000", "0x8004B896"
DEVICE = parse_chain(world.DEVICE_CHAIN).leaf.device_id
OTHER_CLIENT = second.Client(
    world.device_chain(cert.Subject(cert.DEVICE, ((world.OTHER, (cert.SIGN, cert.ENCRYPT)),))),
    world.OTHER,
    world.OTHER,
    curve.public(world.SERVER),
)


def license_context(store: Store, *, persistent: bool = True) -> Context:
    options = Options(
        defaults=LicenseDefaults(Policy(persistent=persistent)), acknowledge_persistent=True
    )
    return make_context(store, options=options)


def enveloped(child: bytes) -> bytes:
    return b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        child,
    )


def transaction_of(reply: bytes) -> TransactionId | None:
    return open_license_response(parse_envelope(enveloped(reply))).response.transaction_id


@dataclass(frozen=True)
class Saying:
    """An acknowledgement, its parts as text."""

    transaction: str
    results: tuple[tuple[bytes, str], ...] = tuple((kid, STORED) for kid in KIDS)
    version: str = "1"
    client: second.Client = world.CLIENT

    def body(self) -> bytes:
        """Return the message, encrypted and signed by the second client."""
        licenses = "".join(
            f"<License><KID>{second.b64(kid)}</KID><Result>{result}</Result></License>"
            for kid, result in self.results
        )
        data = second.data(self.client.chain).replace(
            "</Data>", f"<StorageResults>{licenses}</StorageResults></Data>"
        )
        encrypted = second.encrypted_data(*second.cipher_values(data.encode(), self.client.server))
        element = (
            f'<LicenseAcknowledgement xmlns="{second.P}" Id="SignedData" xml:space="preserve">'
            f"<Version>{self.version}</Version><TransactionID>{self.transaction}</TransactionID>"
            f"{encrypted}</LicenseAcknowledgement>"
        )
        # Only the element is signed, not what it is wrapped in.
        return second.sealed(self.client, element).replace(b"AcquireLicense", b"AcknowledgeLicense")


@dataclass(frozen=True)
class Subject:
    """A store, and the transaction of a reply that was issued from it."""

    store: Store
    transaction: TransactionId

    callables: HookSet = field(default_factory=HookSet)

    def say(self, saying: Saying) -> bytes:
        context = make_context(self.store, always=False, hooks=Hooks(self.callables, 0))
        return post(context, "AcknowledgeLicense", saying.body())

    def refusal(self, saying: Saying) -> Refusal:
        """Return why it is refused; what was recorded stays as it was."""
        before = self.recorded()
        with pytest.raises(Refusal) as refusal:
            self.say(saying)
        assert self.recorded() == before
        return refusal.value

    @property
    def saying(self) -> Saying:
        return Saying(self.transaction.text)

    def recorded(self) -> list[tuple[TransactionId, str, Kid, int]]:
        with self.store.reading() as found:
            return found.acknowledgements.find_all()


@pytest.fixture
def subject(store: Store) -> Subject:
    reply = ask(license_context(store), second.challenge(world.CLIENT, WISH))
    transaction = transaction_of(reply)
    assert transaction is not None
    return Subject(store, transaction)


def rows(subject: Subject, *results: int) -> list[tuple[TransactionId, str, Kid, int]]:
    return [
        (subject.transaction, DEVICE, Kid(kid), result)
        for kid, result in zip(KIDS, results, strict=False)
    ]


def read(reply: bytes) -> str:
    """Return the TransactionID of a reply, its signature verified by the second client."""
    (element,) = re.findall(
        rb"<LicenseAcknowledgementResponse .*</LicenseAcknowledgementResponse>", reply
    )
    (info,) = re.findall(rb"<SignedInfo .*</SignedInfo>", reply)
    document = etree.fromstring(reply)
    names = {"p": second.P, "d": second.D}

    def base64_of(name: str) -> bytes:
        return base64.b64decode(document.findtext(f".//{name}", "", names), validate=True)

    chain = cert.read_chain(base64_of("p:SigningCertificateChain"))
    cert.check_chain(chain, curve.public(world.ROOT), cert.ISSUE_LICENSE_SIGNER)
    assert base64_of("d:DigestValue") == hashlib.sha256(element).digest()
    assert curve.signed_by(chain[0].key(cert.SIGN_RESPONSE), base64_of("d:SignatureValue"), info)
    tags = [etree.QName(each).localname for each in etree.fromstring(element)]
    assert tags == ["Version", "TransactionID", "SigningCertificateChain"]
    return document.findtext(".//p:TransactionID", "", names)


def test_replies_do_not_ask_by_default(store: Store) -> None:
    body = second.challenge(world.CLIENT, WISH)
    assert transaction_of(ask(make_context(store, policy=Policy(persistent=True)), body)) is None


def test_replies_without_a_persistent_licence_do_not_ask(store: Store) -> None:
    body = second.challenge(world.CLIENT, WISH)
    assert transaction_of(ask(license_context(store, persistent=False), body)) is None


def test_the_same_request_again_has_the_same_transaction_and_others_have_others(
    store: Store,
) -> None:
    service = license_context(store)
    bodies = [
        second.challenge(world.CLIENT, WISH),
        second.challenge(world.CLIENT, WISH),
        second.challenge(world.CLIENT, replace(WISH, nonce=bytes(16))),
    ]
    first, again, other = (transaction_of(ask(service, body)) for body in bodies)
    assert first == again
    assert first != other


def test_results_are_recorded_and_answered_signed(subject: Subject) -> None:
    reply = subject.say(subject.saying)
    assert subject.transaction.text == read(reply)
    assert subject.recorded() == rows(subject, 0, 0)


def test_the_same_again_is_answered_alike_and_stored_once(subject: Subject) -> None:
    saying = replace(subject.saying, results=((KIDS[0], FAILED), (KIDS[1], STORED)))
    replies = [subject.say(saying) for _ in range(3)]
    assert [read(reply) for reply in replies] == [subject.transaction.text] * 3
    assert subject.recorded() == rows(subject, 0x8004B896, 0)


def test_some_licences_may_be_acknowledged_later(subject: Subject) -> None:
    subject.say(replace(subject.saying, results=((KIDS[0], STORED),)))
    assert subject.recorded() == rows(subject, 0)
    subject.say(subject.saying)
    assert subject.recorded() == rows(subject, 0, 0)


def test_another_result_for_the_same_licence_is_refused(subject: Subject) -> None:
    subject.say(replace(subject.saying, results=((KIDS[1], STORED),)))
    saying = replace(subject.saying, results=((KIDS[0], STORED), (KIDS[1], FAILED)))
    refusal = subject.refusal(saying)
    assert isinstance(refusal, InvalidMessage)
    assert "was acknowledged with 0x00000000 before, now with 0x8004b896" in refusal.text
    assert len(subject.recorded()) == 1


def test_an_unknown_transaction_is_the_services_own_reason(subject: Subject) -> None:
    refusal = subject.refusal(Saying("00000000-0000-0000-0000-000000000001"))
    assert isinstance(refusal, ServiceSpecific)
    assert "00000000-0000-0000-0000-000000000001" in refusal.text


def test_another_devices_transaction_is_refused_like_an_unknown_one(subject: Subject) -> None:
    refusal = subject.refusal(replace(subject.saying, client=OTHER_CLIENT))
    assert isinstance(refusal, ServiceSpecific)


def test_a_kid_that_the_transaction_did_not_issue_is_refused(subject: Subject) -> None:
    results = (*subject.saying.results, (bytes(16), STORED))
    refusal = subject.refusal(replace(subject.saying, results=results))
    assert isinstance(refusal, InvalidMessage)
    assert Kid(bytes(16)).text in refusal.text


@pytest.mark.parametrize("version", ["0", "2", "4", "5"])
def test_another_version_is_a_mismatch(subject: Subject, version: str) -> None:
    refusal = subject.refusal(replace(subject.saying, version=version))
    assert isinstance(refusal, ProtocolVersionMismatch)


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ((), "StorageResults is empty"),
        (((KIDS[0], STORED), (KIDS[0], STORED)), "has a KID twice"),
        (((KIDS[0], "0"),), "Result is '0', expected 0x and 8 hexadecimal digits"),
        (((KIDS[0], "0x000000000"),), "Result is"),
        (((KIDS[0], "-0x0000000"),), "Result is"),
        (((KIDS[0], ""),), "Result is"),
        (((KIDS[0][1:], STORED),), "KID has 15 bytes, expected 16"),
    ],
)
def test_invalid_results_are_refused(
    subject: Subject, results: tuple[tuple[bytes, str], ...], text: str
) -> None:
    refusal = subject.refusal(replace(subject.saying, results=results))
    assert isinstance(refusal, InvalidMessage)
    assert text in refusal.text


@pytest.mark.parametrize("transaction", ["", "x", "AAAAAAAAAAAAAAAAAAAAAA=="])
def test_a_transaction_id_that_is_not_a_guid_is_refused(subject: Subject, transaction: str) -> None:
    assert isinstance(subject.refusal(Saying(transaction)), InvalidMessage)


def test_a_revoked_device_is_refused(subject: Subject) -> None:
    digest = parse_chain(world.DEVICE_CHAIN).leaf.digest
    with subject.store.transaction() as transaction:
        version = transaction.revocations.raise_version(LISTS["device"])
        transaction.revocations.record(LISTS["device"], version, digest, world.NOW)
        transaction.revocations.raise_version(REVOCATION_INFO)
    assert isinstance(subject.refusal(subject.saying), DeviceCertificateRevoked)


def test_a_chain_of_another_pki_is_refused(subject: Subject) -> None:
    foreign = world.device_chain(
        cert.Subject(cert.DEVICE, world.DEVICE_KEYS),
        world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE, by=1999),
    )
    client = second.with_chain(world.CLIENT, foreign)
    assert isinstance(subject.refusal(replace(subject.saying, client=client)), InvalidMessage)


def test_a_signer_of_licences_is_not_a_device(subject: Subject) -> None:
    client = replace(
        world.CLIENT,
        chain=world.device_chain(
            cert.Subject(cert.LICENSE_SIGNER, ((world.DEVICE_SIGNING, (1, 2)),)),
            world.issuer(world.DEVICE_ISSUER, 4),
        ),
    )
    refusal = subject.refusal(replace(subject.saying, client=client))
    assert "expected that of a client" in refusal.text


def test_hooks_receive_acknowledgements(subject: Subject) -> None:
    received: Queue[Event] = Queue()
    told = replace(subject, callables=HookSet(on_event=received.put))
    told.say(told.saying)
    event = Event("AcknowledgeLicense", DEVICE, tuple(map(Kid, KIDS)))
    assert received.get(timeout=10) == event
