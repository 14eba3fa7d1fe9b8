"""Devices join and leave domains by the rules, whatever they send, and however often."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Queue

import pytest

from rightsmanager.admin.domains import DomainAdministration
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import (
    DeviceCertificateRevoked,
    DeviceLimitReached,
    DomainFacts,
    InvalidMessage,
    NotADomainMember,
    ProtocolVersionMismatch,
    Refusal,
    ServiceSpecific,
    UnknownAccountId,
)
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.keyring import DomainIssuer
from rightsmanager.operations.context import Context
from rightsmanager.operations.domain_authority import DomainAuthority, DomainDefaults
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.database import Store
from rightsmanager.store.domains import Account, Member
from tests.operations.subject import (
    STORAGE_KEY,
    TERMS,
    URL,
    make_context,
    post,
    private_key,
)
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.domain import Joined, Saying, read_join_reply, read_leave_reply

SERVICE = TERMS.service_id.raw
ACCOUNT = AccountId(b"account id 00001")
SAYING = Saying(SERVICE, ACCOUNT.raw)
ONE, TWO, THREE = world.client(1), world.client(2), world.client(3)
ROOT = curve.public(world.ROOT)
ISSUER = DomainIssuer(private_key(world.DOMAIN_ISSUER), parse_chain(world.DOMAIN_ISSUER_CHAIN))


def device_of(client: second.Client) -> str:
    return parse_chain(client.chain).leaf.device_id


@dataclass
class Subject:
    """A server's domains, and a clock that goes on with each question."""

    store: Store
    terms: DomainDefaults = TERMS
    issuer: DomainIssuer | None = ISSUER
    now: int = world.NOW
    rng: Callable[[int], bytes] = field(default_factory=lambda: seeded_random(b"domains"))
    callables: HookSet = field(default_factory=HookSet)

    @property
    def authority(self) -> DomainAuthority:
        return DomainAuthority(self.issuer, self.terms, STORAGE_KEY, self.rng)

    @property
    def context(self) -> Context:
        return make_context(
            self.store,
            always=False,
            domains=self.authority,
            clock=lambda: self.now,
            rng=self.rng,
            hooks=Hooks(self.callables, 0),
        )

    @property
    def administration(self) -> DomainAdministration:
        return DomainAdministration(self.store, self.authority, lambda: self.now)

    def _ask(self, operation: str, body: bytes, query: str) -> bytes:
        self.now += 1
        return post(self.context, operation, body, query)

    def join(self, client: second.Client = ONE, saying: Saying = SAYING, query: str = "") -> Joined:
        reply = self._ask("JoinDomain", saying.join(client), query)
        return read_join_reply(reply, client.encryption, ROOT)

    def leave(
        self, client: second.Client = ONE, saying: Saying = SAYING
    ) -> tuple[bytes, bytes, int]:
        return read_leave_reply(self._ask("LeaveDomain", saying.leave(client), ""), ROOT)

    def refusal(self, ask: Callable[[], object]) -> Refusal:
        """Return why it is refused; nothing changes by it."""
        before = self.recorded()
        with pytest.raises(Refusal) as caught:
            ask()
        assert self.recorded() == before
        return caught.value

    def recorded(self) -> list[tuple[Account, list[Member], int]]:
        with self.store.reading() as found:
            return [
                (
                    account,
                    found.domains.find_members(account.account_id),
                    len(found.domains.find_revisions(account.account_id)),
                )
                for account in found.domains.find_all()
            ]

    def account(self) -> Account:
        ((account, members, _),) = self.recorded()
        assert account.members == sum(member.is_member for member in members)
        return account

    def members(self) -> list[str]:
        ((_, members, _),) = self.recorded()
        return [member.device for member in members if member.is_member]


@pytest.fixture
def subject(store: Store) -> Subject:
    return Subject(store)


def about(**changes: str | None) -> DomainFacts:
    facts = DomainFacts(TERMS.service_id.base64, ACCOUNT.base64, TERMS.friendly_name, URL)
    return replace(facts, **changes)


# --- join -----------------------------------------------------------------------------------------


def test_the_first_join_creates_the_account(subject: Subject) -> None:
    saying = replace(SAYING, name="<FriendlyName>TV &amp; radio</FriendlyName>")
    joined = subject.join(saying=saying)
    assert (joined.service, joined.account) == (SERVICE, ACCOUNT.raw)
    assert (joined.name, joined.url) == ("family & friends", URL)
    assert [revision.number for revision in joined.revisions] == [1]
    ((account, members, _),) = subject.recorded()
    assert account == Account(
        account_id=ACCOUNT,
        service_id=TERMS.service_id,
        friendly_name="family & friends",
        url="",
        limit=2,
        created_at=subject.now,
        members=1,
        revision=1,
    )
    assert members == [Member(device_of(ONE), "TV & radio", subject.now, 1)]


def test_the_host_of_a_request_is_not_certified(subject: Subject) -> None:
    (revision,) = subject.join().revisions
    assert revision.url is None


def test_the_settings_url_is_in_certificate_and_reply(store: Store) -> None:
    subject = Subject(store, replace(TERMS, url="https://domains.test/"))
    joined = subject.join()
    assert joined.url == "https://domains.test/"
    assert joined.revisions[0].url == "https://domains.test/"


def test_all_members_get_the_same_certificates_and_keys(subject: Subject) -> None:
    assert subject.join(ONE) == subject.join(TWO)
    assert subject.members() == [device_of(ONE), device_of(TWO)]


def test_joining_again_changes_nothing(subject: Subject) -> None:
    first = subject.join()
    before = subject.recorded()
    assert subject.join() == first
    assert subject.join(saying=SAYING.later()) == first
    assert subject.recorded() == before


def test_joins_over_the_limit_are_refused_and_name_a_page(subject: Subject) -> None:
    subject.join(ONE)
    subject.join(TWO)
    refusal = subject.refusal(lambda: subject.join(THREE))
    assert isinstance(refusal, DeviceLimitReached)
    assert refusal.text == f"account {ACCOUNT.text} has 2 of 2 members"
    assert refusal.custom_data == f"{URL}?op=JoinDomain"
    assert refusal.domain == about()
    subject.terms = replace(TERMS, help_url="https://help.test/")
    assert subject.refusal(lambda: subject.join(THREE)).custom_data == "https://help.test/"
    # A member is not kept from renewing.
    subject.join(ONE, SAYING.later())


def test_an_account_with_limit_zero_is_not_created(store: Store) -> None:
    subject = Subject(store, replace(TERMS, limit=0))
    assert isinstance(subject.refusal(subject.join), DeviceLimitReached)
    assert subject.recorded() == []


def test_only_the_operators_accounts_are_joined_where_that_is_set(store: Store) -> None:
    subject = Subject(store, replace(TERMS, first_use=False))
    refusal = subject.refusal(subject.join)
    assert isinstance(refusal, UnknownAccountId)
    assert refusal.text == f"there is no account {ACCOUNT.text}"
    assert refusal.domain == about(friendly_name=None, url=None)
    subject.administration.create(ACCOUNT)
    subject.join()


def test_a_closed_account_is_refused_like_an_unknown_one(subject: Subject) -> None:
    subject.join()
    subject.administration.close(ACCOUNT)
    for client in (ONE, TWO):
        refusal = subject.refusal(partial(subject.join, client, SAYING.later()))
        assert isinstance(refusal, UnknownAccountId)
        assert refusal.domain == about()
    subject.leave()
    subject.administration.reopen(ACCOUNT)
    subject.join(TWO)


def test_another_domain_service_is_refused(subject: Subject) -> None:
    other = replace(SAYING, service=bytes(16))
    refusal = subject.refusal(lambda: subject.join(saying=other))
    assert isinstance(refusal, ServiceSpecific)
    assert "DomainServiceID is 00000000-" in refusal.text
    assert subject.recorded() == []
    subject.join()
    asks: tuple[Callable[..., object], ...] = (subject.join, subject.leave)
    for ask in asks:
        refusal = subject.refusal(partial(ask, ONE, other))
        assert "expected that of this service" in refusal.text


def test_accounts_keep_the_service_that_they_were_made_under(subject: Subject) -> None:
    subject.join()
    subject.terms = replace(TERMS, service_id=replace(TERMS.service_id, raw=bytes(16)))
    assert subject.join(saying=SAYING.later()).service == SERVICE


@pytest.mark.parametrize(
    ("query", "custom_data"),
    [
        (f"AccountID={ACCOUNT.text}", ""),
        (f"cfg=(persist:true,accountid:{ACCOUNT.text}),(kid:header)", ""),
        (f"cfg=(accountid:{ACCOUNT.base64})", "json=[{'accountid':'AAAAAAAAAAAAAAAAAAAAAA=='}]"),
        ("", f"json=[{{'accountid':'{ACCOUNT.text}'}}]"),
    ],
)
def test_the_account_may_come_from_url_or_custom_data(
    subject: Subject, query: str, custom_data: str
) -> None:
    saying = Saying(SERVICE, custom_data=f"<CustomData>{custom_data}</CustomData>")
    assert subject.join(saying=saying, query=query).account == ACCOUNT.raw


def test_the_account_of_the_challenge_takes_precedence(subject: Subject) -> None:
    other = AccountId(bytes(16))
    assert subject.join(query=f"AccountID={other.text}").account == ACCOUNT.raw


def test_without_an_account_it_is_the_default_one(store: Store) -> None:
    saying = Saying(SERVICE)
    refusal = Subject(store).refusal(lambda: Subject(store).join(saying=saying))
    assert isinstance(refusal, UnknownAccountId)
    assert "there is no default one" in refusal.text
    subject = Subject(store, replace(TERMS, default_account=ACCOUNT))
    assert subject.join(saying=saying).account == ACCOUNT.raw


def test_two_accounts_in_one_url_are_refused(subject: Subject) -> None:
    query = f"cfg=(accountid:{ACCOUNT.text}),(accountid:{AccountId(bytes(16)).text})"
    refusal = subject.refusal(lambda: subject.join(saying=Saying(SERVICE), query=query))
    assert "expected one: a device joins one account" in refusal.text


def test_a_long_friendly_name_is_refused(subject: Subject) -> None:
    saying = replace(SAYING, name=f"<FriendlyName>{'x' * 257}</FriendlyName>")
    refusal = subject.refusal(lambda: subject.join(saying=saying))
    assert isinstance(refusal, InvalidMessage)
    assert "FriendlyName has 257 characters, expected at most 256" in refusal.text


def test_without_the_issuers_key_only_existing_accounts_are_joined(subject: Subject) -> None:
    subject.join(ONE)
    subject.issuer = None
    subject.join(TWO)
    other = replace(SAYING, account=bytes(16))
    refusal = subject.refusal(lambda: subject.join(ONE, other))
    assert isinstance(refusal, ServiceSpecific)
    assert "the key of the domain issuer is not in the keyring" in refusal.text
    refusal = subject.refusal(lambda: subject.administration.renew(ACCOUNT))
    assert "the key of the domain issuer is not in the keyring" in refusal.text


# --- leave ----------------------------------------------------------------------------------------


def test_leaving_frees_a_seat(subject: Subject) -> None:
    subject.join(ONE)
    subject.join(TWO)
    assert subject.leave(ONE) == (SERVICE, ACCOUNT.raw, 1)
    assert subject.members() == [device_of(TWO)]
    subject.join(THREE)
    assert subject.account().members == 2
    # Going of one's own will renews nothing.
    assert subject.account().revision == 1


def test_a_device_that_left_may_join_again(subject: Subject) -> None:
    first = subject.join()
    subject.leave()
    assert subject.join(saying=SAYING.later()) == first
    assert subject.account().members == 1


def test_leaving_twice_is_refused_but_the_same_message_is_answered_again(
    subject: Subject,
) -> None:
    subject.join()
    left = subject.leave()
    before = subject.recorded()
    assert subject.leave() == left
    assert subject.recorded() == before
    refusal = subject.refusal(lambda: subject.leave(saying=SAYING.later()))
    assert isinstance(refusal, NotADomainMember)
    assert refusal.domain == about()


def test_an_old_leave_does_not_end_a_new_membership(subject: Subject) -> None:
    subject.join()
    left = subject.leave()
    subject.join(saying=SAYING.later())
    assert subject.leave() == left
    assert subject.members() == [device_of(ONE)]


def test_an_old_join_does_not_begin_a_new_membership(subject: Subject) -> None:
    subject.join()
    subject.leave()
    refusal = subject.refusal(subject.join)
    assert isinstance(refusal, NotADomainMember)
    assert "has left account" in refusal.text


def test_only_members_can_leave(subject: Subject) -> None:
    refusal = subject.refusal(subject.leave)
    assert isinstance(refusal, UnknownAccountId)
    subject.join(ONE)
    refusal = subject.refusal(lambda: subject.leave(TWO))
    assert isinstance(refusal, NotADomainMember)
    assert subject.members() == [device_of(ONE)]


# --- the operator ---------------------------------------------------------------------------------


def test_a_renewed_domain_has_another_key_pair(subject: Subject) -> None:
    (first,) = subject.join().revisions
    assert subject.administration.renew(ACCOUNT).revision == 2
    second_, again = subject.join(saying=SAYING.later()).revisions
    assert again == first
    assert (second_.number, second_.private != first.private) == (2, True)
    ((_, (member,), _),) = subject.recorded()
    assert member.revision == 2


def test_a_removed_device_cannot_join_until_allowed(subject: Subject) -> None:
    subject.join(ONE)
    subject.join(TWO)
    assert subject.administration.remove(ACCOUNT, device_of(ONE)).revision == 2
    assert subject.members() == [device_of(TWO)]
    asks: tuple[Callable[..., object], ...] = (subject.join, subject.leave)
    for ask in asks:
        refusal = subject.refusal(partial(ask, ONE, SAYING.later()))
        assert isinstance(refusal, NotADomainMember)
        assert refusal.domain == about()
    assert len(subject.join(TWO, SAYING.later()).revisions) == 2
    subject.administration.allow(ACCOUNT, device_of(ONE))
    assert subject.members() == [device_of(TWO)]
    subject.join(ONE, SAYING.later())
    assert subject.account().members == 2


def test_a_lower_limit_keeps_the_members(subject: Subject) -> None:
    subject.join(ONE)
    subject.join(TWO)
    subject.administration.change(ACCOUNT, limit=1)
    subject.join(TWO, SAYING.later())
    subject.leave(ONE)
    refusal = subject.refusal(lambda: subject.join(THREE))
    assert "has 1 of 1 members" in refusal.text


# --- bad input ------------------------------------------------------------------------------------


def test_a_revoked_device_cannot_join(subject: Subject) -> None:
    digest = parse_chain(ONE.chain).leaf.digest
    with subject.store.transaction() as transaction:
        transaction.revocations.record(LISTS["device"], 1, digest, world.NOW)
        transaction.revocations.raise_version(REVOCATION_INFO)
    assert isinstance(subject.refusal(subject.join), DeviceCertificateRevoked)
    assert isinstance(subject.refusal(subject.leave), DeviceCertificateRevoked)
    subject.join(TWO)


def other_pki() -> second.Client:
    above = world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE, by=world.OTHER)
    leaf = cert.Subject(cert.DEVICE, world.DEVICE_KEYS)
    return second.with_chain(world.CLIENT, world.device_chain(leaf, above))


@pytest.mark.parametrize(
    ("client", "saying", "refused", "text"),
    [
        (other_pki(), SAYING, InvalidMessage, "not a trust anchor"),
        (replace(ONE, signing=world.OTHER), SAYING, InvalidMessage, "not the signing key"),
        (replace(ONE, server=curve.public(world.OTHER)), SAYING, InvalidMessage, "not open"),
        (ONE, replace(SAYING, version="2"), ProtocolVersionMismatch, "Version 2"),
        (ONE, replace(SAYING, service=b"15 bytes long.."), InvalidMessage, "15 bytes"),
        (ONE, replace(SAYING, account=b"17 bytes long...."), InvalidMessage, "17 bytes"),
        (
            second.with_chain(
                world.CLIENT,
                world.device_chain(
                    cert.Subject(cert.DEVICE, ((world.DEVICE_SIGNING, (cert.SIGN,)),))
                ),
            ),
            SAYING,
            InvalidMessage,
            "no key with the usage to encrypt",
        ),
    ],
)
def test_a_refusal_names_what_is_wrong_with_a_join(
    subject: Subject, client: second.Client, saying: Saying, refused: type[Refusal], text: str
) -> None:
    refusal = subject.refusal(lambda: subject.join(client, saying))
    assert isinstance(refusal, refused)
    assert text in refusal.text


def test_no_altered_byte_of_a_join_makes_another_member(subject: Subject) -> None:
    subject.join()
    body = SAYING.join(TWO)
    context = subject.context
    before = subject.recorded()
    for at in range(0, len(body), 5):
        altered = body[:at] + bytes([body[at] ^ 1 << at % 8]) + body[at + 1 :]
        try:
            post(context, "JoinDomain", altered)
        except Refusal:
            assert subject.recorded() == before
            continue
        # The envelope is not signed and may be altered.
        ((_, members, _),) = subject.recorded()
        assert [member.device for member in members if member.device != device_of(ONE)] == [
            device_of(TWO)
        ]
        before = subject.recorded()


def test_the_store_contains_no_key_in_the_clear(subject: Subject) -> None:
    (revision,) = subject.join().revisions
    with subject.store.reading() as found:
        (stored,) = found.domains.find_revisions(ACCOUNT)
    private = revision.private.to_bytes(32, "big")
    assert private not in stored.ciphertext
    assert subject.authority.open_key(ACCOUNT, stored).raw == private
    with pytest.raises(Refusal, match="does not open"):
        subject.authority.open_key(AccountId(bytes(16)), stored)


def test_hooks_receive_joins_and_leaves(subject: Subject) -> None:
    received: Queue[Event] = Queue()
    subject.callables = HookSet(on_event=received.put)
    subject.join()
    assert received.get(timeout=10) == Event("JoinDomain", device_of(ONE))
    subject.leave()
    assert received.get(timeout=10) == Event("LeaveDomain", device_of(ONE))
