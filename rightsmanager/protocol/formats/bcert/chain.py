"""A chain of certificates, leaf first: read, and written again.

    chain  "CHAI", version u32 = 1, length u32, flags u32 = 0, count u32, certificates (1 to 6)

The last certificate is signed by a trust anchor, which has no certificate in the chain.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import certificate as cert
from rightsmanager.protocol.formats.bcert.certificate import (
    Certificate,
    build_certificate,
    parse_certificate,
)

MAX_CERTIFICATES: Final = 6
MAX_LENGTH: Final = 65536
"""In bytes; chains of six certificates with every object have some six thousand."""

_HEAD: Final = struct.Struct(">4sIIII")
_MAGIC: Final = b"CHAI"
_VERSION: Final = 1
_FLAGS: Final = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain as received, made by `parse_chain` alone.

    Two chains are equal when their bytes are.
    """

    raw: bytes = field(repr=False)
    certificates: tuple[Certificate, ...] = field(compare=False)
    """1 to 6, leaf first."""
    leaf: Certificate = field(init=False, compare=False, repr=False)
    """The first certificate."""

    def __post_init__(self) -> None:
        """Store the leaf."""
        object.__setattr__(self, "leaf", self.certificates[0])


def parse_chain(
    data: bytes, known: Callable[[bytes], Certificate | None] = lambda _: None
) -> Chain:
    """Return the chain; `build_chain` of its certificates returns the same bytes.

    known: returns the certificate of bytes that were parsed before, or None.

    Raises InvalidMessage unless the bytes are exactly one chain: for another magic, version or
    flags, more than 65536 bytes, no or more than 6 certificates, and an invalid certificate.
    """
    count = _parse_head(data)
    certificates = []
    start = _HEAD.size
    for index in range(count):
        raw = _slice_certificate(data, start, index)
        start += len(raw)
        certificates.append(known(raw) or parse_certificate(raw, f"certificate {index}"))
    if start != len(data):
        raise InvalidMessage(f"chain: {len(data) - start} bytes follow its last certificate")
    return Chain(data, tuple(certificates))


def build_chain(certificates: Iterable[Certificate]) -> bytes:
    """Return the bytes of a chain of these certificates, leaf first."""
    parts = [build_certificate(item.objects) for item in certificates]
    length = _HEAD.size + sum(map(len, parts))
    return b"".join((_HEAD.pack(_MAGIC, _VERSION, length, _FLAGS, len(parts)), *parts))


def _parse_head(data: bytes) -> int:
    if not _HEAD.size <= len(data) <= MAX_LENGTH:
        raise InvalidMessage(f"chain: {len(data)} bytes, expected {_HEAD.size} to {MAX_LENGTH}")
    magic, version, length, flags, count = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise InvalidMessage("chain does not begin with CHAI and version 1")
    if length != len(data):
        raise InvalidMessage(f"chain: length is {length}, expected {len(data)}")
    if flags != _FLAGS:
        raise InvalidMessage(f"chain: flags are 0x{flags:08x}, expected {_FLAGS}")
    if not 1 <= count <= MAX_CERTIFICATES:
        raise InvalidMessage(f"chain: count is {count}, expected 1 to {MAX_CERTIFICATES}")
    return int(count)


def _slice_certificate(data: bytes, start: int, index: int) -> bytes:
    if len(data) - start < cert.HEAD.size:
        raise InvalidMessage(
            f"certificate {index} at offset {start} of the chain needs {cert.HEAD.size} bytes, "
            f"{len(data) - start} are left"
        )
    _, _, length, _ = cert.HEAD.unpack_from(data, start)
    if not cert.HEAD.size <= length <= len(data) - start:
        raise InvalidMessage(
            f"certificate {index} at offset {start} of the chain says {length} bytes, "
            f"expected {cert.HEAD.size} to {len(data) - start}"
        )
    return data[start : start + length]
