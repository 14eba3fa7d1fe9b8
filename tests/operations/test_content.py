"""Content keys are encrypted in the store, each under its own KID."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.operations.content import ContentKeys, FoundKey
from rightsmanager.policy.rules import SwappedKid
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import StoredKey
from rightsmanager.store.database import Store
from tests.databases import stored_bytes
from tests.operations.subject import STORAGE_KEY

CONTENT_KEYS = ContentKeys(STORAGE_KEY, TEST_KEY_SEED)
KID = Kid(bytes(range(16)))
KEY = bytes(range(100, 116))
RNG = seeded_random(b"content")


def test_a_kid_without_a_stored_key_has_the_seeds(store: Store) -> None:
    with store.transaction() as transaction:
        found = CONTENT_KEYS.find(transaction, KID)
    assert FoundKey(content_key(TEST_KEY_SEED, KID.raw), None) == found


@pytest.mark.parametrize(
    ("name", "key_type"), [("aesctr", KeyType.AES_CTR), ("aescbc", KeyType.AES_CBC)]
)
def test_a_stored_key_is_found_with_its_type(store: Store, name: str, key_type: KeyType) -> None:
    with store.transaction() as transaction:
        assert transaction.content_keys.record(CONTENT_KEYS.seal(KID, KEY, name, 7, RNG))
        assert FoundKey(KEY, key_type) == CONTENT_KEYS.find(transaction, KID)


@given(st.binary(min_size=16, max_size=16))
def test_an_encrypted_key_can_be_opened(key: bytes) -> None:
    sealed = CONTENT_KEYS.seal(KID, key, "aesctr", 0, RNG)
    assert len(sealed.ciphertext) == 44
    assert key == CONTENT_KEYS.open(sealed)


def test_the_same_key_has_a_different_ciphertext_each_time() -> None:
    sealed = {CONTENT_KEYS.seal(KID, KEY, "aesctr", 0, RNG).ciphertext for _ in range(10)}
    assert len(sealed) == 10


@given(st.integers(0, 43), st.integers(1, 255))
def test_a_sealed_key_that_was_altered_does_not_open(at: int, bits: int) -> None:
    sealed = bytearray(CONTENT_KEYS.seal(KID, KEY, "aesctr", 0, RNG).ciphertext)
    sealed[at] ^= bits
    with pytest.raises(Refusal):
        CONTENT_KEYS.open(StoredKey(KID, bytes(sealed), "aesctr", 0))


def test_a_sealed_key_opens_neither_for_another_kid_nor_under_another_key() -> None:
    stored = CONTENT_KEYS.seal(KID, KEY, "aesctr", 0, RNG)
    with pytest.raises(Refusal):
        CONTENT_KEYS.open(StoredKey(Kid(bytes(16)), stored.ciphertext, "aesctr", 0))
    with pytest.raises(Refusal):
        ContentKeys(bytes(32), TEST_KEY_SEED).open(stored)


@pytest.mark.parametrize("length", [0, 12, 27])
def test_a_sealed_key_that_is_too_short_does_not_open(length: int) -> None:
    with pytest.raises(Refusal):
        CONTENT_KEYS.open(StoredKey(KID, bytes(length), "aesctr", 0))


def test_the_database_contains_no_key_in_the_clear(store: Store, database_url: str) -> None:
    with store.transaction() as transaction:
        transaction.content_keys.record(CONTENT_KEYS.seal(KID, KEY, "aesctr", 0, RNG))
    written = stored_bytes(database_url)
    assert KID.raw in written
    for secret in (KEY, STORAGE_KEY, KEY.hex().encode()):
        assert secret not in written


def test_printing_does_not_show_keys() -> None:
    shown = repr((CONTENT_KEYS, FoundKey(KEY, None), CONTENT_KEYS.seal(KID, KEY, "aesctr", 0, RNG)))
    for secret in (KEY, STORAGE_KEY, TEST_KEY_SEED):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_a_seed_that_is_too_short_is_refused(store: Store) -> None:
    with store.transaction() as transaction, pytest.raises(InvalidMessage, match="key seed"):
        ContentKeys(STORAGE_KEY, bytes(29)).find(transaction, KID)


WITHOUT_SEED = ContentKeys(STORAGE_KEY, b"")


def test_without_a_seed_only_stored_keys_are_found(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.content_keys.record(WITHOUT_SEED.seal(KID, KEY, "aesctr", 7, RNG))
        assert FoundKey(KEY, KeyType.AES_CTR) == WITHOUT_SEED.find(transaction, KID)
        with pytest.raises(ServiceSpecific) as refused:
            WITHOUT_SEED.find(transaction, Kid(bytes(16)))
    assert refused.value.text == (
        "KID 00000000-0000-0000-0000-000000000000 (AAAAAAAAAAAAAAAAAAAAAA==) has no stored content "
        "key, and there is no key seed"
    )


SWAPPED = (
    "KID 03020100-0504-0706-0809-0a0b0c0d0e0f (AAECAwQFBgcICQoLDA0ODw==) has no stored content "
    "key, but KID 00010203-0405-0607-0809-0a0b0c0d0e0f (AwIBAAUEBwYICQoLDA0ODw==) has one, which "
    "is the same KID with its first three fields byte-swapped"
)


def find_swapped(store: Store, rule: SwappedKid, seed: bytes = TEST_KEY_SEED) -> FoundKey:
    keys = ContentKeys(bytes(32), seed, rule)
    with store.transaction() as transaction:
        transaction.content_keys.record(keys.seal(KID.swapped, KEY, "aescbc", 7, RNG))
        return keys.find(transaction, KID)


def test_a_byte_swapped_kid_is_refused_and_named(store: Store) -> None:
    with pytest.raises(ServiceSpecific) as refused:
        find_swapped(store, SwappedKid.REFUSE)
    assert refused.value.text == (
        f"{SWAPPED}, expected the KID of the content and that of its key in the same order "
        "(license.swapped_kid)"
    )


def test_a_byte_swapped_kid_may_get_the_stored_key_with_a_warning(store: Store) -> None:
    found = find_swapped(store, SwappedKid.SERVE)
    assert (found.key, found.key_type) == (KEY, KeyType.AES_CBC)
    assert found.warning is not None
    assert found.warning.text == f"{SWAPPED}: that key is issued"


def test_a_byte_swapped_kid_may_get_the_seeds_key_with_a_warning(store: Store) -> None:
    found = find_swapped(store, SwappedKid.WARN)
    assert (found.key, found.key_type) == (content_key(TEST_KEY_SEED, KID.raw), None)
    assert found.warning is not None
    assert found.warning.text == f"{SWAPPED}: the seed's key is issued"


def test_without_a_seed_a_byte_swapped_kid_is_refused_instead_of_warned_of(store: Store) -> None:
    with pytest.raises(ServiceSpecific, match="byte-swapped"):
        find_swapped(store, SwappedKid.WARN, seed=b"")
