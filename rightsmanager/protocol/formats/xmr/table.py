"""The table of object types, with the coding of each class.

    container             objects one after the other
    numbers               big-endian, as the struct format in the table says
    GUID, data            16 bytes, then the rest of the body
    content key    0x0A   KID(16), key type u16, cipher u16, length u16, value
    device key     0x2A   curve u16 = 1 (P-256), length u16 = 64, key(64)
    uplink KID     0x3B   root KID(16), checksum type u16, checksum length u16, checksum
    signature      0x0B   type u16 = 1 (AES-CMAC), length u16 = 16, signature(16)

Objects of other types, also containers, are kept whole.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.formats.xmr.objects import Cipher, KeyType, XmrObject
from rightsmanager.protocol.wire import GUID_LENGTH, AccountId, Guid, Kid, Mid, Reader

HEAD: Final = struct.Struct(">HHI")
MAX_DEPTH: Final = 8
"""Maximum depth of containers; published licences need four levels."""

Read = Callable[[bytes, int], XmrObject]
"""Body and flags → object."""
Write = Callable[[Any], bytes]
"""Object → body."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One row: an object type, its class and the coding of its body."""

    object_type: int
    kind: type[XmrObject]
    read: Read | None
    """None for a container."""
    write: Write

    @property
    def name(self) -> str:
        """The object's name in refusals."""
        return self.kind.__name__


def parse_objects(data: bytes, start: int, end: int, depth: int = 1) -> tuple[XmrObject, ...]:
    """Return the objects that exactly fill the bytes between two offsets."""
    if depth > MAX_DEPTH:
        raise InvalidMessage(f"XMR: containers lie more than {MAX_DEPTH} deep at offset {start}")
    found = []
    while start < end:
        if end - start < HEAD.size:
            raise InvalidMessage(f"XMR: {end - start} bytes at offset {start} are no object")
        _, object_type, length = HEAD.unpack_from(data, start)
        if not HEAD.size <= length <= end - start:
            raise InvalidMessage(
                f"XMR: object 0x{object_type:04X} at offset {start} says {length} bytes, "
                f"expected {HEAD.size} to {end - start}"
            )
        found.append(_parse_object(data, start, start + length, depth))
        start += length
    return tuple(found)


def _parse_object(data: bytes, start: int, end: int, depth: int) -> XmrObject:
    flags, object_type, _ = HEAD.unpack_from(data, start)
    layout = BY_TYPE.get(object_type)
    if layout is None:
        return xmr.Unknown(object_type, data[start + HEAD.size : end], flags=flags)
    if layout.read is None:
        kind: Callable[..., XmrObject] = layout.kind
        return kind(parse_objects(data, start + HEAD.size, end, depth + 1), flags=flags)
    try:
        return layout.read(data[start + HEAD.size : end], flags)
    except struct.error:
        raise InvalidMessage(
            f"XMR: {layout.name} at offset {start} has {end - start} bytes, expected another length"
        ) from None


def build_objects(objects: tuple[XmrObject, ...]) -> bytes:
    """Return the concatenated bytes of the objects."""
    pieces: list[bytes] = []
    for item in objects:
        layout = _BY_KIND[item.__class__]
        try:
            body = layout.write(item)
            object_type = item.object_type if isinstance(item, xmr.Unknown) else layout.object_type
            pieces.append(HEAD.pack(item.flags, object_type, HEAD.size + len(body)))
            pieces.append(body)
        except struct.error as error:
            raise InvalidMessage(f"XMR: a field of {layout.name} does not fit: {error}") from None
    return b"".join(pieces)


def _container(object_type: int, kind: type[xmr.Container]) -> Layout:
    return Layout(object_type, kind, None, lambda item: build_objects(item.objects))


def _numbers(object_type: int, kind: type[XmrObject], form: str) -> Layout:
    """Return the layout of a class with numbers as fields."""
    make: Callable[..., XmrObject] = kind
    coder = struct.Struct(">" + form)
    names = [field.name for field in fields(kind) if field.name != "flags"]
    get = attrgetter(*names)

    def read(body: bytes, flags: int) -> XmrObject:
        return make(*coder.unpack(body), flags=flags)

    def write_one(item: XmrObject) -> bytes:
        return coder.pack(get(item))

    def write_several(item: XmrObject) -> bytes:
        return coder.pack(*get(item))

    return Layout(object_type, kind, read, write_one if len(names) == 1 else write_several)


def _guid(object_type: int, kind: type[XmrObject], name: str, guid: type[Guid]) -> Layout:
    """Return the layout of a class with a GUID as its only field."""
    make: Callable[..., XmrObject] = kind
    return Layout(
        object_type,
        kind,
        lambda body, flags: make(guid(body), flags=flags),
        lambda item: getattr(item, name).raw,
    )


def _explicit(object_type: int, kind: type[xmr.Explicit]) -> Layout:
    """Return the layout of a GUID with data."""

    def read(body: bytes, flags: int) -> XmrObject:
        return kind(Guid(body[:GUID_LENGTH]), body[GUID_LENGTH:], flags=flags)

    return Layout(object_type, kind, read, lambda item: item.id.raw + item.data)


def _read_nothing(body: bytes, flags: int) -> XmrObject:
    Reader(body, "XMR RealTimeExpiration").done()
    return xmr.RealTimeExpiration(flags=flags)


def _write_nothing(_: xmr.RealTimeExpiration) -> bytes:
    return b""


def _read_secure_stop_2_key(body: bytes, flags: int) -> XmrObject:
    return xmr.SecureStop2Key(body, flags=flags)


def _write_secure_stop_2_key(item: xmr.SecureStop2Key) -> bytes:
    return item.wrapped


_DOMAIN = struct.Struct(">16sI")


def _read_domain(body: bytes, flags: int) -> XmrObject:
    account_id, revision = _DOMAIN.unpack(body)
    return xmr.Domain(AccountId(account_id), revision, flags=flags)


def _write_domain(item: xmr.Domain) -> bytes:
    return _DOMAIN.pack(item.account_id.raw, item.revision)


def _read_source_ids(body: bytes, flags: int) -> XmrObject:
    ids = struct.unpack(f">{len(body) // 4}I", body)
    return xmr.RestrictedSourceIds(ids, flags=flags)


def _write_source_ids(item: xmr.RestrictedSourceIds) -> bytes:
    return struct.pack(f">{len(item.source_ids)}I", *item.source_ids)


_CONTENT_KEY = struct.Struct(">16sHHH")
_KEY_TYPES: Final = {int(number): number for number in KeyType}
_CIPHERS: Final = {int(number): number for number in Cipher}


def _read_content_key(body: bytes, flags: int) -> XmrObject:
    reader = Reader(body, "XMR ContentKey")
    kid = Kid(reader.take(GUID_LENGTH, "KID"))
    key_type, cipher = reader.u16("key type"), reader.u16("cipher")
    value = reader.take(reader.u16("length"), "value")
    reader.done()
    return xmr.ContentKey(
        kid,
        _KEY_TYPES.get(key_type, key_type),
        _CIPHERS.get(cipher, cipher),
        value,
        flags=flags,
    )


def _write_content_key(item: xmr.ContentKey) -> bytes:
    value = item.value
    return _CONTENT_KEY.pack(item.kid.raw, item.key_type, item.cipher, len(value)) + value


_P256: Final = 1
_DEVICE_KEY_HEAD: Final = struct.pack(">HH", _P256, xmr.DEVICE_KEY_LENGTH)


def _read_device_key(body: bytes, flags: int) -> XmrObject:
    reader = Reader(body, "XMR DeviceKey")
    reader.expect(_P256, reader.u16("curve"), "curve")
    reader.expect(xmr.DEVICE_KEY_LENGTH, reader.u16("length"), "length of the key")
    return xmr.DeviceKey(reader.rest(), flags=flags)


def _write_device_key(item: xmr.DeviceKey) -> bytes:
    return _DEVICE_KEY_HEAD + item.key


_UPLINK_KID = struct.Struct(">16sHH")


def _read_uplink_kid(body: bytes, flags: int) -> XmrObject:
    reader = Reader(body, "XMR UplinkKid")
    root_kid = Kid(reader.take(GUID_LENGTH, "root KID"))
    checksum_type = reader.u16("checksum type")
    checksum = reader.take(reader.u16("checksum length"), "checksum")
    reader.done()
    return xmr.UplinkKid(root_kid, checksum, checksum_type, flags=flags)


def _write_uplink_kid(item: xmr.UplinkKid) -> bytes:
    checksum = item.checksum
    return _UPLINK_KID.pack(item.root_kid.raw, item.checksum_type, len(checksum)) + checksum


_AES_CMAC: Final = 1
_SIGNATURE_HEAD: Final = struct.pack(">HH", _AES_CMAC, xmr.SIGNATURE_LENGTH)


def _read_signature(body: bytes, flags: int) -> XmrObject:
    reader = Reader(body, "XMR Signature")
    reader.expect(_AES_CMAC, reader.u16("type"), "type")
    reader.expect(xmr.SIGNATURE_LENGTH, reader.u16("length"), "length of the signature")
    return xmr.Signature(reader.rest(), flags=flags)


def _write_signature(item: xmr.Signature) -> bytes:
    return _SIGNATURE_HEAD + item.cmac


LAYOUTS: Final = (
    _container(0x0001, xmr.Outer),
    _container(0x0002, xmr.GlobalPolicy),
    _numbers(0x0034, xmr.SecurityLevel, "H"),
    _numbers(0x0033, xmr.EmbeddingBehavior, "H"),
    _numbers(0x0032, xmr.RevocationInfoVersion, "I"),
    _numbers(0x000D, xmr.RightsSettings, "H"),
    _numbers(0x0013, xmr.IssueDate, "I"),
    _numbers(0x0012, xmr.Expiration, "II"),
    _numbers(0x0030, xmr.ExpireAfterFirstPlay, "I"),
    Layout(0x0029, xmr.Domain, _read_domain, _write_domain),
    _guid(0x0016, xmr.Metering, "mid", Mid),
    _guid(0x005A, xmr.SecureStop, "mid", Mid),
    Layout(0x005C, xmr.SecureStop2Key, _read_secure_stop_2_key, _write_secure_stop_2_key),
    Layout(0x0055, xmr.RealTimeExpiration, _read_nothing, _write_nothing),
    _numbers(0x0050, xmr.RemovalDate, "I"),
    _numbers(0x0022, xmr.SourceId, "I"),
    Layout(0x0028, xmr.RestrictedSourceIds, _read_source_ids, _write_source_ids),
    _numbers(0x001A, xmr.GracePeriod, "I"),
    _explicit(0x002C, xmr.PolicyMetadata),
    _container(0x0004, xmr.PlaybackPolicy),
    _numbers(0x0005, xmr.OutputProtectionLevels, "5H"),
    _container(0x0007, xmr.ExplicitAnalogVideoProtections),
    _explicit(0x0008, xmr.ExplicitAnalogVideoProtection),
    _container(0x002E, xmr.ExplicitDigitalAudioProtections),
    _explicit(0x0031, xmr.ExplicitDigitalAudioProtection),
    _container(0x0058, xmr.ExplicitDigitalVideoProtections),
    _explicit(0x0059, xmr.ExplicitDigitalVideoProtection),
    _container(0x0036, xmr.PlayEnablers),
    _guid(0x0039, xmr.PlayEnabler, "id", Guid),
    _container(0x000E, xmr.CopyPolicy),
    _container(0x003C, xmr.CopyPolicy2),
    _container(0x003F, xmr.ExecutePolicy),
    _container(0x0041, xmr.ReadPolicy),
    _container(0x0009, xmr.KeyMaterial),
    Layout(0x000A, xmr.ContentKey, _read_content_key, _write_content_key),
    Layout(0x002A, xmr.DeviceKey, _read_device_key, _write_device_key),
    Layout(0x003B, xmr.UplinkKid, _read_uplink_kid, _write_uplink_kid),
    Layout(0x000B, xmr.Signature, _read_signature, _write_signature),
)
"""All known types in their order in licences."""

_UNKNOWN: Final = Layout(0, xmr.Unknown, None, attrgetter("body"))
BY_TYPE: Final = {layout.object_type: layout for layout in LAYOUTS}
_BY_KIND: Final = {layout.kind: layout for layout in (*LAYOUTS, _UNKNOWN)}
