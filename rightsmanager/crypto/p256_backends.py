"""The choice between the back ends of P-256; each must pass a known-answer test before its use.

The known answer was computed with other implementations of the same arithmetic.
"""

from collections.abc import Callable
from typing import Final, Literal

from rightsmanager.crypto.p256 import Backend, PrivateKey
from rightsmanager.crypto.p256_libcrypto import Libcrypto
from rightsmanager.crypto.p256_portable import Portable
from rightsmanager.errors import InternalError, InvalidMessage

Choice = Literal["auto", "libcrypto", "portable"]

_KNOWN_KEY: Final = PrivateKey(bytes(range(1, 33)))
_KNOWN_K: Final = bytes(range(33, 65))
_KNOWN_X: Final = bytes(15) + b"\x01" + bytes(range(0x10, 0x20))
_KNOWN_CIPHERTEXT: Final = bytes.fromhex(
    "1f140146bfb1b251f84f4ddbe0d4cdcfd77afd984a9520e35794021f8312bb9e"
    "ec995a08b1fa7704df3dcc0b50a9665263fb7711f95f9f8a449c5096e47c892b"
    "16f42d3d7da6782f6cbfc8326110ca8c72cdb8feed22e1a27f77769272b1b99c"
    "05c2a6912bb5ffefddb42b9f042df4a5d7e47cdd62e1615f6841fa88e3e0b77f"
)

BACKENDS: Final[dict[str, Callable[[], Backend]]] = {
    "libcrypto": Libcrypto,
    "portable": Portable,
}
"""The back ends, the fastest first."""


def verify_known_answer(backend: Backend) -> None:
    """Encrypt and decrypt the known answer; raises InternalError for another result."""
    if backend.encrypt(_KNOWN_KEY.public, _KNOWN_X, lambda _: _KNOWN_K) != _KNOWN_CIPHERTEXT:
        raise InternalError(f"P-256 back end {backend.name} does not encrypt to the known answer")
    if backend.decrypt(_KNOWN_KEY, _KNOWN_CIPHERTEXT) != _KNOWN_X:
        raise InternalError(f"P-256 back end {backend.name} does not decrypt the known answer")
    try:
        backend.decrypt(_KNOWN_KEY, bytes(len(_KNOWN_CIPHERTEXT)))
    except InvalidMessage:
        return
    raise InternalError(f"P-256 back end {backend.name} takes points that are not on the curve")


def _load(name: str) -> Backend:
    """Return a back end that passed the known-answer test; raises InternalError."""
    backend = BACKENDS[name]()
    verify_known_answer(backend)
    return backend


def available_backends() -> tuple[Backend, ...]:
    """Return the back ends that work on this machine, the fastest first."""
    found = []
    for name in BACKENDS:
        try:
            found.append(_load(name))
        except InternalError:
            continue
    return tuple(found)


def choose_backend(name: Choice = "auto") -> Backend:
    """Return the back end of that name; for `auto` the fastest that works on this machine.

    Raises InternalError for an unknown name and for one that does not work.
    """
    if name != "auto":
        if name not in BACKENDS:
            raise InternalError(
                f"P-256 back end {name!r} is unknown, expected auto, {', '.join(BACKENDS)}"
            )
        return _load(name)
    found = available_backends()
    if not found:
        raise InternalError("no P-256 back end gives the known answer")
    return found[0]
