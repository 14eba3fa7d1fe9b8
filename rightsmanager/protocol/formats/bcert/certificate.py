"""One certificate: read, and written again.

    certificate  "CERT", version u32 = 1, length u32, length up to the signature object u32, objects

The signature object starts at the length in the head and signs all bytes before it. The bytes after
it are unsigned: only extended data is allowed there, in certificates with that flag.
"""

import base64
import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar, cast

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert.objects import (
    Basic,
    CertificateFlag,
    CertificateObject,
    CertificateType,
    Domain,
    ExtendedData,
    Feature,
    Features,
    Key,
    Keys,
    KeyUsage,
    Manufacturer,
    Metering,
    Signature,
    Unknown,
)
from rightsmanager.protocol.formats.bcert.table import (
    SIGNATURE_OBJECT_LENGTH,
    build_object,
    parse_object,
)

HEAD: Final = struct.Struct(">4sIII")
MAGIC: Final = b"CERT"
VERSION: Final = 1

T = TypeVar("T", bound=CertificateObject)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as received, made by `parse_certificate` alone.

    Two certificates are equal when their bytes are.
    """

    raw: bytes = field(repr=False)
    signed_length: int = field(compare=False)
    """The number of bytes that the signature covers."""
    digest: bytes = field(compare=False)
    """SHA-256 of the signed bytes, as named by revocation lists."""
    objects: tuple[CertificateObject, ...] = field(compare=False, repr=False)
    basic: Basic = field(compare=False)
    # Each request reads these two fields of `basic`; here they cost no call.
    security_level: int = field(compare=False)
    """150, 2000 or 3000 in published certificates."""
    expiry: int = field(compare=False)
    """The last second in which it is valid, in Unix time; `wire.NEVER` for no end."""
    keys: tuple[Key, ...] = field(compare=False)
    signature: Signature = field(compare=False)
    _by_kind: Mapping[type[CertificateObject], CertificateObject] = field(compare=False, repr=False)

    def find(self, kind: type[T]) -> T | None:
        """Return the object of a class, None if there is none."""
        return cast("T | None", self._by_kind.get(kind))

    @property
    def device_id(self) -> str:
        """Base64 of the SHA-256 of the signing key; raises InvalidMessage without such a key."""
        key = self.key_with_usage(KeyUsage.SIGN)
        if key is None:
            raise InvalidMessage("the leaf certificate has no key with the usage to sign")
        return _hash_key(key.raw)

    @property
    def encryption_key(self) -> PublicKey:
        """The key that licences are bound to; raises InvalidMessage without such a key."""
        key = self.key_with_usage(KeyUsage.ENCRYPT_KEY)
        if key is None:
            raise InvalidMessage("the leaf certificate has no key with the usage to encrypt keys")
        return key

    @property
    def certificate_id(self) -> bytes:
        """16 bytes."""
        return self.basic.certificate_id

    @property
    def type(self) -> CertificateType:
        """The kind of the holder."""
        return self.basic.type

    @property
    def flags(self) -> int:
        """The flags of the certificate as a whole, see CertificateFlag."""
        return self.basic.certificate_flags

    @property
    def client_id(self) -> bytes:
        """16 bytes."""
        return self.basic.client_id

    @property
    def features(self) -> tuple[Feature | int, ...]:
        """The features; empty without such an object."""
        found = self.find(Features)
        return () if found is None else found.values

    @property
    def manufacturer(self) -> Manufacturer | None:
        """The manufacturer, if named."""
        return self.find(Manufacturer)

    @property
    def domain(self) -> Domain | None:
        """The domain, in domain certificates."""
        return self.find(Domain)

    @property
    def metering(self) -> Metering | None:
        """The metering service, in metering certificates."""
        return self.find(Metering)

    @property
    def issuer_key(self) -> PublicKey:
        """The key that signed it, unverified."""
        return self.signature.issuer_key

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return self.raw[: self.signed_length]

    def key_with_usage(self, usage: KeyUsage | int) -> PublicKey | None:
        """Return the first key with that usage, None if there is none."""
        for key in self.keys:
            if usage in key.usages:
                return key.public
        return None


def parse_certificate(data: bytes, name: str = "certificate") -> Certificate:
    """Return the certificate; `build_certificate` of its objects returns the same bytes.

    Raises InvalidMessage that names `name` unless the bytes are exactly one certificate: for
    another magic or version, wrong lengths, a repeated object, a missing basic, key or signature
    object, and a basic object with another digest than that of the first key.
    """
    signed_length = _parse_head(data, name)
    signed = _parse_objects(data, HEAD.size, signed_length, name)
    unsigned = _parse_objects(data, signed_length, len(data), name)
    by_kind = _by_kind((*signed, *unsigned), name)
    basic, keys = _require(Basic, by_kind, name), _require(Keys, by_kind, name).keys
    signature = _require(Signature, by_kind, name)
    _refuse_misplaced(signed, unsigned, basic, name)
    if hashlib.sha256(keys[0].public.raw).digest() != basic.key_digest:
        raise InvalidMessage(f"{name}: Basic object has not the SHA-256 of the first key")
    return Certificate(
        raw=data,
        signed_length=signed_length,
        digest=hashlib.sha256(data[:signed_length]).digest(),
        objects=(*signed, *unsigned),
        basic=basic,
        security_level=basic.security_level,
        expiry=basic.expiry,
        keys=keys,
        signature=signature,
        _by_kind=by_kind,
    )


def build_certificate(objects: Iterable[CertificateObject]) -> bytes:
    """Return the bytes of a certificate of these objects, one of them the signature."""
    items = tuple(objects)
    parts = [build_object(item) for item in items]
    signature = next(at for at, item in enumerate(items) if isinstance(item, Signature))
    signed_length = HEAD.size + sum(map(len, parts[:signature]))
    length = HEAD.size + sum(map(len, parts))
    return b"".join((HEAD.pack(MAGIC, VERSION, length, signed_length), *parts))


def build_signed(objects: Iterable[CertificateObject]) -> bytes:
    """Return the bytes to be signed of a certificate of these objects."""
    body = b"".join(build_object(item) for item in objects)
    signed_length = HEAD.size + len(body)
    head = HEAD.pack(MAGIC, VERSION, signed_length + SIGNATURE_OBJECT_LENGTH, signed_length)
    return head + body


def _parse_head(data: bytes, name: str) -> int:
    if len(data) < HEAD.size:
        raise InvalidMessage(f"{name}: {len(data)} bytes are too few for its head")
    magic, version, length, signed_length = HEAD.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise InvalidMessage(f"{name} does not begin with CERT and version 1")
    if length != len(data):
        raise InvalidMessage(f"{name}: length is {length}, expected {len(data)}")
    if not HEAD.size <= signed_length <= length:
        raise InvalidMessage(
            f"{name}: length up to the signature is {signed_length}, expected "
            f"{HEAD.size} to {length}"
        )
    return cast("int", signed_length)


def _parse_objects(data: bytes, start: int, end: int, name: str) -> tuple[CertificateObject, ...]:
    objects = []
    while start < end:
        found, start = parse_object(data, start, end, name)
        objects.append(found)
    return tuple(objects)


def _by_kind(
    objects: tuple[CertificateObject, ...], name: str
) -> dict[type[CertificateObject], CertificateObject]:
    by_kind: dict[type[CertificateObject], CertificateObject] = {}
    for item in objects:
        kind = type(item)
        if kind in by_kind:
            raise InvalidMessage(f"{name}: {kind.__name__} object is there twice, expected once")
        if kind is not Unknown:
            by_kind[kind] = item
    return by_kind


def _require(
    kind: type[T], by_kind: Mapping[type[CertificateObject], CertificateObject], name: str
) -> T:
    found = by_kind.get(kind)
    if found is None:
        raise InvalidMessage(f"{name}: {kind.__name__} object is missing")
    return cast("T", found)


def _refuse_misplaced(
    signed: tuple[CertificateObject, ...],
    unsigned: tuple[CertificateObject, ...],
    basic: Basic,
    name: str,
) -> None:
    if not (signed and isinstance(signed[0], Basic)):
        raise InvalidMessage(f"{name}: the first object is not Basic")
    if not (unsigned and isinstance(unsigned[0], Signature)):
        raise InvalidMessage(f"{name}: Signature object is not where the head says")
    following = unsigned[1:]
    if following and not (
        basic.certificate_flags & CertificateFlag.EXTENDED_DATA_PRESENT
        and all(isinstance(item, ExtendedData) for item in following)
    ):
        raise InvalidMessage(
            f"{name}: after the signature is what is not ExtendedData or what no flag announces"
        )


# The same devices return, and hashing and encoding cost as much as a dozen calls.
@lru_cache(maxsize=1024)
def _hash_key(key: bytes) -> str:
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
