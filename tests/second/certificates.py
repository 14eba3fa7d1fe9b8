"""Certificate chains, packed and unpacked field by field."""

import hashlib
import struct
from dataclasses import dataclass
from itertools import pairwise

from tests.second import curve

NEVER = 0xFFFFFFFF
DEVICE, DOMAIN, ISSUER, METERING, LICENSE_SIGNER = 2, 3, 4, 9, 12
SIGN, ENCRYPT, ISSUE_DEVICE, ISSUE_METERING, ISSUE_LICENSE_SIGNER = 1, 2, 6, 12, 18
ISSUE_DOMAIN = 8
SIGN_LICENSE, SIGN_RESPONSE = 19, 20


@dataclass(frozen=True)
class Subject:
    """The content of a certificate to be made."""

    type: int
    keys: tuple[tuple[int, tuple[int, ...]], ...]
    """Private keys and their usages."""
    level: int = 2000
    expiry: int = NEVER
    features: tuple[int, ...] = (4, 9, 13)


@dataclass(frozen=True)
class Certificate:
    """The content of a parsed certificate."""

    type: int
    level: int
    expiry: int
    keys: tuple[tuple[curve.Point, tuple[int, ...]], ...]
    issuer: curve.Point
    signed: bytes
    signature: bytes

    def key(self, usage: int) -> curve.Point:
        """Return the key that has a usage."""
        return next(point for point, usages in self.keys if usage in usages)


def _object(flags: int, tag: int, body: bytes) -> bytes:
    return struct.pack(">HHI", flags, tag, 8 + len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(f">{1 + len(numbers)}I", len(numbers), *numbers)


def issue(subject: Subject, issuer: int) -> bytes:
    """Return a certificate signed by an issuer's private key."""
    points = [curve.point_bytes(curve.public(private)) for private, _ in subject.keys]
    basic = struct.pack(
        ">16sIII32sI16s",
        b"certificate id 0",
        subject.level,
        0,
        subject.type,
        hashlib.sha256(points[0]).digest(),
        subject.expiry,
        b"client id 000000",
    )
    keys = struct.pack(">I", len(points)) + b"".join(
        struct.pack(">HHI", 1, 512, 0) + point + _numbers(usages)
        for point, (_, usages) in zip(points, subject.keys, strict=True)
    )
    manufacturer = struct.pack(">I", 0) + _text("Second") + _text("Client") + _text("2")
    body = b"".join(
        (
            _object(1, 1, basic),
            _object(1, 4, struct.pack(">III", 10240, 15360, 2)) if subject.type == DEVICE else b"",
            _object(1, 5, _numbers(subject.features)),
            _object(1, 6, keys),
            _object(0, 7, manufacturer),
        )
    )
    length = 16 + len(body)
    signed = struct.pack(">4sIII", b"CERT", 1, length + 8 + 4 + 64 + 4 + 64, length) + body
    signature = struct.pack(">HH", 1, 64) + curve.sign(issuer, signed)
    return signed + _object(
        1, 8, signature + struct.pack(">I", 512) + curve.point_bytes(curve.public(issuer))
    )


def chain(*certificates: bytes) -> bytes:
    """Return a chain, leaf first."""
    body = b"".join(certificates)
    return struct.pack(">4sIIII", b"CHAI", 1, 20 + len(body), 0, len(certificates)) + body


def read_chain(data: bytes) -> list[Certificate]:
    """Return the certificates of a chain."""
    magic, version, length, flags, count = struct.unpack_from(">4sIIII", data)
    assert (magic, version, length, flags) == (b"CHAI", 1, len(data), 0)
    found, at = [], 20
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data, at + 8)
        found.append(_read(data[at : at + size]))
        at += size
    assert at == len(data)
    return found


def _read(data: bytes) -> Certificate:
    magic, version, length, signed_length = struct.unpack_from(">4sIII", data)
    assert (magic, version, length) == (b"CERT", 1, len(data))
    objects, at = {}, 16
    while at < len(data):
        _, tag, size = struct.unpack_from(">HHI", data, at)
        objects[tag] = data[at + 8 : at + size]
        assert tag != 8 or at == signed_length
        at += size
    _, level, _, kind, digest, expiry, _ = struct.unpack(">16sIII32sI16s", objects[1])
    keys = _read_keys(objects[6])
    assert digest == hashlib.sha256(curve.point_bytes(keys[0][0])).digest()
    return Certificate(
        kind,
        level,
        expiry,
        keys,
        curve.point_from(objects[8][72:]),
        data[:signed_length],
        objects[8][4:68],
    )


def _read_keys(body: bytes) -> tuple[tuple[curve.Point, tuple[int, ...]], ...]:
    (count,) = struct.unpack_from(">I", body)
    found, at = [], 4
    for _ in range(count):
        kind, bits, _, point, usages = struct.unpack_from(">HHI64sI", body, at)
        assert (kind, bits) == (1, 512)
        at += 76
        found.append((curve.point_from(point), struct.unpack_from(f">{usages}I", body, at)))
        at += 4 * usages
    assert at == len(body)
    return tuple(found)


def check_chain(certificates: list[Certificate], root: curve.Point, may: int) -> None:
    """Verify the chain from the root through an issuer that may issue its leaf."""
    for child, parent in pairwise(certificates):
        assert parent.type == ISSUER
        assert may in next(usages for point, usages in parent.keys if point == child.issuer)
        assert child.level <= parent.level
    assert certificates[-1].issuer == root
    assert all(curve.signed_by(c.issuer, c.signature, c.signed) for c in certificates)
