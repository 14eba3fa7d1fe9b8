"""Revoked devices are refused at once; clients get newer versions of their lists."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.admin.revocations import NewVersions, RevocationEditor
from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.errors import DeviceCertificateRevoked, ServiceSpecific
from rightsmanager.keyring import ListSigner
from rightsmanager.operations.context import RevocationCache
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO, SignedList, parse_list
from rightsmanager.protocol.messages.challenge import RevocationListInfo
from rightsmanager.protocol.messages.response import RevocationList, open_license_response
from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import Store
from tests.operations.subject import ask, issued, make_context, private_key
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, world

if TYPE_CHECKING:
    from collections.abc import Callable

LIST_ISSUER, LIST_SIGNER = 2001, 2002
SIGNER = ListSigner(
    private_key(LIST_SIGNER),
    parse_chain(
        cert.chain(
            cert.issue(cert.Subject(5, ((LIST_SIGNER, (3,)),), level=3000), LIST_ISSUER),
            world.issuer(LIST_ISSUER, 11),
        )
    ),
)
LEAF, ISSUER = (each.digest for each in parse_chain(world.DEVICE_CHAIN).certificates)
DEVICE_LIST, PC_LIST = LISTS["device"], LISTS["pc"]
WISH = second.Wish(second.header_40(bytes(16)))
BODY = second.challenge(world.CLIENT, WISH)


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: int = world.NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Office:
    """An operator's side of a store."""

    store: Store
    clock: Clock = field(default_factory=Clock)

    @property
    def editor(self) -> RevocationEditor:
        return RevocationEditor(self.store, SIGNER, self.clock)

    def list(self, list_id: Guid) -> SignedList:
        """Return the newest version of a list, its signature verified."""
        with self.store.reading() as found:
            each = parse_list(found.revocations.find_list_data(list_id))
        each.verify(
            ChainVerifier([PublicKey(curve.point_bytes(curve.public(world.ROOT)))]), world.NOW
        )
        return each


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


def is_refused(store: Store, body: bytes = BODY) -> bool:
    try:
        ask(make_context(store), body)
    except DeviceCertificateRevoked:
        return True
    return False


@pytest.mark.parametrize("digest", [LEAF, ISSUER], ids=["leaf", "issuer"])
def test_a_certificate_of_the_chain_that_is_revoked_is_refused(
    office: Office, digest: bytes
) -> None:
    service = make_context(office.store)
    ask(service, BODY)
    (before,) = issued(office.store)
    office.editor.revoke(DEVICE_LIST, digest)
    with pytest.raises(DeviceCertificateRevoked, match=second.b64(digest).replace("+", r"\+")):
        ask(service, second.challenge(world.CLIENT, replace(WISH, nonce=bytes(16))))
    assert issued(office.store) == [before]


def test_every_list_counts(office: Office) -> None:
    for list_id in LISTS.values():
        office.editor.revoke(list_id, LEAF)
        assert is_refused(office.store)
        office.editor.unrevoke(LEAF)
        assert not is_refused(office.store)


def test_other_devices_are_served(office: Office) -> None:
    office.editor.revoke(DEVICE_LIST, bytes(32))
    assert not is_refused(office.store)


def test_any_chain_of_the_challenge_counts(office: Office) -> None:
    subject = cert.Subject(cert.DEVICE, ((world.OTHER, (cert.SIGN, cert.ENCRYPT)),))
    other = world.device_chain(subject)
    office.editor.revoke(DEVICE_LIST, parse_chain(other).leaf.digest)
    plaintext = second.data(world.DEVICE_CHAIN, other).encode()
    assert is_refused(office.store, second.with_plaintext(world.CLIENT, WISH, plaintext))


def test_a_request_without_licences_is_refused_too(office: Office) -> None:
    asked = second.header_43(bytes(16))
    header = asked.replace("<PROTECTINFO>", '<PROTECTINFO LICENSEREQUESTED="false">')
    body = second.challenge(world.CLIENT, replace(WISH, header=header, version="5"))
    assert not is_refused(office.store, body)
    office.editor.revoke(DEVICE_LIST, LEAF)
    assert is_refused(office.store, body)


def test_a_repeat_of_a_served_request_is_refused(office: Office) -> None:
    assert not is_refused(office.store)
    office.editor.revoke(DEVICE_LIST, LEAF)
    assert is_refused(office.store)


def test_the_allow_list_overrides_every_list(office: Office) -> None:
    office.editor.allow(LEAF)
    office.editor.revoke(DEVICE_LIST, LEAF)
    office.editor.revoke(PC_LIST, LEAF)
    assert not is_refused(office.store)
    assert office.list(DEVICE_LIST).digests == ()
    office.editor.disallow(LEAF)
    assert is_refused(office.store)
    assert office.list(DEVICE_LIST).digests == office.list(PC_LIST).digests == (LEAF,)


def test_a_leaf_is_not_allowed_by_its_issuer(office: Office) -> None:
    office.editor.revoke(DEVICE_LIST, LEAF)
    office.editor.allow(ISSUER)
    assert is_refused(office.store)


def test_each_change_is_the_next_version(office: Office) -> None:
    editor = office.editor
    changes = [
        editor.revoke(DEVICE_LIST, LEAF),
        editor.revoke(PC_LIST, ISSUER),
        editor.revoke(DEVICE_LIST, ISSUER),
        editor.allow(ISSUER),
        editor.unrevoke(ISSUER),
    ]
    assert [(each.information, dict(each.lists)) for each in changes] == [
        (1, {DEVICE_LIST: 1}),
        (2, {PC_LIST: 1}),
        (3, {DEVICE_LIST: 2}),
        (4, {DEVICE_LIST: 3, PC_LIST: 2}),
        (5, {DEVICE_LIST: 4, PC_LIST: 3}),
    ]
    information = office.list(REVOCATION_INFO)
    assert (information.version, information.versions) == (5, {DEVICE_LIST: 4, PC_LIST: 3})
    assert (office.list(DEVICE_LIST).version, office.list(DEVICE_LIST).digests) == (4, (LEAF,))
    assert (office.list(PC_LIST).version, office.list(PC_LIST).digests) == (3, ())


def test_a_change_that_changes_nothing_is_refused_and_makes_no_version(office: Office) -> None:
    editor = office.editor
    editor.revoke(DEVICE_LIST, LEAF)
    editor.allow(LEAF)
    changes: list[Callable[[], NewVersions]] = [
        lambda: editor.revoke(DEVICE_LIST, LEAF),
        lambda: editor.allow(LEAF),
        lambda: editor.unrevoke(ISSUER),
        lambda: editor.disallow(ISSUER),
    ]
    for change in changes:
        with pytest.raises(ServiceSpecific):
            change()
    assert office.list(REVOCATION_INFO).version == 2
    assert office.list(DEVICE_LIST).version == 2


def test_entries_tell_list_version_and_date(office: Office) -> None:
    office.editor.revoke(DEVICE_LIST, LEAF)
    office.clock.now += 60
    office.editor.revoke(DEVICE_LIST, ISSUER)
    office.editor.allow(ISSUER)
    with office.store.reading() as found:
        entries = found.revocations.find_all()
        allowed = found.revocations.find_allowed()
    assert [
        (each.list_id, each.version, each.digest, each.since, each.allowed) for each in entries
    ] == [
        (DEVICE_LIST, 1, LEAF, world.NOW, False),
        (DEVICE_LIST, 2, ISSUER, world.NOW + 60, True),
    ]
    assert allowed == [(ISSUER, world.NOW + 60)]


def test_two_processes_with_one_store_see_the_same_revocations(office: Office) -> None:
    here, there = RevocationCache(office.store), RevocationCache(office.store)
    assert here.find_revoked().digests == there.find_revoked().digests == frozenset()
    office.editor.revoke(DEVICE_LIST, LEAF)
    assert here.find_revoked().digests == there.find_revoked().digests == {LEAF}
    office.editor.allow(LEAF)
    assert here.find_revoked().digests == there.find_revoked().digests == frozenset()


def test_lookups_are_counted(office: Office) -> None:
    cache = RevocationCache(office.store)
    cache.find_revoked()
    cache.find_revoked_and_keys(Kid(bytes(16)))
    assert (cache.hits, cache.misses) == (2, 0)
    for digest in (LEAF, ISSUER):
        office.editor.revoke(DEVICE_LIST, digest)
        cache.find_revoked()
        cache.find_revoked_and_keys(Kid(bytes(16)))
    assert (cache.hits, cache.misses) == (4, 2)
    office.editor.allow(LEAF)
    cache.find_revoked_and_keys(Kid(bytes(16)))
    assert (cache.hits, cache.misses) == (4, 3)


def newer(store: Store, *held: tuple[Guid, int]) -> list[tuple[Guid, int]]:
    """Return the lists and versions that a client with these versions gets."""
    revocations = RevocationCache(store)
    lists = revocations.find_newer_lists(
        revocations.find_revoked(), [RevocationListInfo(*each) for each in held]
    )
    return [(each.list_id, parse_list(each.data).version) for each in lists]


def test_a_client_gets_the_lists_that_it_has_in_an_older_version(office: Office) -> None:
    office.editor.revoke(DEVICE_LIST, LEAF)
    office.editor.revoke(DEVICE_LIST, ISSUER)
    store = office.store
    assert newer(store, (DEVICE_LIST, 0)) == [(DEVICE_LIST, 2)]
    assert newer(store, (DEVICE_LIST, 1), (REVOCATION_INFO, 2)) == [(DEVICE_LIST, 2)]
    assert newer(store, (REVOCATION_INFO, 1), (DEVICE_LIST, 2)) == [(REVOCATION_INFO, 2)]
    # Neither what it has, nor what it does not name, nor what was never made, nor what is unknown.
    assert newer(store, (DEVICE_LIST, 2), (PC_LIST, 0), (Guid(bytes(16)), 0)) == []
    assert newer(store, (DEVICE_LIST, 13)) == []
    assert newer(store) == []
    assert newer(store, (DEVICE_LIST, 0), (DEVICE_LIST, 1)) == [(DEVICE_LIST, 2)]


def revocation_info(store: Store, *held: tuple[Guid, int]) -> tuple[RevocationList, ...]:
    infos = "".join(
        f"<RevListInfo><ListID>{list_id.base64}</ListID><Version>{version}</Version></RevListInfo>"
        for list_id, version in held
    )
    wish = replace(WISH, revocation=f"<RevocationLists>{infos}</RevocationLists>")
    reply = ask(make_context(store), second.challenge(world.CLIENT, wish))
    envelope = b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        reply,
    )
    return open_license_response(parse_envelope(envelope)).response.revocation_lists


def test_the_reply_carries_them_in_revinfo(office: Office) -> None:
    office.editor.revoke(DEVICE_LIST, bytes(32))
    (found,) = revocation_info(office.store, (DEVICE_LIST, 0), (PC_LIST, 0))
    assert found.list_id == DEVICE_LIST
    assert parse_list(found.data).digests == (bytes(32),)
    assert revocation_info(office.store, (DEVICE_LIST, 1)) == ()


def test_revocation_is_checked_before_the_request_for_licences(
    office: Office,
) -> None:
    office.editor.revoke(DEVICE_LIST, LEAF)
    with pytest.raises(DeviceCertificateRevoked):
        ask(make_context(office.store, policy=Policy(security_level=3000)), BODY)


def test_an_empty_store_has_no_revocations(office: Office) -> None:
    revoked = RevocationCache(office.store).find_revoked()
    assert (revoked.version, revoked.digests, revoked.lists) == (0, frozenset(), {})
