"""The legacy spelling: `Name=value&Name=value`, one licence.

The licence is persistent unless UseSimpleNonPersistentLicense is 1. Names are the legacy names of
parameters in any letter case, and dates are in the order of the United States. UseChainLicense=1
requires UplinkKey, the KID of the root licence, which UseChainLicense=0 switches off.

Source: the public test server's page on its legacy syntax, and the URLs of published samples.
"""

from collections.abc import Iterable
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import BY_LEGACY_NAME, BY_NAME
from rightsmanager.policy.parsed_values import quote, quote_name
from rightsmanager.policy.requested_licenses import (
    RequestedLicense,
    invalid_value,
    refuse_repeated,
    unknown_name,
)
from rightsmanager.policy.value_types import BOOLEAN, InvalidValue

_SIMPLE: Final = BY_NAME["simple"]
_PERSIST: Final = BY_NAME["persist"]
_ROOT: Final = BY_NAME["rootid"]
_USE_CHAIN: Final = "UseChainLicense"
"""Says whether UplinkKey is used; no parameter, since rootid alone says both."""

LEGACY_NAMES: Final = {
    _USE_CHAIN.lower(): _USE_CHAIN,
    **{lower: parameter.legacy or "" for lower, parameter in BY_LEGACY_NAME.items()},
}
"""Every name by its form in lower case."""

Pair = tuple[str, str]


def read_legacy(pairs: Iterable[Pair]) -> RequestedLicense:
    """Return the licence that names and values request; raises ServiceSpecific."""
    found = [(_find(name), text) for name, text in _without_chain_switch([*map(_stripped, pairs)])]
    refuse_repeated(parameter for parameter, _ in found)
    requested = tuple((parameter, _read(parameter, text)) for parameter, text in found)
    if (_SIMPLE, True) in requested:
        return requested
    return (_PERSIST, True), *((each, value) for each, value in requested if each is not _SIMPLE)


def write_legacy(requested: RequestedLicense) -> list[Pair]:
    """Return the names and values that request a licence.

    Raises ServiceSpecific for a parameter without a legacy name.
    """
    values = {parameter.name: value for parameter, value in requested}
    persistent = values.get("persist", False) and not values.get("simple", False)
    lifetime = [] if persistent else [(_legacy_name(_SIMPLE), "1")]
    return lifetime + [
        pair
        for parameter, value in requested
        if parameter is not _SIMPLE and parameter is not _PERSIST and not _is_default(value)
        for pair in _write(parameter, value)
    ]


def _is_default(value: object) -> bool:
    return value == "header"


def _stripped(pair: Pair) -> Pair:
    name, text = pair
    return name, text.strip()


def _without_chain_switch(pairs: list[Pair]) -> list[Pair]:
    """Return the pairs without UseChainLicense, and without UplinkKey if it is 0."""
    switches = [text for name, text in pairs if name.lower() == _USE_CHAIN.lower()]
    if not switches:
        return pairs
    uplink = _legacy_name(_ROOT)
    others = [pair for pair in pairs if pair[0].lower() != _USE_CHAIN.lower()]
    has_uplink = any(name.lower() == uplink.lower() for name, _ in others)
    if len(switches) > 1:
        raise ServiceSpecific(f"{_USE_CHAIN} is given twice for one licence, expected once")
    if not _read_switch(switches[0]):
        return [pair for pair in others if pair[0].lower() != uplink.lower()]
    if not has_uplink:
        raise ServiceSpecific(
            f"{_USE_CHAIN} is {quote(switches[0])}, expected with {uplink}, the root licence's KID"
        )
    return others


def _read_switch(text: str) -> bool:
    legacy = BOOLEAN.legacy
    try:
        return bool(legacy and legacy.read(text))
    except InvalidValue:
        raise ServiceSpecific(f"{_USE_CHAIN} is {quote(text)}, expected 1 or 0") from None


def _find(name: str) -> Parameter:
    parameter = BY_LEGACY_NAME.get(name.lower())
    if parameter is not None:
        return parameter
    if name.lower() in BY_NAME:
        raise ServiceSpecific(
            f"{quote_name(name)} is unknown in the legacy spelling, expected it in cfg=(…)"
        )
    raise unknown_name(name, LEGACY_NAMES.values())


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


def _write(parameter: Parameter, value: object) -> list[Pair]:
    legacy = parameter.value_type.legacy
    text = legacy.write(value) if legacy else str(parameter.value_type.write(value))
    pair = (_legacy_name(parameter), text)
    return [(_USE_CHAIN, "1"), pair] if parameter is _ROOT else [pair]
