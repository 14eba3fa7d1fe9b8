"""EC ElGamal: both back ends return the same bytes for any input."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import (
    Backend,
    N,
    P,
    PrivateKey,
    PublicKey,
    point_x_with_tail,
    random_point_x,
    random_scalar,
)
from rightsmanager.crypto.p256_backends import BACKENDS, available_backends
from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.errors import InternalError, InvalidMessage

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "p256_elgamal.json").read_text()
)
REFUSALS = {
    "length": "bytes, expected 128",
    "C1": "C1 is not a point of P-256",
    "C2": "C2 is not a point of P-256",
    "infinity": "its message is the point at infinity",
}
KEY = PrivateKey(bytes(range(1, 33)))
ALL = available_backends()

scalars = st.integers(1, N - 2)
seeds = st.binary(min_size=1, max_size=8)


def _named(test: dict[str, Any]) -> str:
    return f"{test['id']}-{test['comment']}"


def _draws(numbers: list[str]) -> Rng:
    left = iter(numbers)
    return lambda _: bytes.fromhex(next(left))


def _negated(point: bytes) -> bytes:
    return point[:32] + (P - int.from_bytes(point[32:])).to_bytes(32)


def _point(number: int) -> bytes:
    return PrivateKey((number % N).to_bytes(32)).public.raw


def _outcome(backend: Backend, key: PrivateKey, ciphertext: bytes) -> bytes | str:
    try:
        return backend.decrypt(key, ciphertext)
    except InvalidMessage as refusal:
        return refusal.text


def _same(key: PrivateKey, ciphertext: bytes) -> bytes | str:
    outcomes = {_outcome(backend, key, ciphertext) for backend in ALL}
    assert len(outcomes) == 1
    return outcomes.pop()


def test_all_back_ends_work_here() -> None:
    assert list(BACKENDS) == [backend.name for backend in ALL]


@pytest.mark.parametrize("test", VECTORS["encrypt"], ids=_named)
def test_encrypts_to_the_vector(backend: Backend, test: dict[str, Any]) -> None:
    public = PublicKey(bytes.fromhex(test["public"]))
    rng = _draws(test["draws"])
    assert test["ciphertext"] == backend.encrypt(public, bytes.fromhex(test["x"]), rng).hex()
    with pytest.raises(StopIteration):
        rng(32)


@pytest.mark.parametrize("test", VECTORS["encrypt"], ids=_named)
def test_decrypts_what_the_vector_encrypts(backend: Backend, test: dict[str, Any]) -> None:
    key = PrivateKey(bytes.fromhex(test["key"]))
    assert test["public"] == key.public.raw.hex()
    assert test["x"] == backend.decrypt(key, bytes.fromhex(test["ciphertext"])).hex()


@pytest.mark.parametrize(
    "test", [test for test in VECTORS["decrypt"] if test["result"] == "valid"], ids=_named
)
def test_decrypts_valid_ciphertexts(backend: Backend, test: dict[str, Any]) -> None:
    key = PrivateKey(bytes.fromhex(test["key"]))
    assert test["x"] == backend.decrypt(key, bytes.fromhex(test["ciphertext"])).hex()


@pytest.mark.parametrize(
    "test", [test for test in VECTORS["decrypt"] if test["result"] == "invalid"], ids=_named
)
def test_refuses_invalid_ciphertexts(backend: Backend, test: dict[str, Any]) -> None:
    key = PrivateKey(bytes.fromhex(test["key"]))
    with pytest.raises(InvalidMessage, match=REFUSALS[test["refusal"]]):
        backend.decrypt(key, bytes.fromhex(test["ciphertext"]))


@given(d=scalars, seed=seeds)
def test_all_encrypt_to_the_same_bytes_and_decrypt_them(d: int, seed: bytes) -> None:
    key = PrivateKey(d.to_bytes(32))
    x = random_point_x(seeded_random(seed))
    ciphertexts = {backend.encrypt(key.public, x, seeded_random(seed)) for backend in ALL}
    assert len(ciphertexts) == 1
    assert x == _same(key, ciphertexts.pop())


@given(d=scalars, k=scalars, k2=scalars)
def test_all_agree_on_any_two_points(d: int, k: int, k2: int) -> None:
    _same(PrivateKey(d.to_bytes(32)), _point(k) + _point(k2))


@given(d=scalars, k=scalars)
def test_all_refuse_c2_equal_to_d_times_c1_and_accept_its_opposite(d: int, k: int) -> None:
    assume(d * k % N != N - 1)
    key, c1, product = PrivateKey(d.to_bytes(32)), _point(k), _point(d * k)
    assert _same(key, c1 + product) == f"EC ElGamal ciphertext: {REFUSALS['infinity']}"
    assert isinstance(_same(key, c1 + _negated(product)), bytes)


@given(ciphertext=st.binary(max_size=200) | st.binary(min_size=128, max_size=128))
def test_all_refuse_any_bytes_alike(ciphertext: bytes) -> None:
    assert isinstance(_same(KEY, ciphertext), str)


@given(position=st.integers(0, 127), change=st.integers(1, 255), seed=seeds)
def test_all_refuse_a_changed_byte(position: int, change: int, seed: bytes) -> None:
    rng = seeded_random(seed)
    ciphertext = bytearray(ALL[0].encrypt(KEY.public, random_point_x(rng), rng))
    ciphertext[position] ^= change
    name = "C1" if position < 64 else "C2"
    assert _same(KEY, bytes(ciphertext)) == f"EC ElGamal ciphertext: {REFUSALS[name]}"


@given(tail=st.binary(min_size=16, max_size=16), seed=seeds)
def test_the_second_half_of_x_is_the_tail(tail: bytes, seed: bytes) -> None:
    rng = seeded_random(seed)
    x = point_x_with_tail(tail, rng)
    assert tail == x[16:]
    assert x == _same(KEY, ALL[-1].encrypt(KEY.public, x, rng))


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_tail_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InternalError, match="tail has"):
        point_x_with_tail(bytes(length), seeded_random(b""))


@pytest.mark.parametrize("x", [b"\xff" * 32, P.to_bytes(32), (1).to_bytes(32), bytes(31)])
def test_an_x_without_a_point_is_not_encrypted(backend: Backend, x: bytes) -> None:
    with pytest.raises(InternalError, match="x of"):
        backend.encrypt(KEY.public, x, seeded_random(b""))


def test_invalid_scalars_are_drawn_again() -> None:
    draws = [bytes(32), N.to_bytes(32), b"\xff" * 32, (N - 1).to_bytes(32)]
    assert draws[-1] == random_scalar(_draws([draw.hex() for draw in draws]))


def test_invalid_x_coordinates_are_drawn_again() -> None:
    draws = [P.to_bytes(32), (1).to_bytes(32), bytes(32)]
    assert draws[-1] == random_point_x(_draws([draw.hex() for draw in draws]))
