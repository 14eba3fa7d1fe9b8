"""Facts from values: each type of field, and fields with a meaning of their own."""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.inspection import protections
from rightsmanager.inspection.description import Description
from rightsmanager.protocol.formats.bcert import objects as bcert
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.wire import NEVER, Guid, Kid, encode_base64, fingerprint

_SPELLINGS: Final = {"cmac": "CMAC", "kid": "KID", "mid": "MID", "pc": "PC", "url": "URL"}
_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z0-9])")
_LAST_DATE: Final = 253402300799
"""The last second of the year 9999, the end of Python's calendar."""


def words(name: str) -> str:
    """Return a class's or field's name as words."""
    parts = _WORD.sub("_", name).lower().split("_")
    return " ".join(_SPELLINGS.get(part, part) for part in parts)


def date(name: str, seconds: int) -> Description:
    """Return a date in Unix seconds."""
    return Description(name, seconds, time_text(seconds))


def time_text(seconds: int) -> str | None:
    """Return a date as ISO 8601 in UTC, or None after the end of the calendar."""
    if seconds == NEVER:
        return "never"
    if seconds > _LAST_DATE:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def guid(name: str, value: Guid) -> Description:
    """Return a GUID in both spellings."""
    return Description(name, value.text, value.base64)


def binary(name: str, data: bytes) -> Description:
    """Return bytes as hexadecimal digits."""
    return Description(name, data.hex(), f"{len(data)} bytes")


def public_key(name: str, point: bytes) -> Description:
    """Return a public key of 64 bytes with its fingerprint."""
    return Description(name, encode_base64(point), fingerprint(point))


def member(name: str, value: int) -> Description:
    """Return a number with its name in a table, if any."""
    meaning = _member_name(value) if isinstance(value, IntEnum) else None
    return Description(name, int(value), meaning)


def members(name: str, values: tuple[int, ...]) -> Description:
    """Return numbers with their names in a table."""
    names = (_member_name(value) if isinstance(value, IntEnum) else "unknown" for value in values)
    return Description(name, tuple(map(int, values)), ", ".join(names) or "none")


def _member_name(value: IntEnum) -> str:
    return value.name.lower().replace("_", " ")


def fact(name: str, value: Any) -> Description:  # noqa: ANN401 -- any field of any object
    """Return a value by its type."""
    for kind, make in _BY_TYPE:
        if isinstance(value, kind):
            return make(name, value)
    if is_dataclass(value):
        return Description(name, children=facts_of(value))
    return Description(name, value)


def facts_of(item: object) -> tuple[Description, ...]:
    """Return a fact for each field of an object, except flags, which belong to its head."""
    return tuple(
        _SPECIAL.get((type(item), name), _plain)(item, words(name), getattr(item, name))
        for name in _field_names(item)
    )


def _field_names(item: object) -> list[str]:
    names = [each.name for each in fields(item)]  # type: ignore[arg-type]  # a dataclass
    # A key's flags are its own; those of objects are shown with the object's head.
    hidden = set() if isinstance(item, bcert.Key) else {"flags"}
    return [name for name in names if name not in hidden]


def _several(name: str, values: tuple[object, ...]) -> Description:
    singular = name.removesuffix("s")
    return Description(
        name,
        len(values),
        children=tuple(fact(f"{singular} {at}", v) for at, v in enumerate(values)),
    )


_BY_TYPE: Final[tuple[tuple[type, Callable[[str, Any], Description]], ...]] = (
    (Guid, guid),
    (bool, Description),
    (int, member),
    (bytes, binary),
    (PublicKey, lambda name, key: public_key(name, key.raw)),
    (tuple, _several),
)


# --- fields with a meaning of their own ---------------------------------------------------


def _plain(_item: object, name: str, value: object) -> Description:
    return fact(name, value)


def _date(_item: object, name: str, value: int) -> Description:
    return date(name, value)


def _begin(_item: object, name: str, value: int) -> Description:
    return date(name, value) if value else Description(name, value, "no begin")


def _end(_item: object, name: str, value: int) -> Description:
    return Description(name, value, "no end") if value == NEVER else date(name, value)


def _seconds(_item: object, name: str, value: int) -> Description:
    return Description(name, value, "seconds")


def _persistence(_item: object, name: str, value: int) -> Description:
    return Description(name, value, "cannot persist" if value & 1 else None)


def _protection(_item: object, name: str, value: Guid) -> Description:
    known = protections.NAMES.get(value.text)
    return Description(name, value.text, f"{known}, {value.base64}" if known else value.base64)


def _protection_data(item: xmr.Explicit, name: str, value: bytes) -> Description:
    meaning = protections.meaning_of(item.id.text, value)
    found = binary(name, value)
    return found if meaning is None else Description(name, found.value, meaning)


def _base64(_item: object, name: str, value: bytes) -> Description:
    return Description(name, encode_base64(value), f"{len(value)} bytes")


def _members(_item: object, name: str, value: tuple[int, ...]) -> Description:
    return members(name, value)


def _point(_item: object, name: str, value: bytes) -> Description:
    return public_key(name, value)


_EXPLICIT: Final = (
    xmr.PolicyMetadata,
    xmr.ExplicitAnalogVideoProtection,
    xmr.ExplicitDigitalAudioProtection,
    xmr.ExplicitDigitalVideoProtection,
)
_SPECIAL: Final[dict[tuple[type, str], Callable[[Any, str, Any], Description]]] = {
    (xmr.IssueDate, "date"): _date,
    (xmr.RemovalDate, "date"): _date,
    (xmr.Expiration, "begin"): _begin,
    (xmr.Expiration, "end"): _end,
    (xmr.ExpireAfterFirstPlay, "seconds"): _seconds,
    (xmr.GracePeriod, "seconds"): _seconds,
    (xmr.RightsSettings, "settings"): _persistence,
    (xmr.DeviceKey, "key"): _point,
    (xmr.PlayEnabler, "id"): _protection,
    **{(kind, "id"): _protection for kind in _EXPLICIT},
    **{(kind, "data"): _protection_data for kind in _EXPLICIT},
    (bcert.Features, "values"): _members,
    (bcert.Key, "usages"): _members,
    (bcert.Basic, "key_digest"): _base64,
    (bcert.Basic, "expiry"): _date,
}


def kids(values: tuple[Kid, ...]) -> Description:
    """Return several KIDs."""
    return _several("KIDs", values)
