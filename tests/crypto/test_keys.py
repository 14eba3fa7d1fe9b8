"""Keys of P-256, their signatures and their files."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import MINUS_G, G, N, P, PrivateKey, PublicKey, sign, verify
from rightsmanager.crypto.pem import build_private_key, parse_private_key
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InternalError, InvalidMessage

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "p256_ecdsa.json").read_text()
)
KEY = PrivateKey(bytes.fromhex(VECTORS["key"]))
PLAIN, ENCRYPTED = build_private_key(KEY), build_private_key(KEY, b"open sesame")


def _named(test: dict[str, Any]) -> str:
    return f"{test['id']}-{test['comment']}"


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_the_public_key_is_the_published_one() -> None:
    assert VECTORS["public"] == KEY.public.raw.hex()


@pytest.mark.parametrize("test", VECTORS["tests"], ids=_named)
def test_signatures_verify_as_the_vectors_say(test: dict[str, Any]) -> None:
    message, signature = bytes.fromhex(test["message"]), bytes.fromhex(test["signature"])
    if test["result"] == "valid":
        verify(KEY.public, signature, message)
    else:
        with pytest.raises(InvalidMessage, match="ECDSA signature"):
            verify(KEY.public, signature, message)


@pytest.mark.parametrize(
    "test", [test for test in VECTORS["tests"] if "deterministic" in test], ids=_named
)
def test_signatures_are_the_deterministic_ones(test: dict[str, Any]) -> None:
    assert test["signature"] == sign(KEY, bytes.fromhex(test["message"])).hex()


@given(seed=st.binary(), message=st.binary())
def test_a_signature_verifies_under_its_own_key_only(seed: bytes, message: bytes) -> None:
    key = PrivateKey.generate(seeded_random(seed))
    signature = sign(key, message)
    assert len(signature) == 64
    verify(key.public, signature, message)
    with pytest.raises(InvalidMessage):
        verify(KEY.public, signature, message)


@given(signature=st.binary(max_size=70) | st.binary(min_size=64, max_size=64))
def test_any_other_bytes_do_not_verify(signature: bytes) -> None:
    with pytest.raises(InvalidMessage):
        verify(KEY.public, signature, b"message")


@pytest.mark.parametrize("number", [0, N - 1, N, N + 1, 2**256 - 1])
def test_a_private_key_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(InvalidMessage, match="not a number from 1 to n - 2"):
        PrivateKey(number.to_bytes(32))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_private_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidMessage, match=f"{length} bytes, expected 32"):
        PrivateKey(bytes([1]) * length)


@pytest.mark.parametrize("number", [1, 2, N - 2])
def test_a_private_key_in_range_is_accepted(number: int) -> None:
    assert number == int.from_bytes(PrivateKey(number.to_bytes(32)).raw)


def test_a_drawn_key_is_in_range() -> None:
    draws = [bytes(32), (N - 1).to_bytes(32), N.to_bytes(32), (N - 2).to_bytes(32)]
    left = iter(draws)
    assert draws[-1] == PrivateKey.generate(lambda _: next(left)).raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "0 bytes, expected 64"),
        (G[:63], "63 bytes, expected 64"),
        (b"\x04" + G, "65 bytes, expected 64"),
        (bytes(64), "not a point"),
        (b"\xff" * 64, "not a point"),
        (G[32:] + G[:32], "not a point"),
        (G[:63] + b"\xf4", "not a point"),
        (P.to_bytes(32) + G[32:], "not a point"),
        (G[:32] + P.to_bytes(32), "not a point"),
        (MINUS_G, "-G"),
    ],
)
def test_an_invalid_public_key_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        PublicKey(raw)


def test_public_keys_are_equal_by_their_bytes() -> None:
    key = PublicKey(KEY.public.raw)
    assert key.handle.curve.name == "secp256r1"
    assert {key} == {KEY.public}
    assert key != PublicKey(G)


def test_a_private_key_is_not_shown() -> None:
    assert repr(KEY) == "PrivateKey()"


@pytest.mark.parametrize("passphrase", [None, b"open sesame"])
def test_a_key_is_read_back_from_its_file(passphrase: bytes | None) -> None:
    assert parse_private_key(PLAIN if passphrase is None else ENCRYPTED, passphrase) == KEY


def test_a_file_names_its_format() -> None:
    assert PLAIN.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert ENCRYPTED.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


@pytest.mark.parametrize(
    ("pem", "passphrase", "reason"),
    [
        (ENCRYPTED, None, "it is encrypted and no passphrase is given"),
        (ENCRYPTED, b"", "it is encrypted and no passphrase is given"),
        (ENCRYPTED, b"wrong", "the passphrase is wrong, or the file is damaged"),
        (PLAIN, b"open sesame", "a passphrase is given and it is not encrypted"),
        (PLAIN.replace(b"M", b"N"), None, "it is damaged"),
        (b"", None, "it holds no private key in PEM"),
        (b"\xff\x00", b"open sesame", "it holds no private key in PEM"),
        (_pem(ed25519.Ed25519PrivateKey.generate()), None, "not one of P-256"),
        (_pem(ec.generate_private_key(ec.SECP384R1())), None, "not one of P-256"),
        (_pem(ec.derive_private_key(N - 1, ec.SECP256R1())), None, "from 1 to n - 2"),
    ],
)
def test_a_file_without_the_key_is_refused(
    pem: bytes, passphrase: bytes | None, reason: str
) -> None:
    with pytest.raises(InternalError, match=reason) as refusal:
        parse_private_key(pem, passphrase)
    assert refusal.value.__cause__ is None


def test_an_empty_passphrase_encrypts_nothing() -> None:
    with pytest.raises(InternalError, match="the passphrase is empty"):
        build_private_key(KEY, b"")
