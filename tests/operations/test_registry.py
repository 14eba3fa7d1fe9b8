"""Lists of keys come in whole or not at all, and change nothing that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.admin.content_keys import (
    ImportContext,
    find_registered,
    key_entries,
    register_keys,
    remove_key,
)
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import ServiceSpecific
from rightsmanager.operations.content import ContentKeys
from rightsmanager.protocol.formats.keylists import KeyEntry
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.sources import IMPORT, OPERATOR, Source
from tests.operations.subject import STORAGE_KEY

if TYPE_CHECKING:
    from rightsmanager.store.database import Store

KEYS = ContentKeys(STORAGE_KEY, b"")
KID, OTHER, THIRD = (Kid(bytes([number]) * 16) for number in range(3))
KEY = bytes(range(16))
ENTRY = KeyEntry(KID, KEY, "aescbc", "movie", 1, "cbcs", bytes(16))


def register(store: Store, *entries: KeyEntry, origin: str = IMPORT) -> int:
    registration = ImportContext(KEYS, origin, 1790000000, seeded_random(b"registry"))
    with store.transaction() as transaction:
        return register_keys(transaction, entries, registration)


def registered(store: Store) -> list[KeyEntry]:
    with store.transaction() as transaction:
        return key_entries(find_registered(transaction), KEYS)


def test_what_comes_in_goes_out_and_again_changes_nothing(store: Store) -> None:
    entries = [ENTRY, KeyEntry(OTHER, KEY), KeyEntry(THIRD, KEY, "aesctr", "movie", 0)]
    assert register(store, *entries) == 3
    assert registered(store) == entries
    assert register(store, *entries) == 0
    assert register(store, *entries, *entries) == 0
    assert registered(store) == entries
    with store.transaction() as transaction:
        assert transaction.sources.find(KID) == Source(IMPORT, "movie", 1, "cbcs", bytes(16))


def test_a_key_twice_in_a_list_is_one(store: Store) -> None:
    assert register(store, ENTRY, ENTRY) == 1


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (KeyEntry(KID, bytes(16), "aescbc"), "has a content key already, another one"),
        (KeyEntry(KID, KEY, "aesctr"), "has a content key already, another one or of another type"),
        (KeyEntry(KID, KEY, "aescbc", "film", 1), "has another program already: 'movie'"),
        (KeyEntry(KID, KEY, "aescbc", "movie", 2), "has another period already: 1"),
        (KeyEntry(KID, KEY, "aescbc", scheme="cbc1"), "has another scheme already: 'cbcs'"),
        (KeyEntry(KID, KEY, "aescbc", iv=KEY), f"has another iv already: {bytes(16).hex()}"),
    ],
)
def test_what_contradicts_is_refused_and_all_of_its_list(
    store: Store, entry: KeyEntry, told: str
) -> None:
    register(store, ENTRY)
    with pytest.raises(ServiceSpecific, match=f"KID {KID.text} {told}"):
        register(store, KeyEntry(OTHER, KEY), entry)
    assert registered(store) == [ENTRY]


def test_a_program_has_one_key_in_a_period(store: Store) -> None:
    register(store, ENTRY)
    other = KeyEntry(OTHER, KEY, "aescbc", "movie", 1)
    with pytest.raises(ServiceSpecific, match=r"period 1, which has KID 00000000-.* already"):
        register(store, KeyEntry(THIRD, KEY), other)
    assert registered(store) == [ENTRY]


def test_what_is_not_known_of_a_key_is_added(store: Store) -> None:
    register(store, KeyEntry(KID, KEY, "aescbc"), origin=OPERATOR)
    assert register(store, KeyEntry(KID, KEY, "aescbc", scheme="cbcs")) == 0
    assert register(store, KeyEntry(KID, KEY, "aescbc", "movie", 1)) == 0
    with store.transaction() as transaction:
        assert transaction.sources.find(KID) == Source(OPERATOR, "movie", 1, "cbcs")
        assert transaction.sources.find_kid("movie", 1) == KID


def test_what_is_removed_leaves_its_program_free(store: Store) -> None:
    register(store, ENTRY)
    with store.transaction() as transaction:
        assert remove_key(transaction, KID)
        assert not remove_key(transaction, KID)
        assert transaction.sources.find_all() == {}
    other = KeyEntry(OTHER, KEY, "aescbc", "movie", 1)
    assert register(store, other) == 1
    assert registered(store) == [other]


def test_a_key_without_source_is_the_operators(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.content_keys.record(KEYS.seal(KID, KEY, "aesctr", 1, seeded_random(b"old")))
        (found,) = find_registered(transaction)
    assert found.source == Source(OPERATOR)
    assert register(store, KeyEntry(KID, KEY, "aesctr", "movie", 0)) == 0
    assert registered(store) == [KeyEntry(KID, KEY, "aesctr", "movie", 0)]
