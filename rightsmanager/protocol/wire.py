"""What all formats share: identifiers, big-endian fields, base64, namespaces.

Conventions (published in [MS-DTYP] for the GUID and in the formats' own pages for the rest):

    integer in a binary structure   big-endian, unsigned
    GUID in binary or base64        16 bytes, Microsoft mixed order
    GUID as text                    8-4-4-4-12 hexadecimal digits
"""

import binascii
import re
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
NEVER: Final = 0xFFFFFFFF
"""The date that never comes, in licences and certificates."""

_GUID_TEXT = re.compile(
    r"\{?([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})\}?"
)


@dataclass(frozen=True, slots=True)
class Guid:
    """Sixteen bytes in the order of binary structures, with both spellings.

    Raises InvalidMessage unless it is given exactly 16 bytes.
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
        """Read either spelling."""
        return cls.from_text(text) if _GUID_TEXT.fullmatch(text.strip()) else cls.from_base64(text)

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
        """The one that is meant where the two orders of bytes were mistaken for each other."""
        return type(self)(uuid.UUID(bytes=self.raw).bytes_le)

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
    """Identifies a transaction that may be sent again."""

    name: ClassVar[str] = "TransactionID"


@dataclass(frozen=True, slots=True)
class SessionId(Guid):
    """Identifies a session of playback, or one of deleting licences."""

    name: ClassVar[str] = "SessionID"


def encode_base64(data: bytes) -> str:
    """Return canonical base64 without line breaks."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_base64(text: str | bytes, name: str, length: int | None = None) -> bytes:
    """Return the bytes of canonical base64; white space in and around it is allowed.

    Raises InvalidMessage, which says `name`, for other characters, missing padding, stray bits
    after the last byte, and for any other length than `length` bytes where one is given.
    """
    compact = text.encode() if isinstance(text, str) else text
    try:
        try:
            data = binascii.a2b_base64(compact, strict_mode=True)
        except ValueError:
            compact = b"".join(compact.split())
            data = binascii.a2b_base64(compact, strict_mode=True)
    except ValueError as error:
        raise InvalidMessage(f"{name} is not base64: {error}") from None
    # Strict mode looks neither at the bits after the last byte nor at more padding than needed.
    if compact.endswith(b"=") and not _is_end_of(data, compact):
        raise InvalidMessage(f"{name} is not canonical base64: its last characters say more")
    if length is not None and len(data) != length:
        raise InvalidMessage(f"{name} has {len(data)} bytes, expected {length}")
    return data


def _is_end_of(data: bytes, text: bytes) -> bool:
    """Return whether padded base64 is as long as the data's, and ends like it."""
    groups, rest = divmod(len(data), 3)
    end = binascii.b2a_base64(data[3 * groups :], newline=False)
    return rest > 0 and len(text) == 4 * groups + 4 and text.endswith(end)


class Reader:
    """A cursor over received bytes whose every step is checked.

    `name` is what is being read, for the text of a refusal.
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
        """How many bytes are left in the current block."""
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
        """Refuse a field that can only have one value."""
        if value != actual:
            raise InvalidMessage(f"{self.name}: {field} is {actual}, expected {value}")

    def rest(self) -> bytes:
        """Return all that is left in the current block."""
        return self.take(self.left, "rest")

    @contextmanager
    def block(self, length: int, field: str) -> Iterator[None]:
        """Confine reading to the next `length` bytes, all of which must be read."""
        if length > self.left:
            raise InvalidMessage(
                f"{self.name}: {field} at offset {self._position} says {length} bytes, "
                f"{self.left} are left"
            )
        outer, self._end = self._end, self._position + length
        yield
        if self.left:
            raise InvalidMessage(f"{self.name}: {self.left} bytes too many in {field}")
        self._end = outer

    def done(self) -> None:
        """Refuse bytes after the end."""
        if self.left:
            raise InvalidMessage(f"{self.name}: {self.left} bytes follow its end")
