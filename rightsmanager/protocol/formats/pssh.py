"""The PlayReady Object, and the PSSH box that carries it in an MP4 file.

    object  little-endian: length u32 with this field, record count u16, records
    record  little-endian: type u16 (1 WRMHEADER in UTF-16-LE, 3 embedded licence store),
            length u16 of the value alone, value
    box     ISO BMFF, big-endian: length u32 with this field, "pssh", version u8 = 0 or 1,
            flags u24 = 0, system id(16), version 1 only: KID count u32 and KIDs (16 each),
            length u32, PlayReady Object

The system id and the KIDs of a box have the byte order of a GUID's text, unlike all other GUIDs of
PlayReady. Records of other types are kept.

Source: the published PlayReady Header Specification, and ISO/IEC 23001-7 for the box.
"""

import struct
import uuid
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.wrmheader import Header, build_header, parse_header
from rightsmanager.protocol.wire import GUID_LENGTH, Kid, Reader

SYSTEM_ID: Final = uuid.UUID("9a04f079-9840-4286-ab92-e65be0885f95")
MAX_BYTES: Final = 15 * 1024
"""Maximum length of a PlayReady Object."""

WRMHEADER: Final = 1
EMBEDDED_LICENSE_STORE: Final = 3

_OBJECT: Final = struct.Struct("<IH")
_RECORD: Final = struct.Struct("<HH")
_BOX: Final = struct.Struct(">I4sI16s")
_COUNT: Final = struct.Struct(">I")
_VERSIONS: Final = (0, 1)
_UTF16_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a PlayReady Object, its value at most 65,535 bytes."""

    record_type: int
    value: bytes


@dataclass(frozen=True, slots=True)
class PlayReadyObject:
    """A PlayReady Object: its records in order."""

    records: tuple[Record, ...]

    def find(self, record_type: int) -> bytes | None:
        """Return the value of the first record of a type, None if there is none."""
        return next((r.value for r in self.records if r.record_type == record_type), None)

    @property
    def header(self) -> Header:
        """The header; raises InvalidMessage if it is missing or invalid."""
        value = self.find(WRMHEADER)
        if value is None:
            raise InvalidMessage("PlayReady Object has no record of type 1, the WRMHEADER")
        return parse_header(value)


@dataclass(frozen=True, slots=True)
class Pssh:
    """A PSSH box of PlayReady's system id; version 0 has no KIDs."""

    object: PlayReadyObject
    kids: tuple[Kid, ...] = ()
    version: int = 0

    def __post_init__(self) -> None:
        """Refuse unknown versions, and KIDs in version 0."""
        if self.version not in _VERSIONS:
            raise InvalidMessage(f"PSSH: version is {self.version}, expected 0 or 1")
        if self.kids and self.version == 0:
            raise InvalidMessage(f"PSSH: version 0 has {len(self.kids)} KIDs, expected none")


def object_of(header: Header) -> PlayReadyObject:
    """Return an object with this header as its only record."""
    text = build_header(header).removeprefix(_UTF16_BOM)
    return PlayReadyObject((Record(WRMHEADER, text.encode("utf-16-le")),))


def parse_object(data: bytes) -> PlayReadyObject:
    """Return the PlayReady Object; `build_object` returns the same bytes.

    Raises InvalidMessage for more than 15 KiB, wrong lengths and bytes after the end.
    """
    _expect_size(len(data))
    reader = Reader(data, "PlayReady Object")
    length, count = _OBJECT.unpack(reader.take(_OBJECT.size, "length and record count"))
    reader.expect(len(data), length, "length")
    records = tuple(_parse_record(reader) for _ in range(count))
    reader.done()
    return PlayReadyObject(records)


def build_object(playready_object: PlayReadyObject) -> bytes:
    """Return the object's bytes, at most 15 KiB."""
    body = b"".join(map(_build_record, playready_object.records))
    length = _OBJECT.size + len(body)
    _expect_size(length)
    return _OBJECT.pack(length, len(playready_object.records)) + body


def _parse_record(reader: Reader) -> Record:
    record_type, length = _RECORD.unpack(reader.take(_RECORD.size, "record"))
    return Record(record_type, reader.take(length, "record value"))


def _build_record(record: Record) -> bytes:
    try:
        return _RECORD.pack(record.record_type, len(record.value)) + record.value
    except struct.error as error:
        raise InvalidMessage(f"PlayReady Object: a record does not fit: {error}") from None


def _expect_size(length: int) -> None:
    if length > MAX_BYTES:
        raise InvalidMessage(f"PlayReady Object has {length} bytes, expected at most {MAX_BYTES}")


def parse_pssh(data: bytes) -> Pssh:
    """Return the PSSH box; `build_pssh` returns the same bytes.

    Raises InvalidMessage for another box, version or system id, flags, wrong lengths, and bytes
    after the end.
    """
    reader = Reader(data, "PSSH")
    length, name, version_and_flags, system_id = _BOX.unpack(reader.take(_BOX.size, "head"))
    if name != b"pssh":
        raise InvalidMessage(f"PSSH: the box is {name!r}, expected b'pssh'")
    reader.expect(len(data), length, "length")
    if system_id != SYSTEM_ID.bytes:
        found = uuid.UUID(bytes=system_id)
        raise InvalidMessage(f"PSSH: system id is {found}, expected PlayReady's {SYSTEM_ID}")
    version, flags = version_and_flags >> 24, version_and_flags & 0xFFFFFF
    reader.expect(0, flags, "flags")
    kids = _parse_kids(reader) if version else ()
    playready_object = parse_object(reader.take(reader.u32("length of the data"), "data"))
    reader.done()
    return Pssh(playready_object, kids, version)


def build_pssh(pssh: Pssh) -> bytes:
    """Return the box's bytes."""
    kids = _build_kids(pssh.kids) if pssh.version else b""
    data = build_object(pssh.object)
    length = _BOX.size + len(kids) + _COUNT.size + len(data)
    head = _BOX.pack(length, b"pssh", pssh.version << 24, SYSTEM_ID.bytes)
    return b"".join((head, kids, _COUNT.pack(len(data)), data))


def _parse_kids(reader: Reader) -> tuple[Kid, ...]:
    count = reader.u32("KID count")
    data = reader.take(GUID_LENGTH * count, "KIDs")
    return tuple(
        Kid(uuid.UUID(bytes=data[start : start + GUID_LENGTH]).bytes_le)
        for start in range(0, len(data), GUID_LENGTH)
    )


def _build_kids(kids: tuple[Kid, ...]) -> bytes:
    swapped = (uuid.UUID(bytes_le=kid.raw).bytes for kid in kids)
    return _COUNT.pack(len(kids)) + b"".join(swapped)
