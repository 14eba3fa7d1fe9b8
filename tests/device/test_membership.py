"""A device joins domains, holds their keys by revision, renews, gives up and leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.device import Wanted
from rightsmanager.device.domains import DomainStore, HeldDomain
from rightsmanager.device.membership import Joining, Membership, join, leave
from rightsmanager.errors import (
    DomainFacts,
    DomainRequired,
    InternalError,
    InvalidMessage,
    NotADomainMember,
    RenewDomain,
    ServiceSpecific,
)
from rightsmanager.protocol.formats.bcert import CertificateType, KeyUsage, parse_chain
from rightsmanager.protocol.formats.bcert.objects import Domain, Metering
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.messages.domain import (
    DomainRevision,
    JoinResponse,
    LeaveResponse,
    open_join,
    open_leave,
    seal_join_response,
    seal_leave_response,
)
from rightsmanager.protocol.wire import AccountId, Kid, Mid, ServiceId
from tests.device.answering import (
    DOMAIN_ISSUER,
    METERING_ISSUER,
    SIGNER_KEY,
    URL,
    Answer,
    Server,
    certified,
    domain_revision,
    make_client,
    refusing,
)
from tests.operations.subject import PORTABLE, private_key
from tests.second import world

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.device import LicenseOpener
    from rightsmanager.protocol.xml.envelope import Envelope

SERVICE, OTHER_SERVICE = ServiceId(b"service id 16 by"), ServiceId(bytes(16))
ACCOUNT, OTHER_ACCOUNT = AccountId(b"account id 16 by"), AccountId(bytes(16))
FIRST, SECOND = private_key(5001), private_key(5002)
FACTS = DomainFacts(SERVICE.base64, ACCOUNT.base64, "family", "http://domain.test/")
WANTED = Wanted(Header(Version.V4_0, (HeaderKid(Kid(bytes(16)), Algid.AESCTR),)))


def named(revision: int) -> Domain:
    return Domain(SERVICE, ACCOUNT, revision, None)


ONE = domain_revision(named(1), FIRST)
TWO = domain_revision(named(2), SECOND)


def joined(*revisions: DomainRevision, **more: Any) -> Answer:  # noqa: ANN401 -- fields of JoinResponse
    fields: dict[str, Any] = {
        "service_id": SERVICE,
        "account_id": ACCOUNT,
        "friendly_name": "family",
        "domain_url": "http://domain.test/",
        "revisions": revisions,
    }

    def answer(_: Envelope) -> bytes:
        response = JoinResponse(**{**fields, **more})
        return seal_join_response(response, world.SIGNER_CHAIN, SIGNER_KEY)

    return answer


def join_once(
    opening: LicenseOpener, answer: Answer, account_id: AccountId | None = ACCOUNT
) -> HeldDomain:
    server = Server({"JoinDomain": [answer]})
    return join(URL, Joining(SERVICE, account_id), make_client(opening, server))


@pytest.fixture
def store(tmp_path: Path) -> DomainStore:
    return DomainStore(tmp_path)


def test_who_joins_gets_the_keys_of_all_revisions(
    opening: LicenseOpener, store: DomainStore
) -> None:
    domain = join_once(opening, joined(TWO, ONE))
    assert [(each.revision, each.key) for each in domain.revisions] == [(2, SECOND), (1, FIRST)]
    assert (domain.friendly_name, domain.url) == ("family", "http://domain.test/")
    store.record(domain)
    assert store.find_all() == (domain,)
    assert store.find(OTHER_ACCOUNT) is None
    assert store.private_keys() == {(ACCOUNT, 1): FIRST, (ACCOUNT, 2): SECOND}
    modes = {file.stat().st_mode & 0o777 for file in store.folder.rglob("*.*") if file.is_file()}
    assert modes == {0o600}


def test_the_challenge_says_what_is_joined(opening: LicenseOpener) -> None:
    asked = []

    def answer(envelope: Envelope) -> bytes:
        asked.append(
            open_join(envelope, [private_key(world.SERVER)], PORTABLE, opening.verifier.parse)
        )
        return joined(ONE)(envelope)

    server = Server({"JoinDomain": [answer]})
    joining = Joining(SERVICE, None, "living room", "custom <data>")
    assert join(URL, joining, make_client(opening, server)).account_id == ACCOUNT
    (challenge,) = asked
    assert (challenge.service_id, challenge.account_id) == (SERVICE, None)
    assert (challenge.friendly_name, challenge.custom_data) == ("living room", "custom <data>")
    assert challenge.signer.raw == world.DEVICE_CHAIN


def test_older_revisions_stay(opening: LicenseOpener, store: DomainStore) -> None:
    store.record(join_once(opening, joined(ONE)))
    store.record(join_once(opening, joined(TWO)))
    found = store.find(ACCOUNT)
    assert found is not None
    assert [each.revision for each in found.revisions] == [2, 1]
    assert found.newest.key == SECOND


METERING = certified(
    CertificateType.METERING,
    Metering(Mid(bytes(16)), None),
    FIRST,
    METERING_ISSUER,
    KeyUsage.ISSUE_METERING,
)
WRONG_ISSUER = certified(
    CertificateType.DOMAIN, named(1), FIRST, DOMAIN_ISSUER, KeyUsage.ISSUE_METERING
)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (joined(ONE, service_id=OTHER_SERVICE), "reply is of DomainServiceID"),
        (joined(ONE, account_id=OTHER_ACCOUNT), "reply is of AccountID"),
        (joined(replace(ONE, revision=7)), "revision 1, expected account"),
        (joined(domain_revision(replace(named(1), account_id=OTHER_ACCOUNT), FIRST)), "expected"),
        (joined(domain_revision(replace(named(1), service_id=OTHER_SERVICE), FIRST)), "expected"),
        (joined(domain_revision(named(1), FIRST, SECOND)), "private key of revision 1 is not of"),
        (joined(replace(ONE, chain=METERING.raw)), "is of type METERING, expected a domain"),
        (joined(replace(ONE, chain=WRONG_ISSUER.raw)), "usages"),
        (joined(replace(ONE, chain=world.DEVICE_CHAIN)), "is of type DEVICE, expected a domain"),
        (joined(replace(ONE, wrapped_key=bytes(168))), "ciphertext"),
        (joined(replace(ONE, wrapped_key=ONE.wrapped_key[:-1] + b"\0")), "does not unwrap"),
    ],
)
def test_a_reply_that_is_not_as_it_must_be_is_refused(
    opening: LicenseOpener, answer: Answer, told: str
) -> None:
    with pytest.raises(InvalidMessage, match=told):
        join_once(opening, answer)


def test_a_reply_that_the_server_did_not_sign_is_refused(opening: LicenseOpener) -> None:
    def altered(envelope: Envelope) -> bytes:
        return joined(ONE)(envelope).replace(b"family", b"famine")

    with pytest.raises(InvalidMessage):
        join_once(opening, altered)

    def foreign(_: Envelope) -> bytes:
        response = JoinResponse(SERVICE, ACCOUNT, "", "", (ONE,))
        return seal_join_response(response, world.DEVICE_CHAIN, private_key(world.DEVICE_SIGNING))

    with pytest.raises(InvalidMessage, match="no key that may sign responses"):
        join_once(opening, foreign)


def left(account_id: AccountId = ACCOUNT) -> Answer:
    def answer(envelope: Envelope) -> bytes:
        keys = [private_key(world.SERVER)]
        challenge = open_leave(envelope, keys, PORTABLE, parse_chain)
        assert (challenge.service_id, challenge.account_id) == (SERVICE, ACCOUNT)
        response = LeaveResponse(SERVICE, account_id, 2)
        return seal_leave_response(response, world.SIGNER_CHAIN, SIGNER_KEY)

    return answer


@pytest.mark.parametrize(
    ("answer", "was_member"), [(left(), True), (refusing(NotADomainMember("no")), False)]
)
def test_who_leaves_was_a_member_or_not(
    opening: LicenseOpener, answer: Answer, *, was_member: bool
) -> None:
    domain = join_once(opening, joined(TWO, ONE))
    server = Server({"LeaveDomain": [answer]})
    assert leave(URL, domain, make_client(opening, server)) is was_member


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (left(OTHER_ACCOUNT), "reply is of AccountID"),
        (refusing(ServiceSpecific("another service")), "another service"),
    ],
)
def test_a_failure_to_leave_is_reported(opening: LicenseOpener, answer: Answer, told: str) -> None:
    domain = join_once(opening, joined(ONE))
    server = Server({"LeaveDomain": [answer]})
    with pytest.raises((InvalidMessage, ServiceSpecific), match=told):
        leave(URL, domain, make_client(opening, server))


def test_a_domain_that_is_removed_leaves_nothing(
    opening: LicenseOpener, store: DomainStore
) -> None:
    store.record(join_once(opening, joined(TWO, ONE)))
    store.remove(ACCOUNT)
    assert store.find_all() == ()
    assert [file for file in store.folder.rglob("*") if file.is_file()] == []
    store.remove(ACCOUNT)


def test_a_half_written_domain_does_not_count(opening: LicenseOpener, store: DomainStore) -> None:
    store.record(join_once(opening, joined(TWO, ONE)))
    folder = store.folder / "domains" / ACCOUNT.text
    (folder / "2.chain").unlink()
    found = store.find(ACCOUNT)
    assert found is not None
    assert found.newest.revision == 1
    (folder / "domain.json").unlink()
    assert store.find_all() == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [("domain.json", b"[]"), ("domain.json", b"{"), ("1.chain", b"CHAI"), ("1.key", b"")],
)
def test_a_bad_file_is_named(
    opening: LicenseOpener, store: DomainStore, name: str, content: bytes
) -> None:
    store.record(join_once(opening, joined(ONE)))
    (store.folder / "domains" / ACCOUNT.text / name).write_bytes(content)
    with pytest.raises(InternalError, match=name):
        store.find(ACCOUNT)


# --- licences -----------------------------------------------------------------------------------

ENOUGH = refusing(ServiceSpecific("enough"))
"""Ends an acquisition where its messages were what is tested."""


def test_an_outdated_member_joins_again_once_and_asks_again(
    opening: LicenseOpener, store: DomainStore
) -> None:
    store.record(join_once(opening, joined(ONE)))
    server = Server(
        {
            "AcquireLicense": [refusing(RenewDomain("old", domain=FACTS)), ENOUGH],
            "JoinDomain": [joined(TWO, ONE)],
        }
    )
    with pytest.raises(ServiceSpecific, match="enough"):
        Membership(store, ACCOUNT).acquire(URL, WANTED, make_client(opening, server))
    assert server.asked == ["AcquireLicense", "JoinDomain", "AcquireLicense"]
    assert server.urls == [URL, "http://domain.test/", URL]
    assert (ACCOUNT, 2) in store.private_keys()


def test_a_server_that_always_wants_a_newer_revision_is_not_asked_for_ever(
    opening: LicenseOpener, store: DomainStore
) -> None:
    store.record(join_once(opening, joined(ONE)))
    server = Server({"AcquireLicense": [refusing(RenewDomain("old"))], "JoinDomain": [joined(ONE)]})
    with pytest.raises(RenewDomain):
        Membership(store, ACCOUNT).acquire(URL, WANTED, make_client(opening, server))
    assert server.asked == ["AcquireLicense", "JoinDomain", "AcquireLicense"]
    assert server.urls[1] == URL


def test_with_join_the_device_joins_the_required_domain(
    opening: LicenseOpener, store: DomainStore
) -> None:
    needed = refusing(DomainRequired("join first", domain=FACTS))
    server = Server({"AcquireLicense": [needed, ENOUGH], "JoinDomain": [joined(ONE)]})
    with pytest.raises(ServiceSpecific, match="enough"):
        Membership(store, None, joins=True).acquire(URL, WANTED, make_client(opening, server))
    assert server.asked == ["AcquireLicense", "JoinDomain", "AcquireLicense"]
    assert [domain.account_id for domain in store.find_all()] == [ACCOUNT]


@pytest.mark.parametrize(("joins", "facts"), [(False, FACTS), (True, None)])
def test_who_was_not_told_to_or_where_does_not_join(
    opening: LicenseOpener, store: DomainStore, *, joins: bool, facts: DomainFacts | None
) -> None:
    server = Server({"AcquireLicense": [refusing(DomainRequired("join first", domain=facts))]})
    with pytest.raises(DomainRequired):
        Membership(store, None, joins).acquire(URL, WANTED, make_client(opening, server))
    assert server.asked == ["AcquireLicense"]


def test_who_was_removed_gives_up_and_keeps_its_keys(
    opening: LicenseOpener, store: DomainStore
) -> None:
    store.record(join_once(opening, joined(ONE)))
    removed = refusing(NotADomainMember("removed", domain=FACTS))
    for answers in (
        {"AcquireLicense": [removed]},
        {"AcquireLicense": [refusing(RenewDomain("old", domain=FACTS))], "JoinDomain": [removed]},
    ):
        with pytest.raises(NotADomainMember, match="removed; the device keeps its keys") as caught:
            Membership(store, ACCOUNT).acquire(URL, WANTED, make_client(opening, Server(answers)))
        assert caught.value.domain == FACTS
    assert store.private_keys() == {(ACCOUNT, 1): FIRST}
