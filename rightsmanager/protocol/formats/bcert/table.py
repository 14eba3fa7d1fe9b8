"""The table of object tags, with the coding of each class.

    0x0001 basic          certificate id(16), security level u32, flags u32, type u32,
                          SHA-256 of the first key(32), expiry u32, client id(16)
    0x0002 domain         service id(16), account id(16), revision u32, text
    0x0003 PC             security version u32
    0x0004 device         max licence u32, max header u32, max chain depth u32
    0x0005 feature        count u32, values u32
    0x0006 key            count u32; each: type u16 = 1 (ECC P-256), bits u16 = 512, flags u32,
                          key(64), usage count u32, usages u32
    0x0007 manufacturer   flags u32, text, text, text
    0x0008 signature      type u16 = 1, size u16 = 64, signature(64), bits u32 = 512, issuer key(64)
    0x0009 Silverlight    security version u32, platform u32
    0x000A metering       metering id(16), text
    0x000B to 0x000E      extended data: signing key, container of objects, signature, hardware id
    0x000F server         warning days u32
    0x0010, 0x0011        security version u32, platform u32
    text                  length u32 with the terminator, UTF-8, 00, zeros up to a multiple of 4

Any deviation is refused, so that `build_object` returns the same bytes.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert.objects import (
    MUST_UNDERSTAND,
    Basic,
    CertificateObject,
    CertificateType,
    Device,
    Domain,
    ExtendedData,
    ExtendedDataSignature,
    ExtendedDataSigningKey,
    Feature,
    Features,
    HardwareId,
    Key,
    Keys,
    KeyUsage,
    Manufacturer,
    Metering,
    Pc,
    SecurityVersion,
    SecurityVersion2,
    Server,
    Signature,
    Silverlight,
    Unknown,
)
from rightsmanager.protocol.wire import GUID_LENGTH, AccountId, Mid, Reader, ServiceId

MAX_FEATURES: Final = 32

_HEAD: Final = struct.Struct(">HHI")
_WORD: Final = struct.Struct(">I")
_BASIC: Final = struct.Struct(">16sIII32sI16s")
_KEY: Final = struct.Struct(">HHI64sI")
_SIGNATURE: Final = struct.Struct(">HH64sI64s")

_KEY_TYPE_P256: Final = 1
_KEY_BITS: Final = 512
_SIGNATURE_TYPE_P256: Final = 1
_SIGNATURE_SIZE: Final = 64
_SIGNATURE_CONSTANTS: Final = (
    MUST_UNDERSTAND,
    _SIGNATURE_TYPE_P256,
    _SIGNATURE_SIZE,
    _KEY_BITS,
)
SIGNATURE_OBJECT_LENGTH: Final = _HEAD.size + _SIGNATURE.size

_TYPES: Final = {int(kind): kind for kind in CertificateType}
_USAGES: Final = {int(usage): usage for usage in KeyUsage}
_FEATURES: Final = {int(feature): feature for feature in Feature}


@dataclass(frozen=True, slots=True)
class Layout:
    """One row: a tag, the class of its object, and the coding of the body."""

    tag: int
    kind: type[CertificateObject]
    read: Callable[[Reader, int], CertificateObject]
    """Body and flags → object."""
    write: Callable[[Any], bytes]
    """Object → body."""
    name: str = field(init=False)
    """The object's name in refusals."""

    def __post_init__(self) -> None:
        """Take the name from the class."""
        object.__setattr__(self, "name", f"{self.kind.__name__} object")


def _read_text(reader: Reader, what: str) -> str | None:
    length = reader.u32(what)
    if not length:
        return None
    start = reader.position
    padded = reader.take(length + -length % 4, what)
    text, _, padding = padded.partition(b"\0")
    if len(text) != length - 1 or padding.strip(b"\0"):
        raise InvalidMessage(
            f"{reader.name}: {what} at offset {start} has not its one terminator and zeros "
            f"after {length - 1} bytes"
        )
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidMessage(f"{reader.name}: {what} at offset {start} is not UTF-8") from None


def _write_text(text: str | None) -> bytes:
    if text is None:
        return _WORD.pack(0)
    data = text.encode() + b"\0"
    return _WORD.pack(len(data)) + data + bytes(-len(data) % 4)


def _read_basic(reader: Reader, flags: int) -> Basic:
    certificate_id, level, certificate_flags, number, digest, expiry, client_id = _BASIC.unpack(
        reader.take(_BASIC.size, "fields")
    )
    kind = _TYPES.get(number)
    if kind is None:
        raise InvalidMessage(f"{reader.name}: type is {number}, expected 1 to {max(_TYPES)}")
    return Basic(
        certificate_id, level, certificate_flags, kind, digest, expiry, client_id, flags=flags
    )


def _write_basic(basic: Basic) -> bytes:
    return _BASIC.pack(
        basic.certificate_id,
        basic.security_level,
        basic.certificate_flags,
        basic.type,
        basic.key_digest,
        basic.expiry,
        basic.client_id,
    )


def _read_domain(reader: Reader, flags: int) -> Domain:
    return Domain(
        service_id=ServiceId(reader.take(GUID_LENGTH, "service id")),
        account_id=AccountId(reader.take(GUID_LENGTH, "account id")),
        revision=reader.u32("revision"),
        url=_read_text(reader, "URL"),
        flags=flags,
    )


def _write_domain(domain: Domain) -> bytes:
    return b"".join(
        (
            domain.service_id.raw,
            domain.account_id.raw,
            _WORD.pack(domain.revision),
            _write_text(domain.url),
        )
    )


def _read_features(reader: Reader, flags: int) -> Features:
    count = reader.u32("count")
    if count > MAX_FEATURES:
        raise InvalidMessage(f"{reader.name}: count is {count}, expected at most {MAX_FEATURES}")
    values = reader.u32s(count, "values")
    return Features(tuple(_FEATURES.get(value, value) for value in values), flags=flags)


def _write_features(features: Features) -> bytes:
    return _write_numbers(features.values)


def _write_numbers(values: tuple[int, ...]) -> bytes:
    return struct.pack(f">{1 + len(values)}I", len(values), *values)


def _read_keys(reader: Reader, flags: int) -> Keys:
    count = reader.u32("count")
    if not 0 < count <= reader.left // _KEY.size:
        raise InvalidMessage(
            f"{reader.name}: count is {count}, expected 1 to {reader.left // _KEY.size} "
            f"in {reader.left} bytes"
        )
    return Keys(tuple(_read_key(reader, index) for index in range(count)), flags=flags)


def _read_key(reader: Reader, index: int) -> Key:
    kind, bits, flags, key, count = _KEY.unpack(reader.take(_KEY.size, "key"))
    if (kind, bits) != (_KEY_TYPE_P256, _KEY_BITS):
        raise InvalidMessage(
            f"{reader.name}: key {index} has type {kind} and {bits} bits, expected "
            f"{_KEY_TYPE_P256} and {_KEY_BITS}"
        )
    usages = reader.u32s(count, "usages")
    return Key(PublicKey(key), tuple([_USAGES.get(usage, usage) for usage in usages]), flags)


def _write_keys(keys: Keys) -> bytes:
    return _WORD.pack(len(keys.keys)) + b"".join(_write_key(key) for key in keys.keys)


def _write_key(key: Key) -> bytes:
    head = _KEY.pack(_KEY_TYPE_P256, _KEY_BITS, key.flags, key.public.raw, len(key.usages))
    return head + struct.pack(f">{len(key.usages)}I", *key.usages)


def _read_manufacturer(reader: Reader, flags: int) -> Manufacturer:
    return Manufacturer(
        manufacturer_flags=reader.u32("flags"),
        name=_read_text(reader, "manufacturer name"),
        model_name=_read_text(reader, "model name"),
        model_number=_read_text(reader, "model number"),
        flags=flags,
    )


def _write_manufacturer(manufacturer: Manufacturer) -> bytes:
    return b"".join(
        (
            _WORD.pack(manufacturer.manufacturer_flags),
            _write_text(manufacturer.name),
            _write_text(manufacturer.model_name),
            _write_text(manufacturer.model_number),
        )
    )


def _read_signature(reader: Reader, flags: int) -> Signature:
    kind, size, signature, bits, key = _SIGNATURE.unpack(reader.take(_SIGNATURE.size, "fields"))
    # The signature does not cover this object's own head, so only one value is allowed.
    if (flags, kind, size, bits) != _SIGNATURE_CONSTANTS:
        raise InvalidMessage(
            f"{reader.name}: flags, type, size and length of the issuer key are "
            f"{(flags, kind, size, bits)}, expected {_SIGNATURE_CONSTANTS}"
        )
    return Signature(signature, PublicKey(key), flags=flags)


def _write_signature(signature: Signature) -> bytes:
    return _SIGNATURE.pack(
        _SIGNATURE_TYPE_P256,
        _SIGNATURE_SIZE,
        signature.signature,
        _KEY_BITS,
        signature.issuer_key.raw,
    )


def _read_metering(reader: Reader, flags: int) -> Metering:
    return Metering(
        metering_id=Mid(reader.take(GUID_LENGTH, "metering id")),
        url=_read_text(reader, "URL"),
        flags=flags,
    )


def _write_metering(metering: Metering) -> bytes:
    return metering.metering_id.raw + _write_text(metering.url)


def _read_extended_data(reader: Reader, flags: int) -> ExtendedData:
    body = reader.rest()
    objects = []
    position = 0
    while position < len(body):
        found, position = parse_object(body, position, len(body), reader.name, _NESTED)
        objects.append(found)
    return ExtendedData(tuple(objects), flags=flags)


def _write_extended_data(extended: ExtendedData) -> bytes:
    return b"".join(build_object(item) for item in extended.objects)


def _numbers(tag: int, kind: type[CertificateObject]) -> Layout:
    """Return the row of an object of u32 fields."""
    names = [item.name for item in fields(kind) if item.name != "flags"]
    layout = struct.Struct(f">{len(names)}I")

    def read(reader: Reader, flags: int) -> CertificateObject:
        return kind(*layout.unpack(reader.take(layout.size, "fields")), flags=flags)

    def write(item: CertificateObject) -> bytes:
        return layout.pack(*(getattr(item, name) for name in names))

    return Layout(tag, kind, read, write)


def _opaque(tag: int, kind: Callable[..., CertificateObject]) -> Layout:
    """Return the row of an object of unpublished form."""

    def read(reader: Reader, flags: int) -> CertificateObject:
        return kind(reader.rest(), flags=flags)

    return Layout(tag, kind, read, attrgetter("body"))  # type: ignore[arg-type]


TABLE: Final = (
    Layout(0x0001, Basic, _read_basic, _write_basic),
    Layout(0x0002, Domain, _read_domain, _write_domain),
    _numbers(0x0003, Pc),
    _numbers(0x0004, Device),
    Layout(0x0005, Features, _read_features, _write_features),
    Layout(0x0006, Keys, _read_keys, _write_keys),
    Layout(0x0007, Manufacturer, _read_manufacturer, _write_manufacturer),
    Layout(0x0008, Signature, _read_signature, _write_signature),
    _numbers(0x0009, Silverlight),
    Layout(0x000A, Metering, _read_metering, _write_metering),
    _opaque(0x000B, ExtendedDataSigningKey),
    Layout(0x000C, ExtendedData, _read_extended_data, _write_extended_data),
    _opaque(0x000D, ExtendedDataSignature),
    _opaque(0x000E, HardwareId),
    _numbers(0x000F, Server),
    _numbers(0x0010, SecurityVersion),
    _numbers(0x0011, SecurityVersion2),
)
"""All known objects."""

BY_TAG: Final = {layout.tag: layout for layout in TABLE}
BY_KIND: Final = {layout.kind: layout for layout in TABLE}
_NESTED: Final = {
    BY_KIND[kind].tag: BY_KIND[kind]
    for kind in (ExtendedDataSigningKey, ExtendedDataSignature, HardwareId)
}
"""The objects known inside the container; containers do not nest."""


def parse_object(
    data: bytes, start: int, end: int, name: str, table: Mapping[int, Layout] = BY_TAG
) -> tuple[CertificateObject, int]:
    """Return the object that begins at an offset, and the offset of its end.

    table: the objects known at this place, by tag.

    Raises InvalidMessage that names `name` and the offset for a length beyond `end`, an invalid
    body, and an unknown object that must be understood.
    """
    if end - start < _HEAD.size:
        raise InvalidMessage(f"{name}: {end - start} bytes at offset {start} are no object")
    flags, tag, length = _HEAD.unpack_from(data, start)
    if not _HEAD.size <= length <= end - start:
        raise InvalidMessage(
            f"{name}: object 0x{tag:04x} at offset {start} says {length} bytes, "
            f"expected {_HEAD.size} to {end - start}"
        )
    end = start + length
    body = data[start + _HEAD.size : end]
    layout = table.get(tag)
    if layout is None:
        return _keep_unknown(flags, tag, body, f"{name}: object 0x{tag:04x} at offset {start}"), end
    reader = Reader(body, layout.name)
    try:
        found = layout.read(reader, flags)
        reader.done()
    except InvalidMessage as error:
        # The full name is composed here only: valid objects never need it.
        raise InvalidMessage(f"{name}, object at offset {start}: {error.text}") from None
    return found, end


def _keep_unknown(flags: int, tag: int, body: bytes, name: str) -> Unknown:
    if flags & MUST_UNDERSTAND:
        raise InvalidMessage(f"{name} must be understood and is not known")
    return Unknown(tag, body, flags=flags)


def build_object(item: CertificateObject) -> bytes:
    """Return the object's bytes, head and body."""
    if isinstance(item, Unknown):
        tag, body = item.tag, item.body
    else:
        layout = BY_KIND[type(item)]
        tag, body = layout.tag, layout.write(item)
    return _HEAD.pack(item.flags, tag, _HEAD.size + len(body)) + body
