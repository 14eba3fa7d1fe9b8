"""The legacy spelling: `Name=value&Name=value`, one licence.

The licence is persistent unless UseSimpleNonPersistentLicense is 1. Names are the legacy names of
parameters in any letter case, and dates are in the order of the United States.

Source: the public test server's page on its legacy syntax.
"""

from collections.abc import Iterable

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import BY_LEGACY_NAME, BY_NAME
from rightsmanager.policy.parsed_values import quote_name
from rightsmanager.policy.requested_licenses import (
    RequestedLicense,
    invalid_value,
    refuse_repeated,
    unknown_name,
)
from rightsmanager.policy.value_types import InvalidValue

_SIMPLE = BY_NAME["simple"]
_PERSIST = BY_NAME["persist"]


def read_legacy(pairs: Iterable[tuple[str, str]]) -> RequestedLicense:
    """Return the licence that names and values request; raises ServiceSpecific."""
    found = [(_find(name), text.strip()) for name, text in pairs]
    refuse_repeated(parameter for parameter, _ in found)
    requested = tuple((parameter, _read(parameter, text)) for parameter, text in found)
    if (_SIMPLE, True) in requested:
        return requested
    return (_PERSIST, True), *((each, value) for each, value in requested if each is not _SIMPLE)


def write_legacy(requested: RequestedLicense) -> list[tuple[str, str]]:
    """Return the names and values that request a licence.

    Raises ServiceSpecific for a parameter without a legacy name.
    """
    values = {parameter.name: value for parameter, value in requested}
    persistent = values.get("persist", False) and not values.get("simple", False)
    lifetime = [] if persistent else [(_legacy_name(_SIMPLE), "1")]
    return lifetime + [
        (_legacy_name(parameter), _write(parameter, value))
        for parameter, value in requested
        if parameter is not _SIMPLE and parameter is not _PERSIST and not _is_default(value)
    ]


def _is_default(value: object) -> bool:
    return value == "header"


def _find(name: str) -> Parameter:
    parameter = BY_LEGACY_NAME.get(name.lower())
    if parameter is not None:
        return parameter
    if name.lower() in BY_NAME:
        raise ServiceSpecific(
            f"{quote_name(name)} is unknown in the legacy spelling, expected it in cfg=(…)"
        )
    raise unknown_name(name, [each.legacy or "" for each in BY_LEGACY_NAME.values()])


def _legacy_name(parameter: Parameter) -> str:
    if parameter.legacy is None:
        raise ServiceSpecific(f"the legacy spelling has no name for {parameter.name}")
    return parameter.legacy


def _read(parameter: Parameter, text: str) -> object:
    legacy = parameter.value_type.legacy
    try:
        return legacy.read(text) if legacy else parameter.value_type.read(text)
    except InvalidValue:
        expected = legacy.expected if legacy else parameter.value_type.expected
        raise invalid_value(parameter, _legacy_name(parameter), text, expected) from None


def _write(parameter: Parameter, value: object) -> str:
    legacy = parameter.value_type.legacy
    return legacy.write(value) if legacy else str(parameter.value_type.write(value))
