"""A device keeps its persistent licences, and finds the best one for a KID."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device.journal import open_journal
from rightsmanager.device.licenses import NOT_STORED, LicenseStore, StoredLicenses
from rightsmanager.device.opening import open_license
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.formats.xmr.objects import (
    Domain,
    Expiration,
    ExpireAfterFirstPlay,
    RemovalDate,
    SecurityLevel,
)
from rightsmanager.protocol.wire import AccountId, Kid
from tests.device.conftest import NOW
from tests.operations.subject import private_key

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.device import LicenseOpener, OpenedLicense
    from tests.device.conftest import Issuer

KID, ROOT = Kid(bytes(range(16))), Kid(bytes(range(16, 32)))
ROOT_KEY = b"root content key"
ACCOUNT = AccountId(b"\5" * 16)


@pytest.fixture
def store(tmp_path: Path) -> LicenseStore:
    return LicenseStore(tmp_path)


@pytest.fixture
def shelf(store: LicenseStore, opening: LicenseOpener) -> StoredLicenses:
    return StoredLicenses(store, opening, NOW)


def put(shelf: StoredLicenses, *raws: bytes) -> list[OpenedLicense]:
    opened = []
    for raw in raws:
        opened.append(open_license(raw, shelf.with_roots()))
        shelf.store.record(opened[-1])
    return opened


def test_an_empty_folder_has_no_licence(shelf: StoredLicenses) -> None:
    assert shelf.store.find_all() == shelf.store.find(KID) == ()
    assert shelf.store.kids() == ()
    with pytest.raises(InternalError, match=f"no licence for KID {KID.text}"):
        shelf.open(KID)


def test_a_licence_is_kept_byte_for_byte_for_its_owner_only(
    shelf: StoredLicenses, issuer: Issuer
) -> None:
    raw = issuer.bound(KID)
    (opened,) = put(shelf, raw)
    (stored,) = shelf.store.find_all()
    assert (stored.raw, stored.kid, shelf.store.kids()) == (raw, KID, (KID,))
    assert stored.file.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in stored.file.parent.iterdir()] == [stored.file.name]
    assert shelf.open(KID) == opened


def test_a_licence_kept_again_is_one(shelf: StoredLicenses, issuer: Issuer) -> None:
    raw = issuer.bound(KID)
    put(shelf, raw, raw)
    assert len(shelf.store.find(KID)) == 1


def test_the_newest_that_may_be_used_is_the_best(shelf: StoredLicenses, issuer: Issuer) -> None:
    old, good, _, _ = put(
        shelf,
        issuer.bound(KID, issued=NOW - 20),
        issuer.bound(KID, issued=NOW - 10),
        issuer.bound(KID, Expiration(0, NOW - 1), issued=NOW - 5),
        issuer.bound(KID, Expiration(NOW + 9, NOW + 99), issued=NOW),
    )
    assert shelf.open(KID) == good
    shelf.store.remove(KID, good.license.rights_id)
    assert shelf.open(KID) == old


def test_without_a_usable_one_it_says_what_is_wrong_with_the_newest(
    shelf: StoredLicenses, issuer: Issuer
) -> None:
    put(
        shelf,
        issuer.bound(KID, Expiration(0, NOW - 1), issued=NOW - 5),
        issuer.bound(KID, Expiration(NOW + 9, NOW + 99), issued=NOW),
    )
    with pytest.raises(InvalidMessage, match="is good from"):
        shelf.open(KID)


def test_a_first_play_counts(store: LicenseStore, opening: LicenseOpener, issuer: Issuer) -> None:
    shelf = StoredLicenses(store, opening, NOW)
    (opened,) = put(shelf, issuer.bound(KID, ExpireAfterFirstPlay(10)))
    assert shelf.open(KID) == opened
    played = {opened.license.rights_id: NOW - 10}
    assert replace(shelf, first_played=played.get).open(KID) == opened
    with pytest.raises(InvalidMessage, match="expired at"):
        replace(shelf, first_played=played.get, now=NOW + 1).open(KID)


def test_a_leaf_is_opened_through_the_root_that_is_kept(
    shelf: StoredLicenses, issuer: Issuer
) -> None:
    leaf = issuer.leaf(KID, ROOT, ROOT_KEY)
    with pytest.raises(InvalidMessage, match=f"needs the root licence for KID {ROOT.text}"):
        shelf.open_file(leaf)
    put(shelf, issuer.bound(ROOT, key=ROOT_KEY), leaf)
    assert shelf.open(KID) == shelf.open_file(leaf)
    assert shelf.open(KID).root_kid == ROOT


def test_a_leaf_is_unusable_with_its_root(shelf: StoredLicenses, issuer: Issuer) -> None:
    put(
        shelf,
        issuer.bound(ROOT, Expiration(0, NOW), key=ROOT_KEY),
        issuer.leaf(KID, ROOT, ROOT_KEY),
    )
    shelf.open(KID)
    with pytest.raises(InvalidMessage, match=f"the licence for KID {ROOT.text} expired"):
        replace(shelf, now=NOW + 1).open(KID)


def test_another_root_key_does_not_open_a_leaf(shelf: StoredLicenses, issuer: Issuer) -> None:
    put(shelf, issuer.bound(ROOT, key=bytes(16)))
    with pytest.raises(InvalidMessage, match="CMAC"):
        shelf.open_file(issuer.leaf(KID, ROOT, ROOT_KEY))


def test_a_domains_licence_opens_with_the_key_of_its_revision(
    shelf: StoredLicenses, issuer: Issuer
) -> None:
    first, second = private_key(4001), private_key(4002)
    raw = issuer.bound(KID, Domain(ACCOUNT, 2), to=second.public)
    member = replace(shelf.opening, domains={(ACCOUNT, 1): first, (ACCOUNT, 2): second})
    assert replace(shelf, opening=member).open_file(raw).terms.domain == Domain(ACCOUNT, 2)
    old = replace(shelf.opening, domains={(ACCOUNT, 1): first})
    for opening in (old, shelf.opening):
        with pytest.raises(InvalidMessage, match=f"domain of account {ACCOUNT.text} at revision 2"):
            replace(shelf, opening=opening).open_file(raw)
    wrong = replace(shelf.opening, domains={(ACCOUNT, 2): first})
    with pytest.raises(InvalidMessage, match="bound to another domain's key"):
        replace(shelf, opening=wrong).open_file(raw)


def test_what_is_shared_is_a_licence_of_a_domain(shelf: StoredLicenses, issuer: Issuer) -> None:
    key = private_key(4001)
    member = replace(shelf.opening, domains={(ACCOUNT, 1): key})
    shelf = replace(shelf, opening=member)
    (own,) = put(shelf, issuer.bound(KID))
    assert shelf.open_shared(KID) == own
    (shared,) = put(shelf, issuer.bound(KID, Domain(ACCOUNT, 1), to=key.public, issued=NOW - 9))
    assert (shelf.open_shared(KID), shelf.open(KID)) == (shared, own)


def test_of_two_of_the_same_second_the_later_is_the_best(
    shelf: StoredLicenses, issuer: Issuer
) -> None:
    for _ in range(4):
        (later,) = put(shelf, issuer.bound(KID))
        assert shelf.open(KID) == later


def test_a_domains_licence_does_not_open_with_the_devices_own_key(
    shelf: StoredLicenses, issuer: Issuer
) -> None:
    with pytest.raises(InvalidMessage, match="whose key the device does not have"):
        shelf.open_file(issuer.bound(KID, Domain(ACCOUNT, 1)))


@pytest.mark.parametrize("at", [-1, 30, 60, 200])
def test_an_altered_licence_does_not_open(shelf: StoredLicenses, issuer: Issuer, at: int) -> None:
    raw = bytearray(issuer.bound(KID, SecurityLevel(150)))
    raw[at] ^= 1
    with pytest.raises(InvalidMessage):
        shelf.open_file(bytes(raw))


def test_a_licence_for_a_better_device_does_not_open(shelf: StoredLicenses, issuer: Issuer) -> None:
    with pytest.raises(InvalidMessage, match="needs security level 3000"):
        shelf.open_file(issuer.bound(KID, SecurityLevel(3000)))


def test_what_was_to_be_removed_is_dropped(shelf: StoredLicenses, issuer: Issuer) -> None:
    stays, goes = put(
        shelf,
        issuer.bound(KID, RemovalDate(NOW + 1)),
        issuer.bound(KID, RemovalDate(NOW)),
    )
    (dropped,) = shelf.store.drop_removed(NOW)
    assert dropped.license == goes.license
    assert [each.license for each in shelf.store.find_all()] == [stays.license]
    assert shelf.store.drop_removed(NOW) == ()


def test_only_persistent_licences_are_kept(shelf: StoredLicenses, issuer: Issuer) -> None:
    raws = (issuer.bound(KID), issuer.bound(ROOT, persistent=False))
    opened = [open_license(raw, shelf.opening) for raw in raws]
    assert shelf.store.record_all(opened) == {}
    assert shelf.store.kids() == (KID,)


def test_a_licence_that_cannot_be_kept_is_a_failure(
    opening: LicenseOpener, tmp_path: Path, issuer: Issuer
) -> None:
    (tmp_path / "licenses").write_bytes(b"")
    opened = open_license(issuer.bound(KID), opening)
    assert LicenseStore(tmp_path).record_all([opened]) == {KID: NOT_STORED}


def test_an_invalid_licence_file_is_named(shelf: StoredLicenses, issuer: Issuer) -> None:
    put(shelf, issuer.bound(KID))
    (stored,) = shelf.store.find_all()
    stored.file.write_bytes(b"XMR")
    with pytest.raises(InternalError, match=rf"{stored.file.name}: XMR"):
        shelf.open(KID)


def test_the_journal_is_for_its_owner_only_and_names_itself(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.close()
    file = tmp_path / "device.db"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"x" * 4096)
    with pytest.raises(InternalError, match=r"device\.db: file is not a database"):
        open_journal(tmp_path)
