"""AES in all its modes, HKDF, key seeds and seeded randomness."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.aes import (
    cbc_decrypt,
    cbc_encrypt,
    cmac,
    ecb_decrypt,
    ecb_encrypt,
    gcm_open,
    gcm_seal,
    unwrap_key,
    verify_cmac,
    wrap_key,
)
from rightsmanager.errors import InvalidMessage

VECTORS = Path(__file__).parents[1] / "vectors"
KEY, IV = bytes(range(16)), bytes(range(16, 32))

keys = st.sampled_from([16, 24, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
blocks = st.binary(min_size=16, max_size=16)


def _tests(name: str) -> list[Any]:
    tests: list[Any] = json.loads((VECTORS / f"{name}.json").read_text())["tests"]
    return tests


MODES = {test["mode"]: test for test in _tests("aes_modes")}


def _hex(test: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(test[name]) for name in names]


def test_ecb_encrypts_to_the_published_blocks() -> None:
    key, plaintext, ciphertext = _hex(MODES["ECB"], "key", "plaintext", "ciphertext")
    assert ciphertext == ecb_encrypt(key, plaintext)
    assert plaintext == ecb_decrypt(key, ciphertext)


def test_cbc_encrypts_to_the_published_blocks_and_padding() -> None:
    key, iv, plaintext, expected = _hex(MODES["CBC"], "key", "iv", "plaintext", "ciphertext")
    ciphertext = cbc_encrypt(key, iv, plaintext)
    assert expected == ciphertext[:-16]
    assert expected[-16:] == bytes(
        a ^ b for a, b in zip(b"\x10" * 16, ecb_decrypt(key, ciphertext[-16:]), strict=True)
    )


def test_gcm_encrypts_to_the_published_ciphertext() -> None:
    key, nonce, data, ciphertext, tag = _hex(
        MODES["GCM"], "key", "nonce", "plaintext", "ciphertext", "tag"
    )
    assert nonce + ciphertext + tag == gcm_seal(key, data, b"", lambda _: nonce)


@pytest.mark.parametrize("test", _tests("aes_cmac"))
def test_cmac_returns_the_published_tags(test: dict[str, Any]) -> None:
    key, message, tag = _hex(test, "key", "message", "tag")
    assert tag == cmac(key, message)
    verify_cmac(key, tag, message)


@pytest.mark.parametrize("test", _tests("aes_key_wrap"))
def test_keys_unwrap_to_the_vectors(test: dict[str, Any]) -> None:
    wrapping_key, wrapped = _hex(test, "wrapping_key", "wrapped")
    if test["result"] == "valid":
        assert test["key"] == unwrap_key(wrapping_key, wrapped).hex()
        assert wrapped == wrap_key(wrapping_key, bytes.fromhex(test["key"]))
    else:
        with pytest.raises(InvalidMessage):
            unwrap_key(wrapping_key, wrapped)


@given(key=keys, iv=blocks, plaintext=st.binary(max_size=100))
def test_cbc_pads_to_the_next_block_and_back(key: bytes, iv: bytes, plaintext: bytes) -> None:
    ciphertext = cbc_encrypt(key, iv, plaintext)
    assert len(plaintext) // 16 * 16 + 16 == len(ciphertext)
    assert plaintext == cbc_decrypt(key, iv, ciphertext)


@given(key=keys, iv=blocks, ciphertext=st.binary(max_size=80))
def test_a_decrypted_text_encrypts_to_the_same_bytes(
    key: bytes, iv: bytes, ciphertext: bytes
) -> None:
    try:
        plaintext = cbc_decrypt(key, iv, ciphertext)
    except InvalidMessage:
        return
    assert ciphertext == cbc_encrypt(key, iv, plaintext)


@pytest.mark.parametrize(
    "last", [bytes(16), b"\x11" * 16, b"\xff" * 16, bytes(15) + b"\x02", b"\x03" * 2 + bytes(14)]
)
def test_padding_is_refused_with_one_text(last: bytes) -> None:
    ciphertext = ecb_encrypt(KEY, bytes(a ^ b for a, b in zip(IV, last, strict=True)))
    with pytest.raises(InvalidMessage) as refusal:
        cbc_decrypt(KEY, IV, ciphertext)
    assert refusal.value.text == "AES-CBC plaintext does not end in PKCS#7 padding"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: cbc_decrypt(KEY, IV, b""), "is empty"),
        (lambda: cbc_decrypt(KEY, IV, bytes(17)), "17 bytes, expected a multiple of 16"),
        (lambda: cbc_decrypt(KEY, IV[:15], bytes(16)), "IV has 15 bytes"),
        (lambda: cbc_encrypt(KEY[:15], IV, b""), "key has 15 bytes"),
        (lambda: ecb_encrypt(KEY, bytes(15)), "15 bytes, expected a multiple of 16"),
        (lambda: ecb_decrypt(KEY, bytes(31)), "31 bytes, expected a multiple of 16"),
        (lambda: ecb_decrypt(b"", bytes(16)), "key has 0 bytes"),
        (lambda: cmac(bytes(64), b""), "key has 64 bytes"),
        (lambda: wrap_key(KEY, bytes(8)), "key to wrap has 8 bytes"),
        (lambda: wrap_key(KEY, bytes(17)), "key to wrap has 17 bytes"),
        (lambda: wrap_key(KEY[:1], KEY), "key has 1 bytes"),
        (lambda: gcm_open(KEY, bytes(27), b""), "27 bytes, expected at least 28"),
        (lambda: gcm_open(KEY[:8], bytes(28), b""), "key has 8 bytes"),
    ],
)
def test_wrong_lengths_are_refused(call: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        call()


@given(key=keys, plaintext=st.lists(blocks, max_size=4).map(b"".join))
def test_ecb_decrypts_to_the_plaintext(key: bytes, plaintext: bytes) -> None:
    assert plaintext == ecb_decrypt(key, ecb_encrypt(key, plaintext))


@given(message=st.binary(max_size=64), tag=st.binary(max_size=20))
def test_any_other_tag_is_refused(message: bytes, tag: bytes) -> None:
    with pytest.raises(InvalidMessage, match="AES-CMAC tag does not verify"):
        verify_cmac(KEY, tag, message)


@given(
    key=keys, wrapped=st.integers(2, 6).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
)
def test_wrapped_keys_unwrap(key: bytes, wrapped: bytes) -> None:
    assert wrapped == unwrap_key(key, wrap_key(key, wrapped))


@given(wrapped=st.binary(max_size=48))
def test_any_other_bytes_do_not_unwrap(wrapped: bytes) -> None:
    with pytest.raises(InvalidMessage):
        unwrap_key(KEY, wrapped)


@given(
    data=st.binary(max_size=40),
    associated=st.binary(max_size=20),
    nonce=st.binary(min_size=12, max_size=12),
)
def test_sealed_data_opens_with_its_associated_data_only(
    data: bytes, associated: bytes, nonce: bytes
) -> None:
    sealed = gcm_seal(KEY, data, associated, lambda _: nonce)
    assert data == gcm_open(KEY, sealed, associated)
    with pytest.raises(InvalidMessage, match="sealed data does not open"):
        gcm_open(KEY, sealed, associated + b"!")
    with pytest.raises(InvalidMessage, match="sealed data does not open"):
        gcm_open(KEY, sealed[:-1] + bytes([sealed[-1] ^ 1]), associated)
