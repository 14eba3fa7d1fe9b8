"""The types of parameters' values: each reads a ParsedValue and writes one.

    boolean        true, false                           legacy 1, 0
    number         decimal digits
    date           yyyymmdd or yyyymmddhhmmss, UTC       legacy mm/dd/yyyy or mm/dd/yyyy hh:mm:ss
                   +SECONDS, -SECONDS or a duration      legacy the same
                   such as P1D or -PT5M
    GUID           8-4-4-4-12 or base64 of 16 bytes
    resolution     WIDTHxHEIGHT
    status code    0x8004c065 or 8004C065

Types with brackets are in `structures`.

Source: the public test server's pages on its query string and its legacy syntax.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rightsmanager.errors import InvalidMessage, StatusCode
from rightsmanager.policy.parsed_values import ParsedValue
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.wire import (
    CONTENT_KEY_LENGTH,
    NEVER,
    Guid,
    Kid,
    encode_base64,
    parse_base64,
    parse_content_key,
)

U16: Final = 0xFFFF
U32: Final = 0xFFFFFFFF
HEADER: Final = "header"
"""The value of `kid` for every KID of the challenge's header."""


# The caller turns it into a refusal, which needs the parameter's name.
class InvalidValue(ValueError):  # noqa: N818 -- never raised outside this part
    """A value is not of its type."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """Reader and writer of the legacy spelling, where it differs from the others."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    expected: str


@dataclass(frozen=True, slots=True)
class ValueType:
    """One type of value: its description in refusals, its reader and its writer."""

    expected: str
    read: Callable[[ParsedValue], Any]
    write: Callable[[Any], ParsedValue]
    legacy: Legacy | None = None
    secret: bool = False
    """True if refusals must not quote values."""


def require_text(value: ParsedValue) -> str:
    """Return a value that is text; raises InvalidValue."""
    if not isinstance(value, str):
        raise InvalidValue
    return value


# --- plain values ---------------------------------------------------------------------------------

_BOOLEANS: Final = {"true": True, "false": False}
_ONE_ZERO: Final = {"1": True, "0": False}


def read_boolean(value: ParsedValue) -> bool:
    """Return the meaning of true or false in any letter case; raises InvalidValue."""
    try:
        return _BOOLEANS[require_text(value).lower()]
    except KeyError:
        raise InvalidValue from None


def write_boolean(value: bool) -> str:  # noqa: FBT001 -- the value itself
    """Return the word true or false."""
    return "true" if value else "false"


def _read_one_zero(text: str) -> bool:
    return _ONE_ZERO[text] if text in _ONE_ZERO else read_boolean(text)


BOOLEAN: Final = ValueType(
    "true or false",
    read_boolean,
    write_boolean,
    Legacy(_read_one_zero, lambda value: "1" if value else "0", "1 or 0"),
)
FLAG: Final = ValueType(
    "nothing, true or false",
    lambda value: value == "" or read_boolean(value),
    lambda value: "" if value else "false",
)

_DIGITS: Final = re.compile(r"[0-9]{1,10}")


def read_number(value: ParsedValue, least: int, most: int) -> int:
    """Return the number of decimal digits within a range; raises InvalidValue."""
    if not _DIGITS.fullmatch(require_text(value)) or not least <= int(require_text(value)) <= most:
        raise InvalidValue
    return int(require_text(value))


def number(least: int, most: int, unit: str = "") -> ValueType:
    """Return the type of numbers from `least` to `most`, both included."""
    return ValueType(
        f"a number from {least} to {most}{unit}", lambda value: read_number(value, least, most), str
    )


def one_of(*values: int) -> ValueType:
    """Return the type of a few numbers."""
    *others, last = map(str, values)

    def read(value: ParsedValue) -> int:
        number = read_number(value, min(values), max(values))
        if number not in values:
            raise InvalidValue
        return number

    return ValueType(f"{', '.join(others)} or {last}", read, str)


def word(words: Mapping[str, Any]) -> ValueType:
    """Return the type of words by value; the first word of each value is written."""
    written: dict[Any, str] = {}
    for each, value in words.items():
        written.setdefault(value, each)

    def read(value: ParsedValue) -> object:
        if require_text(value).lower() not in words:
            raise InvalidValue
        return words[require_text(value).lower()]

    *others, last = words
    expected = f"{', '.join(others)} or {last}" if others else last
    return ValueType(expected, read, lambda value: written[value])


# --- status codes ---------------------------------------------------------------------------------

_STATUS_CODE: Final = re.compile(r"(?:0x)?([0-9a-f]{8})", re.IGNORECASE)
_KNOWN_STATUS: Final = {status.value: status for status in StatusCode}


def _read_status(value: ParsedValue) -> StatusCode:
    match = _STATUS_CODE.fullmatch(require_text(value))
    if match is None or int(match[1], 16) not in _KNOWN_STATUS:
        raise InvalidValue
    return _KNOWN_STATUS[int(match[1], 16)]


STATUS: Final = ValueType(
    f"one of {', '.join(status.hex for status in StatusCode)}", _read_status, lambda code: code.hex
)

# --- dates ----------------------------------------------------------------------------------------

_DATE: Final = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2}))?", re.ASCII
)
_US_DATE: Final = re.compile(
    r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?:[ +]([0-9]{1,2}):([0-9]{2}):([0-9]{2}))?"
)


def _seconds(year: str, month: str, day: str, *time: str | None) -> int:
    hour, minute, second = (int(part or 0) for part in time)
    try:
        moment = datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise InvalidValue from None
    seconds = int(moment.timestamp())
    if not 0 <= seconds < NEVER:
        raise InvalidValue
    return seconds


@dataclass(frozen=True, slots=True)
class RelativeTime:
    """A date relative to the time of the request."""

    seconds: int

    def at(self, now: int) -> int | None:
        """Return the date in Unix seconds, None outside of the range that licences have."""
        return now + self.seconds if 0 <= now + self.seconds < NEVER else None

    def __str__(self) -> str:
        return f"{self.seconds:+d}"


@dataclass(frozen=True, slots=True)
class ClientTime:
    """The time of the client's clock."""

    def __str__(self) -> str:
        return CLIENT


CLIENT: Final = "client"
"""The value of `begindate` for the client's clock."""
Date = int | RelativeTime
"""Unix seconds, or a relative time."""

_OFFSET: Final = re.compile(r"([+-])([0-9]{1,10})", re.ASCII)
_DURATION: Final = re.compile(r"([+-]?)(P.+)", re.ASCII | re.IGNORECASE)


def _read_relative_time(text: str) -> RelativeTime | None:
    match = _OFFSET.fullmatch(text)
    if match is not None:
        return RelativeTime(int(match[0]))
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    try:
        seconds = int(parse_duration(match[2].upper(), "value").seconds)
    except InvalidMessage:
        raise InvalidValue from None
    return RelativeTime(-seconds if match[1] == "-" else seconds)


def _read_date(value: ParsedValue) -> Date:
    text = require_text(value)
    relative = _read_relative_time(text)
    if relative is not None:
        return relative
    match = _DATE.fullmatch(text)
    if match is None:
        raise InvalidValue
    year, month, day, *time = match.groups()
    return _seconds(year, month, day, *time)


def _write_date(value: Date) -> str:
    if isinstance(value, RelativeTime):
        return str(value)
    moment = datetime.fromtimestamp(value, UTC)
    return moment.strftime("%Y%m%d%H%M%S").removesuffix("000000")


def _read_us_date(text: str) -> Date:
    relative = _read_relative_time(text)
    if relative is not None:
        return relative
    match = _US_DATE.fullmatch(text)
    if match is None:
        raise InvalidValue
    month, day, year, *time = match.groups()
    return _seconds(year, month, day, *time)


def _write_us_date(value: Date) -> str:
    if isinstance(value, RelativeTime):
        return str(value)
    moment = datetime.fromtimestamp(value, UTC)
    return moment.strftime("%m/%d/%Y %H:%M:%S").removesuffix(" 00:00:00")


_RELATIVE: Final = "+SECONDS, -SECONDS or a duration such as P1D"
_US_EXPECTED: Final = f"a date mm/dd/yyyy or mm/dd/yyyy hh:mm:ss, {_RELATIVE}"
DATE: Final = ValueType(
    f"a date yyyymmdd or yyyymmddhhmmss in UTC, from 1970 to 2106, {_RELATIVE}",
    _read_date,
    _write_date,
    Legacy(_read_us_date, _write_us_date, _US_EXPECTED),
)


def _or_client(read: Callable[[str], Any]) -> Callable[[ParsedValue], Any]:
    def read_either(value: ParsedValue) -> object:
        text = require_text(value)
        return ClientTime() if text.lower() == CLIENT else read(text)

    return read_either


def _write_either(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: CLIENT if isinstance(value, ClientTime) else write(value)


DATE_OR_CLIENT: Final = ValueType(
    f"{CLIENT}, or {DATE.expected}",
    _or_client(_read_date),
    _write_either(_write_date),
    Legacy(
        _or_client(_read_us_date),
        _write_either(_write_us_date),
        f"{CLIENT}, or {_US_EXPECTED}",
    ),
)

# --- bytes and GUIDs ------------------------------------------------------------------------------

_LENIENT: Final = re.compile(r"([A-Za-z0-9+/]*)={0,2}")


def decode_lenient(text: str) -> bytes:
    """Return the bytes of base64 with any padding and last bits; raises InvalidValue."""
    match = _LENIENT.fullmatch(text)
    if match is None or len(match[1]) % 4 == 1:
        raise InvalidValue
    return binascii.a2b_base64(match[1] + "=" * (-len(match[1]) % 4))


def _read_bytes(value: ParsedValue, least: int, most: int) -> bytes:
    text = require_text(value)
    try:
        is_key = most == CONTENT_KEY_LENGTH
        data = parse_content_key(text, "value") if is_key else parse_base64(text, "value")
    except InvalidMessage:
        raise InvalidValue from None
    if not least <= len(data) <= most:
        raise InvalidValue
    return data


def key(least: int, most: int, expected: str) -> ValueType:
    """Return the type of secret bytes in base64."""
    return ValueType(
        f"base64 of {expected}",
        lambda value: _read_bytes(value, least, most),
        encode_base64,
        secret=True,
    )


def read_guid(value: ParsedValue, guid_type: type[Guid]) -> Guid:
    """Return a GUID in either spelling; raises InvalidValue."""
    try:
        return guid_type.parse(require_text(value))
    except InvalidMessage:
        raise InvalidValue from None


def _write_guid(value: Guid) -> str:
    return value.text


def guid(guid_type: type[Guid]) -> ValueType:
    """Return the type of a GUID in either spelling."""
    return ValueType(
        "a GUID or base64 of its 16 bytes", lambda value: read_guid(value, guid_type), _write_guid
    )


def _read_header_or_kid(value: ParsedValue) -> str | Guid:
    return HEADER if require_text(value).lower() == HEADER else read_guid(value, Kid)


KID: Final = ValueType(
    "header, a GUID or base64 of its 16 bytes",
    _read_header_or_kid,
    lambda value: HEADER if value == HEADER else _write_guid(value),
)

# --- resolutions ----------------------------------------------------------------------------------

_RESOLUTION: Final = re.compile(r"([0-9]{1,10})x([0-9]{1,10})", re.IGNORECASE)


def _read_resolution(value: ParsedValue) -> tuple[int, int]:
    match = _RESOLUTION.fullmatch(require_text(value))
    if match is None:
        raise InvalidValue
    return read_number(match[1], 1, U32), read_number(match[2], 1, U32)


RESOLUTION: Final = ValueType(
    "WIDTHxHEIGHT, such as 1920x1080", _read_resolution, lambda value: f"{value[0]}x{value[1]}"
)
