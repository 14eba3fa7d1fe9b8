"""Readers of the values in a fault's JSON: each returns the canonical spelling, or refuses.

Canonical values are texts, numbers and booleans, so that a fault is stored as it was read.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Final

from rightsmanager.errors import InvalidMessage, Refusal, StatusCode
from rightsmanager.protocol.wire import AccountId, Guid, Kid, ServiceId, encode_base64, parse_base64

Value = str | int | float | bool
"""A value as JSON has it."""
Read = Callable[[str, object], Value]
"""Takes the name and the value; raises InvalidMessage."""

DIGEST_LENGTH: Final = 32
MAX_QUOTED: Final = 64
_FAILURE: Final = 0x80000000
"""The first of the failures among HRESULTs."""
_MAX_HRESULT: Final = 0xFFFFFFFF
_NO_HALVES: Final = re.compile("[^\\0\\ud800-\\udfff]*")
"""Texts that UTF-8 and every database can hold."""
_HRESULT: Final = re.compile(r"0x[0-9A-Fa-f]{1,8}")


def quoted(value: object) -> str:
    """Return a value for a refusal's text, shortened."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def refusal(name: str, value: object, expected: str) -> InvalidMessage:
    """Return the refusal of a value."""
    return InvalidMessage(f"{name} is {quoted(value)}, expected {expected}")


def text(longest: int) -> Read:
    """Return a reader of texts of at most so many characters."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or len(value) > longest or not _NO_HALVES.fullmatch(value):
            raise refusal(name, value, f"a text of at most {longest} Unicode characters")
        return value

    return read


def header(name: str, value: object) -> str:
    """Read the value of an HTTP header."""
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e][\x20-\x7e]{0,1999}", value):
        raise refusal(name, value, "a text of 1 to 2000 printable ASCII characters")
    return value


def whole(least: int, most: int) -> Read:
    """Return a reader of integers in a range."""

    def read(name: str, value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise refusal(name, value, f"an integer from {least} to {most}")
        return value

    return read


def number(least: float, most: float) -> Read:
    """Return a reader of numbers in a range."""

    def read(name: str, value: object) -> float:
        # Compared in this order, NaN is refused.
        if type(value) not in (int, float) or not least <= float(str(value)) <= most:
            raise refusal(name, value, f"a number from {least:g} to {most:g}")
        return float(str(value))

    return read


def boolean(name: str, value: object) -> bool:
    """Read a boolean."""
    if not isinstance(value, bool):
        raise refusal(name, value, "true or false")
    return value


def one_of(*choices: str) -> Read:
    """Return a reader of one of some texts."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise refusal(name, value, f"one of {', '.join(choices)}")
        return value

    return read


def status(name: str, value: object) -> str:
    """Read a status code: `0x8004c600`, its number, or its name in `errors.StatusCode`."""
    expected = "a failure such as 0x8004c600, its number, or a name such as RENEW_DOMAIN"
    code = value
    if isinstance(value, str):
        if value.upper() in StatusCode.__members__:
            return StatusCode[value.upper()].hex
        code = int(value, 16) if _HRESULT.fullmatch(value) else None
    if type(code) is not int or not _FAILURE <= code <= _MAX_HRESULT:
        raise refusal(name, value, expected)
    return f"0x{code:08x}"


def http_status(name: str, value: object) -> int:
    """Read the status code of a final HTTP reply."""
    # 200 to 599; a reply with 204, 205 or 304 has no body, which `altering` observes.
    return int(whole(200, 599)(name, value))


def guid(kind: type[Guid]) -> Read:
    """Return a reader of GUIDs in any spelling, as text."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str):
            raise refusal(name, value, "a GUID or base64 of its 16 bytes")
        try:
            return kind.parse(value).text
        except Refusal as error:
            raise InvalidMessage(f"{name}: {error.text}") from None

    return read


kid: Final = guid(Kid)
account: Final = guid(AccountId)
service: Final = guid(ServiceId)


def device(name: str, value: object) -> str:
    """Read a device id: SHA-256 in 64 hexadecimal digits or base64; the id in base64."""
    expected = f"a device id: {DIGEST_LENGTH} bytes in hexadecimal digits or base64"
    if not isinstance(value, str):
        raise refusal(name, value, expected)
    try:
        is_hex = len(value) == 2 * DIGEST_LENGTH
        raw = bytes.fromhex(value) if is_hex else parse_base64(value, name)
    except (InvalidMessage, ValueError):
        raw = b""
    if len(raw) != DIGEST_LENGTH:
        raise refusal(name, value, expected)
    return encode_base64(raw)


def base64(longest: int) -> Read:
    """Return a reader of base64 of at most so many bytes."""

    def read(name: str, value: object) -> str:
        try:
            data = b64decode(value, validate=True) if isinstance(value, str) else None
        except (Base64Error, ValueError):
            data = None
        if data is None or len(data) > longest:
            raise refusal(name, value, f"base64 of at most {longest} bytes")
        return encode_base64(data)

    return read
