"""P-256: keys, ECDSA, points that carry data, and the interface of EC ElGamal.

    point          x(32) ‖ y(32), big-endian
    private key    d(32), 1 ≤ d < n - 1
    signature      ECDSA with SHA-256, r(32) ‖ s(32)
    ciphertext     EC ElGamal, C1 ‖ C2: C1 = kG, C2 = M + kQ, and so M = C2 - dC1

The curve is y² = x³ - 3x + b over the integers modulo p; its order n is a prime.

Source: FIPS 186-5 and SP 800-186 (curve, ECDSA), RFC 6979 (the nonce of a signature).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol, Self

import gmpy2  # type: ignore[import-untyped]  # has no types
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage

P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
"""The field's prime."""
N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve."""
B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G: Final = bytes.fromhex(
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""The generator, 64 bytes."""
MINUS_G: Final = G[:32] + (P - int.from_bytes(G[32:])).to_bytes(32)

FIELD_LENGTH: Final = 32
HALF_LENGTH: Final = 16
POINT_LENGTH: Final = 64
SIGNATURE_LENGTH: Final = 64
CIPHERTEXT_LENGTH: Final = 128
UNCOMPRESSED: Final = b"\x04"
"""The first byte of an uncompressed point in SEC 1, before x ‖ y."""

CURVE: Final = ec.SECP256R1()
_SIGN: Final = ec.ECDSA(SHA256(), deterministic_signing=True)
_VERIFY: Final = ec.ECDSA(SHA256())

_MPZ_P = gmpy2.mpz(P)
_MPZ_ROOT = gmpy2.mpz((P + 1) // 4)


def _curve(x: int) -> int:
    """Return y² of the points at x."""
    return ((x * x - 3) * x + B) % P


def on_curve(point: bytes) -> bool:
    """Return whether x(32) ‖ y(32) are the coordinates of a point, both below p."""
    x, y = int.from_bytes(point[:FIELD_LENGTH]), int.from_bytes(point[FIELD_LENGTH:])
    return len(point) == POINT_LENGTH and x < P and y < P and y * y % P == _curve(x)


def has_point(x: bytes) -> bool:
    """Return whether the curve has points at x, 32 bytes."""
    number = int.from_bytes(x)
    # `_curve` written out: every second draw fails, and a licence draws until one succeeds.
    return number < P and gmpy2.jacobi((number * number - 3) * number + B, _MPZ_P) == 1


def point_at(x: bytes) -> bytes:
    """Return the point at x (32 bytes) whose y is even, 64 bytes.

    Raises InternalError if there is none: x comes from `random_point_x` or `point_x_with_tail`.
    """
    if len(x) != FIELD_LENGTH:
        raise InternalError(f"the x of a message point has {len(x)} bytes, expected {FIELD_LENGTH}")
    number = int.from_bytes(x)
    square = _curve(number)
    root = int(gmpy2.powmod(square, _MPZ_ROOT, _MPZ_P))
    if number >= P or root * root % P != square:
        raise InternalError("the curve has no point at the x of the message")
    return x + (P - root if root & 1 else root).to_bytes(FIELD_LENGTH)


def inverse(number: int) -> int:
    """Return 1 / number modulo p; the number is not a multiple of p."""
    return int(gmpy2.invert(number, _MPZ_P))


def random_point_x(rng: Rng) -> bytes:
    """Return the x of a random point, 32 bytes, such as a client's challenge is encrypted under."""
    while not has_point(x := rng(FIELD_LENGTH)):
        pass
    return x


def point_x_with_tail(tail: bytes, rng: Rng) -> bytes:
    """Return head(16) ‖ tail(16), the x of a point, with a random head.

    In a licence the tail is the content key and the head the integrity key.
    """
    if len(tail) != HALF_LENGTH:
        raise InternalError(f"a message point's tail has {len(tail)} bytes, expected {HALF_LENGTH}")
    while not has_point(x := rng(HALF_LENGTH) + tail):
        pass
    return x


def random_scalar(rng: Rng) -> bytes:
    """Return a uniformly random number from 1 to n - 1, 32 bytes."""
    while not 0 < int.from_bytes(scalar := rng(FIELD_LENGTH)) < N:
        pass
    return scalar


# No slots: `cached_property` stores its value in the instance's dictionary.
@dataclass(frozen=True)
class PublicKey:
    """A point of the curve, x(32) ‖ y(32), to encrypt to and verify with.

    Raises InvalidMessage for another length, a coordinate ≥ p, a pair off the curve, and for -G,
    the public key of the refused private key n - 1.
    """

    raw: bytes
    forms: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The key as converted by each back end at first use, by the back end's name."""

    def __post_init__(self) -> None:
        """Refuse an invalid key."""
        if len(self.raw) != POINT_LENGTH:
            raise InvalidMessage(
                f"P-256 public key has {len(self.raw)} bytes, expected {POINT_LENGTH}"
            )
        if not on_curve(self.raw):
            raise InvalidMessage("P-256 public key is not a point of the curve")
        if self.raw == MINUS_G:
            raise InvalidMessage("P-256 public key is -G, whose private key n - 1 is not allowed")

    @cached_property
    def handle(self) -> ec.EllipticCurvePublicKey:
        """The key of the `cryptography` package."""
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, UNCOMPRESSED + self.raw)


@dataclass(frozen=True)
class PrivateKey:
    """A number d, 32 bytes, 1 ≤ d < n - 1, to decrypt and sign with.

    Raises InvalidMessage for any other length or number. d = n - 1 is refused because the portable
    back end needs (d + 1)C1, which would be the point at infinity.
    """

    raw: bytes = field(repr=False)
    forms: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The key as converted by each back end at first use, by the back end's name."""

    def __post_init__(self) -> None:
        """Refuse a number out of range."""
        if len(self.raw) != FIELD_LENGTH:
            raise InvalidMessage(
                f"P-256 private key has {len(self.raw)} bytes, expected {FIELD_LENGTH}"
            )
        if not 0 < int.from_bytes(self.raw) < N - 1:
            raise InvalidMessage("P-256 private key is not a number from 1 to n - 2")

    @classmethod
    def generate(cls, rng: Rng) -> Self:
        """Return a new key."""
        while int.from_bytes(scalar := random_scalar(rng)) == N - 1:
            pass
        return cls(scalar)

    @cached_property
    def public(self) -> PublicKey:
        """The point dG."""
        return PublicKey(raw_point(self.handle))

    @cached_property
    def handle(self) -> ec.EllipticCurvePrivateKey:
        """The key of the `cryptography` package."""
        return ec.derive_private_key(int.from_bytes(self.raw), CURVE)


def raw_point(handle: ec.EllipticCurvePrivateKey) -> bytes:
    """Return x(32) ‖ y(32) of the public half of a private key."""
    encoded = handle.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return encoded[len(UNCOMPRESSED) :]


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Return the signature of the message, r(32) ‖ s(32), deterministic (RFC 6979)."""
    r, s = decode_dss_signature(key.handle.sign(message, _SIGN))
    return r.to_bytes(FIELD_LENGTH) + s.to_bytes(FIELD_LENGTH)


def verify(public: PublicKey, signature: bytes, message: bytes) -> None:
    """Verify the key's signature r(32) ‖ s(32) of the message; raises InvalidMessage."""
    if len(signature) != SIGNATURE_LENGTH:
        raise InvalidMessage(
            f"ECDSA signature has {len(signature)} bytes, expected {SIGNATURE_LENGTH}"
        )
    r = int.from_bytes(signature[:FIELD_LENGTH])
    s = int.from_bytes(signature[FIELD_LENGTH:])
    try:
        public.handle.verify(encode_dss_signature(r, s), message, _VERIFY)
    except InvalidSignature:
        raise InvalidMessage("ECDSA signature does not verify under the given key") from None


class Backend(Protocol):
    """EC ElGamal; all back ends return the same bytes for the same input.

    Several threads may use one at once.
    """

    @property
    def name(self) -> str:
        """The name in settings and logs."""

    def decrypt(self, key: PrivateKey, ciphertext: bytes) -> bytes:
        """Return x of C2 - dC1, 32 bytes, from C1 ‖ C2, 128 bytes.

        Raises InvalidMessage for another length, for C1 or C2 off the curve, and for a message
        that is the point at infinity.
        """

    def encrypt(self, public: PublicKey, x: bytes, rng: Rng) -> bytes:
        """Return kG ‖ M + kQ, 128 bytes, where M is the point at x (32 bytes) with the even y.

        k is the first of the 32-byte draws that is from 1 to n - 1 and for which M + kQ is not at
        infinity. Raises InternalError if the curve has no point at x.
        """


def split_ciphertext(ciphertext: bytes) -> tuple[bytes, bytes]:
    """Return C1 and C2 as uncompressed SEC 1 points, 65 bytes each, unchecked."""
    if len(ciphertext) != CIPHERTEXT_LENGTH:
        raise InvalidMessage(
            f"EC ElGamal ciphertext has {len(ciphertext)} bytes, expected {CIPHERTEXT_LENGTH}"
        )
    return UNCOMPRESSED + ciphertext[:POINT_LENGTH], UNCOMPRESSED + ciphertext[POINT_LENGTH:]


def not_a_point(name: str) -> InvalidMessage:
    """Return the refusal of C1 or C2 off the curve."""
    return InvalidMessage(f"EC ElGamal ciphertext: {name} is not a point of P-256")


def at_infinity() -> InvalidMessage:
    """Return the refusal of a ciphertext of the point at infinity."""
    return InvalidMessage("EC ElGamal ciphertext: its message is the point at infinity")
