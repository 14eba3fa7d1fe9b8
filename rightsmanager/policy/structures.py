"""The types of values in brackets, and their form in the legacy spelling.

    protection     (guid:G,data:base64)                  legacy {G};base64
    enablers       (G) or (G,G,…)                        legacy G;G
    numbers        (N) or (N,N,…)
    restriction    (type:N,mustunderstand:b,besteffort:b,data:base64)
    right          (type:N,extended:(restriction,restriction,…))

Data is base64 that is read leniently: published examples are not canonical.

Source: the public test server's pages on its query string and its legacy syntax.
"""

from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import parse_value
from rightsmanager.policy.grants import ExtendedRestriction, ExtendedRight, Protection
from rightsmanager.policy.parsed_values import Group, ParsedValue
from rightsmanager.policy.value_types import (
    U16,
    U32,
    InvalidValue,
    Legacy,
    ValueType,
    decode_lenient,
    read_boolean,
    read_guid,
    read_number,
    require_text,
    write_boolean,
)
from rightsmanager.protocol.formats.xmr.table import BY_TYPE
from rightsmanager.protocol.wire import Guid, encode_base64

MAX_DATA: Final = 4096
"""Longest data of a protection or restriction, in bytes."""


def _fields(value: ParsedValue, *names: str) -> dict[str, ParsedValue]:
    """Return the values in a bracket by name; raises InvalidValue for other names."""
    value = _unbracketed(value)
    if not isinstance(value, Group):
        raise InvalidValue
    found = {name.lower(): item for name, item in value.items}
    if len(found) < len(value.items) or not found.keys() <= set(names):
        raise InvalidValue
    return found


def _unbracketed(value: ParsedValue) -> ParsedValue:
    """Return the value of text in brackets."""
    # JSON may hold structures as `cfg` writes them.
    if isinstance(value, str) and value.startswith("("):
        try:
            return parse_value(value)
        except ServiceSpecific:
            raise InvalidValue from None
    return value


def _list(value: ParsedValue) -> tuple[ParsedValue, ...]:
    """Return the items of a list; any other value is a list of one."""
    value = _unbracketed(value)
    return value if isinstance(value, tuple) else (value,)


def _read_data(value: ParsedValue) -> bytes:
    data = decode_lenient(require_text(value))
    if len(data) > MAX_DATA:
        raise InvalidValue
    return data


def _read_protection(value: ParsedValue) -> Protection:
    found = _fields(value, "guid", "data")
    if "guid" not in found:
        raise InvalidValue
    return Protection(read_guid(found["guid"], Guid), _read_data(found.get("data", "")))


def _write_protection(value: Protection) -> ParsedValue:
    data = (("data", encode_base64(value.data)),) if value.data else ()
    return Group((("guid", value.id.text), *data))


def _read_legacy_protection(text: str) -> Protection:
    id_, _, data = text.partition(";")
    return Protection(read_guid(id_, Guid), _read_data(data))


def _write_legacy_protection(value: Protection) -> str:
    data = f";{encode_base64(value.data)}" if value.data else ""
    return f"{{{value.id.text}}}{data}"


PROTECTION: Final = ValueType(
    f"(guid:GUID,data:base64 of at most {MAX_DATA} bytes), data optional",
    _read_protection,
    _write_protection,
    Legacy(_read_legacy_protection, _write_legacy_protection, "{GUID};base64"),
)


def _read_guids(value: ParsedValue) -> tuple[Guid, ...]:
    found = tuple(read_guid(item, Guid) for item in _list(value))
    if not found or len(set(found)) < len(found):
        raise InvalidValue
    return found


def _write_legacy_guids(value: tuple[Guid, ...]) -> str:
    return ";".join(item.text for item in value)


GUIDS: Final = ValueType(
    "(GUID) or (GUID,GUID,…), each once",
    _read_guids,
    lambda value: tuple(item.text for item in value),
    Legacy(
        lambda text: _read_guids(tuple(text.rstrip(";").split(";"))),
        _write_legacy_guids,
        "GUID or GUID;GUID;…, each once",
    ),
)


def _read_numbers(value: ParsedValue) -> tuple[int, ...]:
    found = tuple(read_number(item, 0, U32) for item in _list(value))
    if not found:
        raise InvalidValue
    return found


NUMBERS: Final = ValueType(
    f"(N) or (N,N,…), each from 0 to {U32}",
    _read_numbers,
    lambda value: tuple(map(str, value)),
)


def _read_type(value: ParsedValue) -> int:
    number = read_number(value, 1, U16)
    # A client would read it as the object that licences have by this type.
    if number in BY_TYPE:
        raise InvalidValue
    return number


def _read_restriction(value: ParsedValue) -> ExtendedRestriction:
    found = _fields(value, "type", "mustunderstand", "besteffort", "data")
    if "type" not in found:
        raise InvalidValue
    return ExtendedRestriction(
        _read_type(found["type"]),
        _read_data(found.get("data", "")),
        read_boolean(found.get("mustunderstand", "true")),
        read_boolean(found.get("besteffort", "false")),
    )


def _write_restriction(value: ExtendedRestriction) -> ParsedValue:
    data = (("data", encode_base64(value.data)),) if value.data else ()
    return Group(
        (
            ("type", str(value.type)),
            ("mustunderstand", write_boolean(value.must_understand)),
            ("besteffort", write_boolean(value.best_effort)),
            *data,
        )
    )


def _read_restrictions(value: ParsedValue) -> tuple[ExtendedRestriction, ...]:
    found = tuple(map(_read_restriction, _list(value)))
    if not found:
        raise InvalidValue
    return found


def _write_restrictions(value: tuple[ExtendedRestriction, ...]) -> ParsedValue:
    return tuple(map(_write_restriction, value))


_RESTRICTION: Final = "(type:N,mustunderstand:true or false,besteffort:true or false,data:base64)"
_TYPES: Final = f"N from 1 to {U16}, not the type of an object that licences have"
RESTRICTIONS: Final = ValueType(
    f"({_RESTRICTION},…), {_TYPES}", _read_restrictions, _write_restrictions
)


def _read_right(value: ParsedValue) -> ExtendedRight:
    found = _fields(value, "type", "extended")
    if "type" not in found:
        raise InvalidValue
    extended = found.get("extended", ())
    return ExtendedRight(
        _read_type(found["type"]), _read_restrictions(extended) if extended else ()
    )


def _write_right(value: ExtendedRight) -> ParsedValue:
    extended = (("extended", _write_restrictions(value.restrictions)),)
    return Group((("type", str(value.type)), *(extended if value.restrictions else ())))


RIGHT: Final = ValueType(
    f"(type:N,extended:({_RESTRICTION},…)), {_TYPES}", _read_right, _write_right
)
