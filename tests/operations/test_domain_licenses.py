"""Licences bound to domains go to members with the newest revision only."""

import json
import struct
from dataclasses import dataclass, replace

import pytest

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import (
    DeviceCertificateRevoked,
    DomainFacts,
    DomainRequired,
    InvalidMessage,
    NotADomainMember,
    Refusal,
    RenewDomain,
    UnknownAccountId,
)
from rightsmanager.keyring import certify_domain
from rightsmanager.operations.context import Context, Options
from rightsmanager.policy.decision import SPECIAL_DOMAIN
from rightsmanager.policy.defaults import DefaultDomain, LicenseDefaults
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.bcert.objects import Domain
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.database import Store
from tests.operations.subject import TERMS, URL, ask, issued, make_context
from tests.operations.test_domain import (
    ACCOUNT,
    ISSUER,
    ONE,
    SAYING,
    SERVICE,
    THREE,
    TWO,
    Subject,
    device_of,
)
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.domain import Revision, Saying
from tests.second.reply import License, read_reply

KID = bytes(range(16))
WISH = second.Wish(second.header_40(KID))
BOUND = f"cfg=(accountid:{ACCOUNT.text})"
OTHER = AccountId(b"account id 00002")
DOMAIN_OBJECT = 0x0029
ROOT_KID = "3c6f3c13-6207-4916-867c-8252b3993638"


def with_chains(
    client: second.Client, chains: tuple[bytes, ...], wish: second.Wish = WISH
) -> bytes:
    """Return a challenge with more chains than the device's."""
    return second.with_plaintext(client, wish, second.data(client.chain, *chains).encode())


@dataclass
class Licenses:
    """A server that issues licences bound to its domains."""

    domains: Subject

    @property
    def store(self) -> Store:
        return self.domains.store

    def context(self) -> Context:
        terms = self.domains.terms
        domain = DefaultDomain(terms.service_id, terms.default_account)
        options = Options(defaults=LicenseDefaults(domain=domain))
        return make_context(
            self.store,
            options=options,
            domains=self.domains.authority,
            clock=lambda: self.domains.now,
        )

    def acquire(
        self,
        revision: Revision,
        client: second.Client = ONE,
        query: str = BOUND,
        wish: second.Wish = WISH,
    ) -> tuple[License, ...]:
        """Return the licences that a device gets with a domain's certificate, opened by its key."""
        reply = ask(self.context(), with_chains(client, (revision.chain,), wish), query)
        return read_reply(reply, revision.private, curve.public(world.ROOT)).licenses

    def refusal(
        self,
        *chains: bytes,
        client: second.Client = ONE,
        query: str = BOUND,
        wish: second.Wish = WISH,
    ) -> Refusal:
        """Return why a licence is refused, and which domain that is about; nothing is stored."""
        before = len(issued(self.store))
        body = with_chains(client, chains, wish)
        with pytest.raises(Refusal) as caught:
            ask(self.context(), body, query)
        assert len(issued(self.store)) == before
        return caught.value


@pytest.fixture
def licenses(store: Store) -> Licenses:
    return Licenses(Subject(store))


def about(name: str | None = TERMS.friendly_name, url: str | None = URL) -> DomainFacts:
    return DomainFacts(TERMS.service_id.base64, ACCOUNT.base64, name, url)


def test_a_member_gets_a_licence_that_the_domains_key_opens(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    (license_,) = licenses.acquire(revision)
    assert license_.content_key == content_key(TEST_KEY_SEED, KID)
    assert license_.body(DOMAIN_OBJECT) == ACCOUNT.raw + struct.pack(">I", 1)
    (recorded,) = issued(licenses.store)
    assert recorded.device == device_of(ONE)
    assert json.loads(recorded.policy)["account_id"] == ACCOUNT.text


@pytest.mark.parametrize(
    "query",
    [
        f"cfg=(accountid:{ACCOUNT.base64},persist:true)",
        f"AccountID={ACCOUNT.text}",
    ],
)
def test_every_spelling_binds(licenses: Licenses, query: str) -> None:
    (revision,) = licenses.domains.join().revisions
    (license_,) = licenses.acquire(revision, query=query)
    assert license_.persistent
    assert license_.body(DOMAIN_OBJECT)[:16] == ACCOUNT.raw


def test_custom_data_binds_too(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    custom_data = f"<CustomData>json=[{{'accountid':'{ACCOUNT.text}'}}]</CustomData>"
    (license_,) = licenses.acquire(revision, query="", wish=replace(WISH, custom_data=custom_data))
    assert license_.body(DOMAIN_OBJECT)[:16] == ACCOUNT.raw


def in_our_domain(kid: bytes) -> second.Wish:
    header = second.header_40(kid)
    named = f"<DS_ID>{second.b64(SERVICE)}</DS_ID></DATA>"
    return second.Wish(header.replace("</DATA>", named))


@pytest.mark.parametrize(
    "wish", [in_our_domain(KID), second.Wish(second.header_40(SPECIAL_DOMAIN.raw))]
)
def test_content_of_our_domains_is_bound_to_the_default_account(
    store: Store, wish: second.Wish
) -> None:
    terms = replace(TERMS, default_account=ACCOUNT)
    licenses = Licenses(Subject(store, terms))
    refusal = licenses.refusal(query="", wish=wish)
    assert isinstance(refusal, DomainRequired)
    (revision,) = licenses.domains.join(saying=Saying(SERVICE)).revisions
    (license_,) = licenses.acquire(revision, query="", wish=wish)
    assert license_.body(DOMAIN_OBJECT)[:16] == ACCOUNT.raw


def test_one_reply_may_have_bound_and_unbound_licences(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    kids = KID, bytes(16)
    wish = second.Wish(second.header_43(*kids), "5")
    first, other = (f"kid:{second.b64(kid)}" for kid in kids)
    query = f"cfg=({first},accountid:{ACCOUNT.text}),({other},accountid:{ACCOUNT.text})"
    opened = licenses.acquire(revision, query=query, wish=wish)
    assert [license_.kid for license_ in opened] == list(kids)
    query = f"cfg=({first},accountid:{ACCOUNT.text}),({other})"
    with pytest.raises(AssertionError):
        # The second one is to the device's own key.
        licenses.acquire(revision, query=query, wish=replace(wish, nonce=bytes(16)))


def test_a_leaf_of_a_domain_is_chained_to_its_root(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    query = (
        f"cfg=(kid:{ROOT_KID},isroot:true,persist:true,accountid:{ACCOUNT.text}),"
        f"(kid:header,rootid:{ROOT_KID},accountid:{ACCOUNT.text})"
    )
    ask(licenses.context(), with_chains(ONE, (revision.chain,)), query)
    policies = [json.loads(license_.policy) for license_ in issued(licenses.store)]
    assert [policy["account_id"] for policy in policies] == [ACCOUNT.text] * 2
    licenses.domains.administration.remove(ACCOUNT, device_of(ONE))
    alone = f"cfg=(kid:header,rootid:{ROOT_KID},accountid:{ACCOUNT.text})"
    assert isinstance(licenses.refusal(query=alone), NotADomainMember)


# --- refusals -------------------------------------------------------------------------------------


def test_without_a_certificate_of_the_domain_it_is_required(licenses: Licenses) -> None:
    licenses.domains.join()
    for client in (ONE, TWO):
        refusal = licenses.refusal(client=client)
        assert isinstance(refusal, DomainRequired)
        assert "the challenge has no certificate of it" in refusal.text
        assert refusal.domain == about()


def test_an_account_without_members_requires_a_join(licenses: Licenses) -> None:
    refusal = licenses.refusal()
    assert isinstance(refusal, DomainRequired)
    assert refusal.domain == about()
    licenses.domains.terms = replace(TERMS, first_use=False)
    refusal = licenses.refusal()
    assert isinstance(refusal, UnknownAccountId)
    assert refusal.domain == about(None, None)


def test_a_closed_account_has_no_licences(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    licenses.domains.administration.close(ACCOUNT)
    refusal = licenses.refusal(revision.chain)
    assert isinstance(refusal, UnknownAccountId)
    assert refusal.domain == about()


def test_an_older_revision_is_to_be_renewed_once(licenses: Licenses) -> None:
    (old,) = licenses.domains.join().revisions
    licenses.domains.administration.renew(ACCOUNT)
    refusal = licenses.refusal(old.chain)
    assert isinstance(refusal, RenewDomain)
    assert "is of revision 1" in refusal.text
    assert refusal.domain == about()
    new, _ = licenses.domains.join(saying=SAYING.later()).revisions
    (license_,) = licenses.acquire(new)
    assert license_.body(DOMAIN_OBJECT) == ACCOUNT.raw + struct.pack(">I", 2)
    # The newest one counts, wherever it stands.
    body = with_chains(ONE, (old.chain, new.chain), replace(WISH, nonce=bytes(16)))
    ask(licenses.context(), body, BOUND)


def test_an_outdated_revision_is_renewed_by_the_next_join(store: Store) -> None:
    terms = replace(TERMS, revision_seconds=3600)
    licenses = Licenses(Subject(store, terms))
    (first,) = licenses.domains.join().revisions
    assert licenses.acquire(first)
    licenses.domains.now += 3600
    refusal = licenses.refusal(first.chain)
    assert isinstance(refusal, RenewDomain)
    assert "is outdated after 3600 s" in refusal.text
    new, _ = licenses.domains.join(saying=SAYING.later()).revisions
    (license_,) = licenses.acquire(new, wish=replace(WISH, nonce=bytes(16)))
    assert license_.body(DOMAIN_OBJECT) == ACCOUNT.raw + struct.pack(">I", 2)
    # A device that joins meanwhile renews nothing.
    assert len(licenses.domains.join(TWO).revisions) == 2


def test_who_was_removed_gets_nothing_whatever_it_shows(licenses: Licenses) -> None:
    (old,) = licenses.domains.join(ONE).revisions
    licenses.domains.join(TWO)
    licenses.domains.administration.remove(ACCOUNT, device_of(ONE))
    new, _ = licenses.domains.join(TWO, SAYING.later()).revisions
    for chains in ((), (old.chain,), (new.chain,)):
        refusal = licenses.refusal(*chains)
        assert isinstance(refusal, NotADomainMember)
        assert refusal.domain == about()
    assert isinstance(licenses.refusal(old.chain, client=TWO), RenewDomain)
    licenses.acquire(new, TWO)


def test_who_left_gets_nothing_with_what_it_kept(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    licenses.domains.leave()
    assert isinstance(licenses.refusal(revision.chain), NotADomainMember)
    assert isinstance(licenses.refusal(), DomainRequired)


def test_who_borrows_a_members_certificate_gets_nothing(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join(ONE).revisions
    refusal = licenses.refusal(revision.chain, client=THREE)
    assert isinstance(refusal, NotADomainMember)
    assert "is not a member" in refusal.text


def test_a_certificate_of_another_account_is_ignored(licenses: Licenses) -> None:
    licenses.domains.join()
    other = Saying(SERVICE, OTHER.raw)
    (revision,) = licenses.domains.join(saying=other).revisions
    assert isinstance(licenses.refusal(revision.chain), DomainRequired)


@pytest.mark.parametrize("revision", [1, 2, 2**32 - 1])
def test_a_certificate_of_another_server_is_ignored(licenses: Licenses, revision: int) -> None:
    licenses.domains.join()
    domain = Domain(TERMS.service_id, ACCOUNT, revision, None)
    made = certify_domain(ISSUER, domain, seeded_random(b"elsewhere"))
    refusal = licenses.refusal(made.chain.raw)
    assert isinstance(refusal, DomainRequired)
    assert "was not made here" in refusal.text


def test_a_certificate_of_another_pki_is_refused_with_the_message(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    foreign = second_pki(revision)
    refusal = licenses.refusal(foreign)
    assert isinstance(refusal, InvalidMessage)
    assert "not a trust anchor" in refusal.text


def second_pki(revision: Revision) -> bytes:
    """Return the leaf under the certificate of an issuer that another root signed."""
    certificates = parse_chain(revision.chain).certificates
    above = world.issuer(world.DOMAIN_ISSUER, 8, by=world.OTHER)
    return (
        struct.pack(">4sIIII", b"CHAI", 1, 20 + len(certificates[0].raw) + len(above), 0, 2)
        + certificates[0].raw
        + above
    )


def test_a_revoked_domain_certificate_is_refused(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    digest = parse_chain(revision.chain).leaf.digest
    with licenses.store.transaction() as transaction:
        transaction.revocations.record(LISTS["device"], 1, digest, world.NOW)
        transaction.revocations.raise_version(REVOCATION_INFO)
    assert isinstance(licenses.refusal(revision.chain), DeviceCertificateRevoked)


def test_a_domains_certificate_cannot_sign_challenges(licenses: Licenses) -> None:
    (revision,) = licenses.domains.join().revisions
    client = replace(ONE, chain=revision.chain, signing=revision.private)
    body = second.challenge(client, WISH)
    with pytest.raises(InvalidMessage, match="is not the signing key"):
        ask(licenses.context(), body, BOUND)
