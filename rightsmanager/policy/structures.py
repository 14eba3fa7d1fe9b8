"""The kinds of values in brackets, and how the legacy spelling writes them.

    protection     (guid:G,data:base64)                  legacy {G};base64
    enablers       (G) or (G,G,…)                        legacy G;G
    numbers        (N) or (N,N,…)
    restriction    (type:N,mustunderstand:b,besteffort:b,data:base64)
    right          (type:N,extended:(restriction,restriction,…))

Data is base64 that is read leniently, since published examples are not canonical.

Source: the public test server's pages on its query string and its legacy syntax.
"""

from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import parse_value
from rightsmanager.policy.grants import ExtendedRestriction, ExtendedRight, Protection
from rightsmanager.policy.kinds import (
    U16,
    U32,
    Kind,
    Legacy,
    Unfit,
    decode_lenient,
    read_boolean,
    read_guid,
    read_number,
    text_of,
    write_boolean,
)
from rightsmanager.policy.raw import Named, Raw
from rightsmanager.protocol.wire import Guid, encode_base64
from rightsmanager.protocol.xmr.table import BY_TYPE

DATA_MOST: Final = 4096
"""Longest data of a protection or restriction, in bytes."""


def _fields(raw: Raw, *names: str) -> dict[str, Raw]:
    """Return the named raws in a bracket by their names, which must be among these."""
    raw = _unbracketed(raw)
    if not isinstance(raw, Named):
        raise Unfit
    found = {name.lower(): value for name, value in raw.items}
    if len(found) < len(raw.items) or not found.keys() <= set(names):
        raise Unfit
    return found


def _unbracketed(raw: Raw) -> Raw:
    """Return what a text in brackets says: JSON may hold structures as `cfg` writes them."""
    if isinstance(raw, str) and raw.startswith("("):
        try:
            return parse_value(raw)
        except ServiceSpecific:
            raise Unfit from None
    return raw


def _list(raw: Raw) -> tuple[Raw, ...]:
    """Return the members of a list; what is none is a list of one."""
    raw = _unbracketed(raw)
    return raw if isinstance(raw, tuple) else (raw,)


def _read_data(raw: Raw) -> bytes:
    data = decode_lenient(text_of(raw))
    if len(data) > DATA_MOST:
        raise Unfit
    return data


def _read_protection(raw: Raw) -> Protection:
    found = _fields(raw, "guid", "data")
    if "guid" not in found:
        raise Unfit
    return Protection(read_guid(found["guid"], Guid), _read_data(found.get("data", "")))


def _write_protection(value: Protection) -> Raw:
    data = (("data", encode_base64(value.data)),) if value.data else ()
    return Named((("guid", value.id.text), *data))


def _read_legacy_protection(text: str) -> Protection:
    id_, _, data = text.partition(";")
    return Protection(read_guid(id_, Guid), _read_data(data))


def _write_legacy_protection(value: Protection) -> str:
    data = f";{encode_base64(value.data)}" if value.data else ""
    return f"{{{value.id.text}}}{data}"


PROTECTION: Final = Kind(
    f"(guid:GUID,data:base64 of at most {DATA_MOST} bytes), data optional",
    _read_protection,
    _write_protection,
    Legacy(_read_legacy_protection, _write_legacy_protection, "{GUID};base64"),
)


def _read_guids(raw: Raw) -> tuple[Guid, ...]:
    found = tuple(read_guid(item, Guid) for item in _list(raw))
    if not found or len(set(found)) < len(found):
        raise Unfit
    return found


def _write_legacy_guids(value: tuple[Guid, ...]) -> str:
    return ";".join(item.text for item in value)


GUIDS: Final = Kind(
    "(GUID) or (GUID,GUID,…), each once",
    _read_guids,
    lambda value: tuple(item.text for item in value),
    Legacy(
        lambda text: _read_guids(tuple(text.rstrip(";").split(";"))),
        _write_legacy_guids,
        "GUID or GUID;GUID;…, each once",
    ),
)


def _read_numbers(raw: Raw) -> tuple[int, ...]:
    found = tuple(read_number(item, 0, U32) for item in _list(raw))
    if not found:
        raise Unfit
    return found


NUMBERS: Final = Kind(
    f"(N) or (N,N,…), each from 0 to {U32}",
    _read_numbers,
    lambda value: tuple(map(str, value)),
)


def _read_type(raw: Raw) -> int:
    value = read_number(raw, 1, U16)
    # An object of the format's own would be read as what it is not.
    if value in BY_TYPE:
        raise Unfit
    return value


def _read_restriction(raw: Raw) -> ExtendedRestriction:
    found = _fields(raw, "type", "mustunderstand", "besteffort", "data")
    if "type" not in found:
        raise Unfit
    return ExtendedRestriction(
        _read_type(found["type"]),
        _read_data(found.get("data", "")),
        read_boolean(found.get("mustunderstand", "true")),
        read_boolean(found.get("besteffort", "false")),
    )


def _write_restriction(value: ExtendedRestriction) -> Raw:
    data = (("data", encode_base64(value.data)),) if value.data else ()
    return Named(
        (
            ("type", str(value.type)),
            ("mustunderstand", write_boolean(value.must_understand)),
            ("besteffort", write_boolean(value.best_effort)),
            *data,
        )
    )


def _read_restrictions(raw: Raw) -> tuple[ExtendedRestriction, ...]:
    found = tuple(map(_read_restriction, _list(raw)))
    if not found:
        raise Unfit
    return found


def _write_restrictions(value: tuple[ExtendedRestriction, ...]) -> Raw:
    return tuple(map(_write_restriction, value))


_RESTRICTION: Final = "(type:N,mustunderstand:true or false,besteffort:true or false,data:base64)"
_TYPES: Final = f"N from 1 to {U16} and no type that licences have already"
RESTRICTIONS: Final = Kind(f"({_RESTRICTION},…), {_TYPES}", _read_restrictions, _write_restrictions)


def _read_right(raw: Raw) -> ExtendedRight:
    found = _fields(raw, "type", "extended")
    if "type" not in found:
        raise Unfit
    extended = found.get("extended", ())
    return ExtendedRight(
        _read_type(found["type"]), _read_restrictions(extended) if extended else ()
    )


def _write_right(value: ExtendedRight) -> Raw:
    extended = (("extended", _write_restrictions(value.restrictions)),)
    return Named((("type", str(value.type)), *(extended if value.restrictions else ())))


RIGHT: Final = Kind(f"(type:N,extended:({_RESTRICTION},…)), {_TYPES}", _read_right, _write_right)
