"""The fast back end: EC ElGamal by the EC_POINT functions of OpenSSL's libcrypto.

The library is the one that Python's `_ssl` is linked to, else `libcrypto.so.3`; 1.1.1 and 3.x have
these functions. Calls keep the interpreter's lock (`PyDLL`): a call takes some 45 µs, less than
acquiring the lock again under load.

Pointers are plain numbers. Each allocation is owned by an object that frees it.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from importlib import import_module
from typing import Any, Final

from rightsmanager.crypto.p256 import (
    FIELD_LENGTH,
    POINT_LENGTH,
    UNCOMPRESSED,
    N,
    PrivateKey,
    PublicKey,
    at_infinity,
    not_a_point,
    point_at,
    random_scalar,
    split_ciphertext,
)
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, Refusal

NAME: Final = "libcrypto"

_NID_P256: Final = 415
_COMPRESSED_FORM: Final = 2
_UNCOMPRESSED_FORM: Final = 4
_ENCODED: Final = len(UNCOMPRESSED) + POINT_LENGTH
_COMPRESSED: Final = 1 + FIELD_LENGTH

_P = c_void_p
_FUNCTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "BN_CTX_new": (_P,),
    "BN_CTX_free": (None, _P),
    "BN_new": (_P,),
    "BN_clear": (None, _P),
    "BN_clear_free": (None, _P),
    "BN_bin2bn": (_P, c_char_p, c_int, _P),
    "EC_GROUP_new_by_curve_name": (_P, c_int),
    "EC_GROUP_free": (None, _P),
    "EC_POINT_new": (_P, _P),
    "EC_POINT_clear_free": (None, _P),
    "EC_POINT_oct2point": (c_int, _P, _P, c_char_p, c_size_t, _P),
    "EC_POINT_point2oct": (c_size_t, _P, _P, c_int, _P, c_size_t, _P),
    "EC_POINT_mul": (c_int, _P, _P, _P, _P, _P, _P),
    "EC_POINT_add": (c_int, _P, _P, _P, _P, _P),
    "ERR_clear_error": (None,),
}
"""The functions by name: the type of the result, then those of the arguments."""


def _paths() -> Iterator[str]:
    """Yield the paths of the library, best first."""
    # Some Python builds lack `_ssl`, others have it built in, without a file.
    with suppress(ImportError, AttributeError):
        yield import_module("_ssl").__file__ or ""
    yield "libcrypto.so.3"


def _open() -> ctypes.PyDLL:
    """Return the first library with all functions, their types set; raises InternalError."""
    reasons = []
    for path in filter(None, _paths()):
        try:
            library = ctypes.PyDLL(path)
            for name, (result, *arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            reasons.append(str(error))
        else:
            return library
    raise InternalError(f"no libcrypto to be used: {'; '.join(reasons)}")


class _Owned:
    """A pointer, freed with this object."""

    __slots__ = ("_free", "pointer")

    def __init__(self, pointer: int | None, free: Callable[[int | None], None]) -> None:
        self.pointer = pointer
        self._free = free
        if pointer is None:
            raise InternalError("libcrypto could not allocate memory")

    def __del__(self) -> None:
        self._free(self.pointer)


class _Scratch:
    """The points and numbers that a call writes to; each thread needs its own."""

    __slots__ = ("_owned", "context", "left", "out", "product", "right", "scalar")

    def __init__(self, library: ctypes.PyDLL, group: int | None) -> None:
        points = [_Owned(library.EC_POINT_new(group), library.EC_POINT_clear_free) for _ in "123"]
        context = _Owned(library.BN_CTX_new(), library.BN_CTX_free)
        scalar = _Owned(library.BN_new(), library.BN_clear_free)
        self.left, self.right, self.product = (point.pointer for point in points)
        self.context, self.scalar = context.pointer, scalar.pointer
        self.out = ctypes.create_string_buffer(_ENCODED)
        self._owned = (*points, context, scalar)


class _PerThread(threading.local):
    """The scratch of the current thread, freed with the thread."""

    def __init__(self, library: ctypes.PyDLL, group: int | None) -> None:
        self.scratch = _Scratch(library, group)


class Libcrypto:
    """EC ElGamal by libcrypto; raises InternalError without a usable library."""

    name: Final = NAME

    def __init__(self) -> None:
        library = _open()
        self._library = library
        self._owned_group = _Owned(
            library.EC_GROUP_new_by_curve_name(_NID_P256), library.EC_GROUP_free
        )
        self._group = self._owned_group.pointer
        self._thread = _PerThread(library, self._group)

    def decrypt(self, key: PrivateKey, ciphertext: bytes) -> bytes:
        """See `Backend.decrypt`."""
        c1, c2 = split_ciphertext(ciphertext)
        scratch, library, group = self._thread.scratch, self._library, self._group
        context, left, right = scratch.context, scratch.left, scratch.right
        minus_d: _Owned = key.forms.get(NAME) or self._minus(key)
        if not library.EC_POINT_oct2point(group, left, c1, _ENCODED, context):
            raise self._cleared(not_a_point("C1"))
        if not library.EC_POINT_oct2point(group, right, c2, _ENCODED, context):
            raise self._cleared(not_a_point("C2"))
        if not (
            library.EC_POINT_mul(group, left, None, left, minus_d.pointer, context)
            and library.EC_POINT_add(group, right, right, left, context)
        ):
            raise self._cleared(InternalError("libcrypto failed to decrypt"))
        return self._x(scratch)

    def encrypt(self, public: PublicKey, x: bytes, rng: Rng) -> bytes:
        """See `Backend.encrypt`."""
        message = UNCOMPRESSED + point_at(x)
        while (ciphertext := self._encrypt(public, message, random_scalar(rng))) is None:
            pass
        return ciphertext

    def _encrypt(self, public: PublicKey, message: bytes, k: bytes) -> bytes | None:
        """Return kG ‖ M + kQ, None if M + kQ is the point at infinity."""
        scratch, library, group = self._thread.scratch, self._library, self._group
        context, left, right = scratch.context, scratch.left, scratch.right
        q: _Owned = public.forms.get(NAME) or self._point(public)
        if not (
            library.EC_POINT_oct2point(group, right, message, _ENCODED, context)
            and library.BN_bin2bn(k, FIELD_LENGTH, scratch.scalar)
            and library.EC_POINT_mul(group, left, scratch.scalar, None, None, context)
            and library.EC_POINT_mul(
                group, scratch.product, None, q.pointer, scratch.scalar, context
            )
            and library.EC_POINT_add(group, right, right, scratch.product, context)
        ):
            raise self._cleared(InternalError("libcrypto failed to encrypt"))
        library.BN_clear(scratch.scalar)
        c1, c2 = self._xy(scratch, left), self._xy(scratch, right)
        return c1 + c2 if c2 else None

    def _x(self, scratch: _Scratch) -> bytes:
        """Return x of the right point, 32 bytes; refuse the point at infinity."""
        length = self._library.EC_POINT_point2oct(
            self._group, scratch.right, _COMPRESSED_FORM, scratch.out, _COMPRESSED, scratch.context
        )
        if length != _COMPRESSED:
            raise self._cleared(at_infinity())
        return scratch.out.raw[1:_COMPRESSED]

    def _xy(self, scratch: _Scratch, point: int | None) -> bytes:
        """Return x(32) ‖ y(32) of a point, b"" for the point at infinity."""
        length = self._library.EC_POINT_point2oct(
            self._group, point, _UNCOMPRESSED_FORM, scratch.out, _ENCODED, scratch.context
        )
        return scratch.out.raw[1:length]

    def _minus(self, key: PrivateKey) -> _Owned:
        """Cache n - d with the key: adding (n - d)C1 saves inverting dC1."""
        minus_d = (N - int.from_bytes(key.raw)).to_bytes(FIELD_LENGTH)
        library = self._library
        owned = _Owned(library.BN_bin2bn(minus_d, FIELD_LENGTH, None), library.BN_clear_free)
        kept: _Owned = key.forms.setdefault(NAME, owned)  # another thread may be first
        return kept

    def _point(self, public: PublicKey) -> _Owned:
        """Cache the loaded point with the key."""
        library = self._library
        owned = _Owned(library.EC_POINT_new(self._group), library.EC_POINT_clear_free)
        encoded = UNCOMPRESSED + public.raw
        if not library.EC_POINT_oct2point(self._group, owned.pointer, encoded, _ENCODED, None):
            raise self._cleared(InternalError("libcrypto does not take a public key"))
        kept: _Owned = public.forms.setdefault(NAME, owned)
        return kept

    def _cleared(self, error: Refusal) -> Refusal:
        """Clear the thread's error queue, which `_ssl` reads as well, and return the refusal."""
        self._library.ERR_clear_error()
        return error
