"""The portable back end: EC ElGamal by `cryptography`, which returns only x of a product (ECDH).

The sign of y comes from a second ECDH. With points P and S, and T = S + P,

    w = (xP·xS - 3)(xP + xS) + 2b - xT(xS - xP)²  =  2·yP·yS

by the addition law. With any point R,

    λ = (yR ± yS) / (xR - xS)  =  (2·yP·yR ± w) / (2·yP·(xR - xS))

yields R ∓ S without yS. To decrypt, P = C1, S = dC1, T = (d + 1)C1 and R = C2; to encrypt,
P = kG, S = kQ, T = k(Q + G) and R = M. No y is zero because the order is odd.
"""

from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric import ec

from rightsmanager.crypto.p256 import (
    CURVE,
    FIELD_LENGTH,
    UNCOMPRESSED,
    B,
    G,
    P,
    PrivateKey,
    PublicKey,
    at_infinity,
    inverse,
    not_a_point,
    on_curve,
    point_at,
    random_scalar,
    raw_point,
    split_ciphertext,
)
from rightsmanager.crypto.random import Rng

NAME: Final = "portable"

_ECDH: Final = ec.ECDH()

Point = tuple[int, int]


def _xy(point: bytes) -> Point:
    """Return the coordinates of x(32) ‖ y(32)."""
    return int.from_bytes(point[:FIELD_LENGTH]), int.from_bytes(point[FIELD_LENGTH:])


def _bytes(point: Point) -> bytes:
    """Return x(32) ‖ y(32)."""
    return point[0].to_bytes(FIELD_LENGTH) + point[1].to_bytes(FIELD_LENGTH)


def _double_product(p: Point, x_s: int, x_t: int) -> int:
    """Return 2·yP·yS (the module's w) from P and the x of S and of T = S + P."""
    x_p = p[0]
    return ((x_p * x_s - 3) * (x_p + x_s) + 2 * B - x_t * (x_s - x_p) ** 2) % P


def _add(r: Point, p: Point, x_s: int, w: int) -> Point | None:
    """Return R + S from R, P and the x of S, where w = 2·yP·yS; None for infinity."""
    x_r, y_r = r
    y_p2 = 2 * p[1]
    if x_r != x_s:
        slope = (y_p2 * y_r - w) * inverse(y_p2 * (x_r - x_s)) % P
    elif (y_p2 * y_r - w) % P == 0:
        slope = 3 * (x_r * x_r - 1) * inverse(2 * y_r) % P
    else:
        return None
    x = (slope * slope - x_r - x_s) % P
    return x, (slope * (x_r - x) - y_r) % P


def _plus_g(q: Point) -> Point:
    """Return Q + G, which is finite because a public key is never -G."""
    g = _xy(G)
    # Infinite for -G only, which is not a PublicKey.
    return cast("Point", _add(q, g, g[0], 2 * g[1] * g[1]))


def _x_of_product(scalar: ec.EllipticCurvePrivateKey, point: ec.EllipticCurvePublicKey) -> int:
    """Return x of a scalar times a point."""
    return int.from_bytes(scalar.exchange(_ECDH, point))


class Portable:
    """EC ElGamal by ECDH and arithmetic."""

    name: Final = NAME

    def decrypt(self, key: PrivateKey, ciphertext: bytes) -> bytes:
        """See `Backend.decrypt`."""
        c1, c2 = split_ciphertext(ciphertext)
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, c1)
        except ValueError:
            raise not_a_point("C1") from None
        if not on_curve(c2[1:]):
            raise not_a_point("C2")
        p, r = _xy(c1[1:]), _xy(c2[1:])
        x_s, x_t = _x_of_product(key.handle, point), _x_of_product(self._next_scalar(key), point)
        message = _add(r, p, x_s, -_double_product(p, x_s, x_t))
        if message is None:
            raise at_infinity()
        return message[0].to_bytes(FIELD_LENGTH)

    def encrypt(self, public: PublicKey, x: bytes, rng: Rng) -> bytes:
        """See `Backend.encrypt`."""
        message = _xy(point_at(x))
        while (ciphertext := self._encrypt(public, message, random_scalar(rng))) is None:
            pass
        return ciphertext

    def _encrypt(self, public: PublicKey, message: Point, k: bytes) -> bytes | None:
        """Return kG ‖ M + kQ, None if M + kQ is the point at infinity."""
        scalar = ec.derive_private_key(int.from_bytes(k), CURVE)
        c1 = raw_point(scalar)
        p = _xy(c1)
        x_s = _x_of_product(scalar, public.handle)
        x_t = _x_of_product(scalar, self._next_point(public))
        c2 = _add(message, p, x_s, _double_product(p, x_s, x_t))
        return None if c2 is None else c1 + _bytes(c2)

    def _next_scalar(self, key: PrivateKey) -> ec.EllipticCurvePrivateKey:
        """Cache d + 1 with the key."""
        if NAME not in key.forms:
            key.forms[NAME] = ec.derive_private_key(int.from_bytes(key.raw) + 1, CURVE)
        kept: ec.EllipticCurvePrivateKey = key.forms[NAME]
        return kept

    def _next_point(self, public: PublicKey) -> ec.EllipticCurvePublicKey:
        """Cache Q + G with the key."""
        if NAME not in public.forms:
            encoded = UNCOMPRESSED + _bytes(_plus_g(_xy(public.raw)))
            public.forms[NAME] = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, encoded)
        kept: ec.EllipticCurvePublicKey = public.forms[NAME]
        return kept
