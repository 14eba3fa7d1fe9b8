"""Shared parts of all formats: identifiers, big-endian fields, base64, namespaces.

Conventions (published in [MS-DTYP] for the GUID and in the formats' own pages for the rest):

    integer in a binary structure   big-endian, unsigned
    GUID in binary or base64        16 bytes, Microsoft mixed order
    GUID as text                    8-4-4-4-12 hexadecimal digits

Elements of messages have one spelling each. People paste others, which `Guid.parse` and
`parse_content_key` read. 32 hexadecimal digits of a GUID are its text without dashes: they are not
in the order of its bytes.
"""

import binascii
import hashlib
import re
import struct
import uuid
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from rightsmanager.errors import InvalidMessage

PROTOCOLS: Final = "http://schemas.microsoft.com/DRM/2007/03/protocols"
MESSAGES: Final = PROTOCOLS + "/messages"
PACKAGING: Final = PROTOCOLS + "/AcquirePackagingData/v1.0"
HEADER: Final = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"
XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
XMLENC: Final = "http://www.w3.org/2001/04/xmlenc#"

GUID_LENGTH: Final = 16
CONTENT_KEY_LENGTH: Final = 16
MAX_PROGRAM_LENGTH: Final = 1024
"""Characters in the name of a program."""
MAX_TRACK_LENGTH: Final = 64
_TRACK: Final = re.compile(rf"[a-z0-9_.+-]{{1,{MAX_TRACK_LENGTH}}}")
NEVER: Final = 0xFFFFFFFF
"""0xFFFFFFFF: no end date, in licences and certificates."""

_DIGITS = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{32})")
_HEX = re.compile("[0-9A-Fa-f]*")
_TO_STANDARD = str.maketrans("-_", "+/")
_GUID_TEXT = re.compile(
    r"\{?([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})\}?"
)


@dataclass(frozen=True, slots=True)
class Guid:
    """Sixteen bytes in the order of binary structures, with both spellings.

    Raises InvalidMessage for another length.
    """

    name: ClassVar[str] = "GUID"
    raw: bytes

    def __post_init__(self) -> None:
        """Refuse any other length."""
        if len(self.raw) != GUID_LENGTH:
            raise InvalidMessage(f"{self.name} has {len(self.raw)} bytes, expected {GUID_LENGTH}")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `8-4-4-4-12` hexadecimal digits, braces allowed."""
        match = _GUID_TEXT.fullmatch(text.strip())
        if match is None:
            raise InvalidMessage(f"{cls.name} {text[:64]!r} is not written 8-4-4-4-12")
        return cls(uuid.UUID(match[1]).bytes_le)

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Read base64 of the 16 bytes."""
        return cls(decode_base64(text, cls.name, GUID_LENGTH))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read any spelling that people paste.

        These are 8-4-4-4-12 digits with or without braces or `urn:uuid:`, 32 hexadecimal digits,
        and base64, standard or URL-safe, with or without padding.
        """
        compact = re.sub("(?i)^urn:uuid:", "", text.strip())
        match = _GUID_TEXT.fullmatch(compact) or _DIGITS.fullmatch(compact)
        if match is not None:
            return cls(uuid.UUID(match[1]).bytes_le)
        try:
            raw = parse_base64(compact, cls.name)
        except InvalidMessage:
            raw = b""
        if len(raw) != GUID_LENGTH:
            raise InvalidMessage(
                f"{cls.name} is {text[:64]!r}, expected a GUID (8-4-4-4-12 or 32 hexadecimal "
                f"digits) or base64 of its {GUID_LENGTH} bytes"
            )
        return cls(raw)

    @property
    def text(self) -> str:
        """The `8-4-4-4-12` spelling, in lower case."""
        return str(uuid.UUID(bytes_le=self.raw))

    @property
    def base64(self) -> str:
        """The spelling of XML elements."""
        return encode_base64(self.raw)

    @property
    def swapped(self) -> Self:
        """The same GUID with its first three fields byte-swapped."""
        raw = self.raw
        # uuid takes 2 µs, and a licence needs it once.
        return type(self)(raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:])

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Kid(Guid):
    """Identifies a content key."""

    name: ClassVar[str] = "KID"


@dataclass(frozen=True, slots=True)
class Mid(Guid):
    """Identifies a metering service."""

    name: ClassVar[str] = "MID"


@dataclass(frozen=True, slots=True)
class AccountId(Guid):
    """Identifies the account of a domain."""

    name: ClassVar[str] = "AccountID"


@dataclass(frozen=True, slots=True)
class ServiceId(Guid):
    """Identifies the service that runs a domain."""

    name: ClassVar[str] = "DomainServiceID"


@dataclass(frozen=True, slots=True)
class TransactionId(Guid):
    """Identifies a transaction, which a client may repeat."""

    name: ClassVar[str] = "TransactionID"


@dataclass(frozen=True, slots=True)
class SessionId(Guid):
    """Identifies a session of playback or of deleting licences."""

    name: ClassVar[str] = "SessionID"


def encode_base64(data: bytes) -> str:
    """Return canonical base64 without line breaks."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_base64(text: str | bytes, name: str, length: int | None = None) -> bytes:
    """Return the bytes of canonical base64, ignoring white space.

    Raises InvalidMessage that names `name` for other characters, missing padding, stray bits after
    the last byte, and, where `length` is given, another number of bytes.
    """
    compact = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        try:
            data = binascii.a2b_base64(compact, strict_mode=True)
        except ValueError:
            compact = b"".join(compact.split())
            data = binascii.a2b_base64(compact, strict_mode=True)
    except ValueError as error:
        raise InvalidMessage(f"{name} is not base64: {error}") from None
    # Strict mode accepts stray bits after the last byte and more padding than needed.
    tail = len(data) % 3
    if compact.endswith(b"=") and not (
        tail
        and len(compact) == 4 * (len(data) // 3) + 4
        and compact.endswith(binascii.b2a_base64(data[-tail:], newline=False))
    ):
        raise InvalidMessage(f"{name} is not canonical base64: its last characters say more")
    if length is not None and len(data) != length:
        raise InvalidMessage(f"{name} has {len(data)} bytes, expected {length}")
    return data


def parse_base64(text: str, name: str) -> bytes:
    """Return the bytes of standard or URL-safe base64 with or without padding.

    Raises InvalidMessage that names `name`.
    """
    bare = "".join(text.split()).rstrip("=").translate(_TO_STANDARD)
    return decode_base64(bare + "=" * (-len(bare) % 4), name)


def parse_octets(text: str, name: str, length: int) -> bytes:
    """Return bytes of hexadecimal digits or of base64 as `parse_base64` reads it.

    Raises InvalidMessage that names `name` and quotes the text.
    """
    compact = text.strip()
    try:
        # bytes.fromhex() would pass over blanks and return fewer bytes.
        is_hex = len(compact) == 2 * length and _HEX.fullmatch(compact) is not None
        data = bytes.fromhex(compact) if is_hex else parse_base64(compact, name)
    except InvalidMessage:
        data = b""
    if len(data) != length:
        raise InvalidMessage(
            f"{name} is {compact[: 2 * length]!r}, expected {length} bytes in hexadecimal digits "
            "or base64"
        )
    return data


def find_track(text: str) -> str | None:
    """Return the track that a text names, in lower case; None if it cannot be a name."""
    track = text.strip().lower()
    return track if _TRACK.fullmatch(track) else None


def parse_track(text: str) -> str:
    """Return the track that a text names, in lower case; raises InvalidMessage."""
    track = find_track(text)
    if track is None:
        raise InvalidMessage(
            f"the track is {text[:64]!r}, expected 1 to {MAX_TRACK_LENGTH} letters, digits and _.+-"
        )
    return track


def parse_content_key(text: str, name: str) -> bytes:
    """Return the 16 bytes of a key in any spelling that people paste.

    These are 32 hexadecimal digits and base64, standard or URL-safe, with or without padding.
    Raises InvalidMessage that names `name` and the spellings, and does not quote the key.
    """
    compact = text.strip()
    match = _DIGITS.fullmatch(compact)
    if match is not None:
        return bytes.fromhex(match[1])
    try:
        data = parse_base64(compact, name)
    except InvalidMessage:
        data = b""
    if len(data) != CONTENT_KEY_LENGTH:
        raise InvalidMessage(
            f"{name} has {len(compact)} characters, expected 32 hexadecimal digits or base64 of "
            f"{CONTENT_KEY_LENGTH} bytes"
        )
    return data


def fingerprint(point: bytes) -> str:
    """Return the short text by which people compare public keys of 64 bytes.

    It is `SHA256:` and the SHA-256 in base64.
    """
    return "SHA256:" + encode_base64(hashlib.sha256(point).digest()).rstrip("=")


class Reader:
    """A cursor over received bytes that checks each step.

    `name` is the name of the structure in refusals.
    """

    __slots__ = ("_data", "_end", "_position", "name")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._position = 0
        self._end = len(data)
        self.name = name

    @property
    def position(self) -> int:
        """The offset of the next byte from the start of the data."""
        return self._position

    @property
    def left(self) -> int:
        """The number of bytes left ."""
        return self._end - self._position

    def take(self, length: int, field: str) -> bytes:
        """Return the next `length` bytes."""
        if length > self._end - self._position:
            raise InvalidMessage(
                f"{self.name}: {field} at offset {self._position} needs {length} bytes, "
                f"{self.left} are left"
            )
        start = self._position
        self._position = start + length
        return self._data[start : self._position]

    def u16(self, field: str) -> int:
        """Return the next two bytes as a number."""
        return int.from_bytes(self.take(2, field), "big")

    def u32(self, field: str) -> int:
        """Return the next four bytes as a number."""
        return int.from_bytes(self.take(4, field), "big")

    def u32s(self, count: int, field: str) -> tuple[int, ...]:
        """Return the next `count` four-byte numbers."""
        return struct.unpack(f">{count}I", self.take(4 * count, field))

    def expect(self, value: int, actual: int, field: str) -> None:
        """Refuse another value of a field than the expected one."""
        if value != actual:
            raise InvalidMessage(f"{self.name}: {field} is {actual}, expected {value}")

    def rest(self) -> bytes:
        """Return the bytes left ."""
        return self.take(self.left, "rest")

    def done(self) -> None:
        """Refuse bytes after the end."""
        if self.left:
            raise InvalidMessage(f"{self.name}: {self.left} bytes follow its end")
