"""The choice of a back end, and the fast one under threads."""

import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from rightsmanager.crypto import p256_libcrypto
from rightsmanager.crypto.p256 import (
    CIPHERTEXT_LENGTH,
    Backend,
    N,
    PrivateKey,
    PublicKey,
    random_point_x,
)
from rightsmanager.crypto.p256_backends import Choice, available_backends, choose_backend
from rightsmanager.crypto.p256_libcrypto import Libcrypto
from rightsmanager.crypto.p256_portable import Portable
from rightsmanager.crypto.random import Rng, seeded_random, system_random
from rightsmanager.errors import InternalError, InvalidMessage

LIBC = "libc.so.6"


def _no_library() -> Iterator[str]:
    yield from ("", "no-such-library.so", LIBC)


def _no_point(_backend: object, _public: PublicKey, _x: bytes, _rng: Rng) -> bytes:
    return bytes(CIPHERTEXT_LENGTH)


def _no_x(_backend: object, _key: PrivateKey, _ciphertext: bytes) -> bytes:
    return bytes(32)


@pytest.mark.parametrize("name", ["libcrypto", "portable"])
def test_a_back_end_is_chosen_by_name(name: Choice) -> None:
    assert name == choose_backend(name).name


def test_the_fastest_is_chosen_by_default() -> None:
    assert choose_backend().name == "libcrypto"


def test_another_name_is_refused() -> None:
    with pytest.raises(InternalError, match="'best' is unknown, expected auto, libcrypto"):
        choose_backend(cast("Choice", "best"))


def test_without_the_library_the_portable_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p256_libcrypto, "_paths", _no_library)
    assert choose_backend("auto").name == "portable"
    with pytest.raises(InternalError, match=r"no libcrypto to be used: no-such-library\.so"):
        choose_backend("libcrypto")


@pytest.mark.parametrize(
    ("method", "wrong", "reason"),
    [
        ("encrypt", _no_point, "libcrypto does not encrypt to the known answer"),
        ("decrypt", _no_x, "libcrypto does not decrypt the known answer"),
    ],
)
def test_a_back_end_with_a_wrong_answer_is_refused(
    monkeypatch: pytest.MonkeyPatch, method: str, wrong: object, reason: str
) -> None:
    monkeypatch.setattr(Libcrypto, method, wrong)
    assert choose_backend("auto").name == "portable"
    with pytest.raises(InternalError, match=reason):
        choose_backend("libcrypto")


def test_a_back_end_that_accepts_invalid_points_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Libcrypto.decrypt

    def careless(backend: Libcrypto, key: PrivateKey, ciphertext: bytes) -> bytes:
        return right(backend, key, ciphertext) if any(ciphertext) else bytes(32)

    monkeypatch.setattr(Libcrypto, "decrypt", careless)
    with pytest.raises(InternalError, match="takes points that are not on the curve"):
        choose_backend("libcrypto")


def test_no_back_end_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p256_libcrypto, "_paths", _no_library)
    monkeypatch.setattr(Portable, "decrypt", _no_x)
    assert available_backends() == ()
    with pytest.raises(InternalError, match="no P-256 back end"):
        choose_backend()


def test_a_refusal_clears_the_error_queue() -> None:
    backend = Libcrypto()
    key = PrivateKey(bytes(range(1, 33)))
    g = PrivateKey((1).to_bytes(32)).public.raw
    for ciphertext in (bytes(128), g + bytes(64), g + key.public.raw):
        with pytest.raises(InvalidMessage):
            backend.decrypt(key, ciphertext)
        assert backend._library.ERR_peek_error() == 0


def _round_trips(backend: Backend, key: PrivateKey, start: threading.Barrier, count: int) -> int:
    start.wait()
    right = 0
    for _ in range(count):
        x = random_point_x(system_random)
        ciphertext = backend.encrypt(key.public, x, system_random)
        right += x == backend.decrypt(key, ciphertext)
        with pytest.raises(InvalidMessage):
            backend.decrypt(key, ciphertext[:127] + bytes([ciphertext[127] ^ 1]))
    return right


def test_threads_do_not_disturb_each_other(backend: Backend) -> None:
    key = PrivateKey.generate(system_random)  # fresh, so that all threads load it at once
    threads, count = 8, 40
    start = threading.Barrier(threads)
    with ThreadPoolExecutor(threads) as pool:
        runs = [pool.submit(_round_trips, backend, key, start, count) for _ in range(threads)]
    assert [count] * threads == [run.result() for run in runs]


def _scratches() -> int:
    gc.collect()
    return sum(type(thing) is p256_libcrypto._Scratch for thing in gc.get_objects())


def test_scratch_is_freed_with_its_thread() -> None:
    backend = Libcrypto()
    key = PrivateKey.generate(seeded_random(b"scratch"))
    before = _scratches()
    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(_round_trips, backend, key, start, 2) for _ in range(4)]
        assert [run.result() for run in runs] == [2] * 4
        assert before + 4 == _scratches()
    assert before == _scratches()


def test_keys_may_outlive_their_back_end() -> None:
    backend = Libcrypto()
    key = PrivateKey((N - 2).to_bytes(32))
    x = random_point_x(seeded_random(b"x"))
    ciphertext = backend.encrypt(key.public, x, seeded_random(b"k"))
    assert x == backend.decrypt(key, ciphertext)
    del backend
    gc.collect()
    assert x == Libcrypto().decrypt(key, ciphertext)
    assert ciphertext == Libcrypto().encrypt(key.public, x, seeded_random(b"k"))


class Failing:
    """A library with functions that fail."""

    def __init__(self, library: object, *names: str) -> None:
        self._library, self._names = library, names

    def __getattr__(self, name: str) -> object:
        return (lambda *_: None) if name in self._names else getattr(self._library, name)


KEY = PrivateKey(bytes(range(1, 33)))


@pytest.mark.parametrize("name", ["EC_POINT_mul", "EC_POINT_add"])
def test_a_failure_of_the_library_is_an_internal_error(name: str) -> None:
    backend = Libcrypto()
    x = random_point_x(seeded_random(b"x"))
    ciphertext = backend.encrypt(KEY.public, x, seeded_random(b"k"))
    backend._library = cast("Any", Failing(backend._library, name))
    with pytest.raises(InternalError, match="libcrypto failed to encrypt"):
        backend.encrypt(KEY.public, x, system_random)
    with pytest.raises(InternalError, match="libcrypto failed to decrypt"):
        backend.decrypt(KEY, ciphertext)


def test_a_public_key_that_the_library_refuses_is_an_internal_error() -> None:
    backend = Libcrypto()
    backend._library = cast("Any", Failing(backend._library, "EC_POINT_oct2point"))
    public = PrivateKey(bytes(range(2, 34))).public
    with pytest.raises(InternalError, match="libcrypto does not take a public key"):
        backend.encrypt(public, random_point_x(seeded_random(b"x")), system_random)


def test_a_failed_allocation_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="libcrypto could not allocate memory"):
        p256_libcrypto._Owned(None, lambda _: None)


def test_the_library_has_a_usual_name_without_ssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_ssl", None)
    assert list(p256_libcrypto._paths()) == ["libcrypto.so.3"]
