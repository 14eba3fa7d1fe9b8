"""Parses, builds, signs and verifies a licence.

license  "XMR" 00, version u32 = 3, rights id(16), one object of type 1
signed   the last object in it is the signature: AES-CMAC under the integrity key over all
         bytes before it, in which the outer object's length already counts it
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from rightsmanager.crypto.aes import cmac, verify_cmac
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr.objects import (
    SIGNATURE_LENGTH,
    Container,
    Outer,
    Signature,
    XmrObject,
)
from rightsmanager.protocol.formats.xmr.table import BY_TYPE, HEAD, build_objects, parse_objects

RIGHTS_ID_LENGTH: Final = 16

_MAGIC: Final = b"XMR\0" + (3).to_bytes(4, "big")
_START: Final = len(_MAGIC) + RIGHTS_ID_LENGTH
_OUTER_TYPE: Final = next(layout.object_type for layout in BY_TYPE.values() if layout.kind is Outer)
_OUTER_FLAGS: Final = Outer().flags
_UNSIGNED: Final = build_objects((Signature(bytes(SIGNATURE_LENGTH)),))
_SIGNATURE_HEAD: Final = _UNSIGNED[:-SIGNATURE_LENGTH]

T = TypeVar("T", bound=XmrObject)


@dataclass(frozen=True, slots=True)
class License:
    """A licence: its rights id of 16 bytes and the object that contains all others."""

    rights_id: bytes
    outer: Outer

    def __post_init__(self) -> None:
        """Refuse any other length of the rights id."""
        _expect_rights_id(self.rights_id)

    def find(self, kind: type[T]) -> T | None:
        """Return the first object of a class at any depth, None if there is none."""
        return next(_walk(self.outer, kind), None)

    def find_all(self, kind: type[T]) -> tuple[T, ...]:
        """Return all objects of a class at any depth, in order."""
        return tuple(_walk(self.outer, kind))


def parse_license(data: bytes) -> License:
    """Return the licence; `build_license` returns the same bytes.

    Raises InvalidMessage for another magic or version, wrong lengths, bytes after the end,
    containers that are too deep, and invalid bodies.
    """
    _refuse_beginning(data)
    objects = parse_objects(data, _START, len(data))
    if len(objects) != 1 or not isinstance(objects[0], Outer):
        raise InvalidMessage("XMR: the licence is not one object of type 0x0001")
    return License(data[len(_MAGIC) : _START], objects[0])


def _refuse_beginning(data: bytes) -> None:
    if data[: len(_MAGIC)] != _MAGIC:
        raise InvalidMessage("XMR: the licence does not begin with XMR and version 3")
    if len(data) < _START + HEAD.size:
        raise InvalidMessage(f"XMR: the licence has {len(data)} bytes, too few for one object")


def find_length(data: bytes) -> int:
    """Return the length of the licence that bytes begin with; raises InvalidMessage."""
    _refuse_beginning(data)
    _, _, length = HEAD.unpack_from(data, _START)
    if not HEAD.size <= length <= len(data) - _START:
        raise InvalidMessage(f"XMR: the licence's object has {length} bytes, more than there are")
    return _START + int(length)


def build_license(license: License) -> bytes:  # noqa: A002 -- the format's own word
    """Return the licence's bytes."""
    return _MAGIC + license.rights_id + build_objects((license.outer,))


def build_signed(rights_id: bytes, objects: tuple[XmrObject, ...], integrity_key: bytes) -> bytes:
    """Return a licence of these objects, followed by its signature.

    The rights id and the integrity key have 16 bytes.
    """
    return sign_objects(rights_id, build_objects(objects), integrity_key)


def sign_objects(rights_id: bytes, body: bytes, integrity_key: bytes) -> bytes:
    """Return the licence of `build_signed` from the bytes of its objects."""
    _expect_rights_id(rights_id)
    length = HEAD.size + len(body) + len(_UNSIGNED)
    head = HEAD.pack(_OUTER_FLAGS, _OUTER_TYPE, length)
    signed = b"".join((_MAGIC, rights_id, head, body))
    return b"".join((signed, _SIGNATURE_HEAD, cmac(integrity_key, signed)))


def verify_signature(license: License, integrity_key: bytes) -> None:  # noqa: A002 -- as above
    """Verify the signature, the licence's last object; raises InvalidMessage."""
    signatures = license.find_all(Signature)
    if len(signatures) != 1 or license.outer.objects[-1] is not signatures[0]:
        raise InvalidMessage("XMR: the licence does not end with its one signature")
    verify_cmac(integrity_key, signatures[0].cmac, build_license(license)[: -len(_UNSIGNED)])


def rights_id_after(nonce: bytes, count: int) -> bytes:
    """Return the rights id of the non-persistent licence after `count` others in a reply.

    It is the challenge's nonce of 16 bytes plus `count`, modulo 2^128.
    """
    _expect_rights_id(nonce)
    number = (int.from_bytes(nonce, "big") + count) % (1 << 8 * RIGHTS_ID_LENGTH)
    return number.to_bytes(RIGHTS_ID_LENGTH, "big")


def _expect_rights_id(data: bytes) -> None:
    if len(data) != RIGHTS_ID_LENGTH:
        raise InvalidMessage(f"XMR: rights id has {len(data)} bytes, expected {RIGHTS_ID_LENGTH}")


def _walk(container: Container, kind: type[T]) -> Iterator[T]:
    for item in container.objects:
        if isinstance(item, kind):
            yield item
        if isinstance(item, Container):
            yield from _walk(item, kind)
