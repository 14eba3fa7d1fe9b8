"""Derivation: content keys from a seed, keys from a secret, random bytes from a seed."""

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.aes import ecb_encrypt
from rightsmanager.crypto.digest import hkdf_sha256
from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.random import seeded_random, system_random
from rightsmanager.errors import InvalidMessage

VECTORS = Path(__file__).parents[1] / "vectors"
KEYSEED: dict[str, Any] = json.loads((VECTORS / "keyseed.json").read_text())
HKDF: dict[str, Any] = json.loads((VECTORS / "hkdf.json").read_text())


def test_the_test_key_seed_is_the_published_one() -> None:
    assert b64decode(KEYSEED["seed"]) == TEST_KEY_SEED


@pytest.mark.parametrize("test", KEYSEED["tests"])
def test_content_keys_are_the_published_ones(test: dict[str, str]) -> None:
    kid = b64decode(test["kid"])
    key = content_key(TEST_KEY_SEED, kid)
    assert test["content_key_hex"] == key.hex()
    assert b64decode(test["checksum"]) == ecb_encrypt(key, kid)[:8]


def test_only_thirty_bytes_of_a_seed_are_used() -> None:
    expected = content_key(TEST_KEY_SEED, bytes(16))
    assert expected == content_key(TEST_KEY_SEED + b"more", bytes(16))


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="key seed has 29 bytes, expected at least 30"):
        content_key(TEST_KEY_SEED[:29], bytes(16))


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_kid_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidMessage, match=f"KID has {length} bytes, expected 16"):
        content_key(TEST_KEY_SEED, bytes(length))


@pytest.mark.parametrize("test", HKDF["tests"])
def test_hkdf_derives_the_published_key(test: dict[str, Any]) -> None:
    secret, info = bytes.fromhex(test["secret"]), bytes.fromhex(test["info"])
    assert test["key"] == hkdf_sha256(secret, info, test["length"]).hex()


def test_hkdf_derives_another_key_for_another_purpose() -> None:
    assert hkdf_sha256(b"secret", b"one", 16) != hkdf_sha256(b"secret", b"two", 16)


@given(seed=st.binary(), lengths=st.lists(st.integers(0, 70), max_size=10))
def test_a_seeded_stream_ignores_the_lengths_drawn(seed: bytes, lengths: list[int]) -> None:
    rng = seeded_random(seed)
    portions = [rng(length) for length in lengths]
    assert lengths == [len(portion) for portion in portions]
    assert seeded_random(seed)(sum(lengths)) == b"".join(portions)


def test_the_stream_is_aes_in_counter_mode() -> None:
    counters = b"".join(number.to_bytes(16) for number in range(3))
    assert ecb_encrypt(sha256(b"seed").digest(), counters)[:40] == seeded_random(b"seed")(40)


def test_the_system_returns_other_bytes_each_time() -> None:
    assert system_random(16) != system_random(16)
