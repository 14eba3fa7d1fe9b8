"""P-256 in plain integers: y² = x³ - 3x + b modulo p; points as (x, y), infinity as None."""

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

Point = tuple[int, int]

G: Point = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_ECDSA = ec.ECDSA(SHA256(), deterministic_signing=True)


def add(left: Point | None, right: Point | None) -> Point | None:
    """Return the sum of two points."""
    if left is None or right is None:
        return right if left is None else left
    (x1, y1), (x2, y2) = left, right
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    rise, run = (3 * x1 * x1 - 3, 2 * y1) if x1 == x2 else (y2 - y1, x2 - x1)
    slope = rise * pow(run, -1, P)
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


@lru_cache(maxsize=1024)
def multiply(scalar: int, point: Point) -> Point | None:
    """Return a multiple of a point, bit by bit."""
    result: Point | None = None
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def negative(point: Point | None) -> Point | None:
    """Return the negative of a point."""
    return None if point is None else (point[0], -point[1] % P)


def public(private: int) -> Point:
    """Return the public key of a private one."""
    return finite(multiply(private, G))


def finite(point: Point | None) -> Point:
    """Return the point; fails for infinity."""
    assert point is not None
    return point


def point_at(x: int) -> Point | None:
    """Return a point at x, or None if there is none."""
    square = (x**3 - 3 * x + B) % P
    y = pow(square, (P + 1) // 4, P)
    return (x, y) if x < P and y * y % P == square else None


def point_bytes(point: Point) -> bytes:
    """Return x(32) ‖ y(32)."""
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def point_from(data: bytes) -> Point:
    """Return the point of 64 bytes, which must be on the curve."""
    x, y = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")
    assert len(data) == 64
    assert (y * y - x**3 + 3 * x - B) % P == 0
    return x, y


def encrypt(x: int, key: Point, k: int) -> bytes:
    """Return C1 ‖ C2 of the point at x, 128 bytes."""
    message = finite(point_at(x))
    c2 = finite(add(message, multiply(k, key)))
    return point_bytes(public(k)) + point_bytes(c2)


def decrypt(ciphertext: bytes, private: int) -> bytes:
    """Return the 32 bytes of x of the message point."""
    c1, c2 = point_from(ciphertext[:64]), point_from(ciphertext[64:])
    x, _ = finite(add(c2, negative(multiply(private, c1))))
    return x.to_bytes(32, "big")


def sign(private: int, message: bytes) -> bytes:
    """Return r(32) ‖ s(32)."""
    key = ec.derive_private_key(private, ec.SECP256R1())
    r, s = decode_dss_signature(key.sign(message, _ECDSA))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_by(key: Point, signature: bytes, message: bytes) -> bool:
    """Return whether r(32) ‖ s(32) verifies."""
    handle = ec.EllipticCurvePublicNumbers(*key, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        handle.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return len(signature) == 64
