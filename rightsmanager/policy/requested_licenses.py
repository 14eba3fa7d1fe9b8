"""A requested licence: pairs of a parameter and its value, in the order of the request.

It is the same for every spelling, so that each can be translated into each other one.
"""

import difflib
from collections.abc import Iterable
from typing import Any, Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import build_value
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.parsed_values import Group, ParsedValue, quote, quote_name
from rightsmanager.policy.value_types import InvalidValue

# Comparing long names with all known ones would take long.
_MAX_NAME: Final = 40
"""Longest part of a name that is compared with known ones, in characters."""

RequestedLicense = tuple[tuple[Parameter, Any], ...]
"""The parameters of one licence."""


def read_license(group: Group) -> RequestedLicense:
    """Return the licence that a group requests; raises ServiceSpecific."""
    pairs = [
        (_find(name), value)
        for name, raw in group.items
        for value in _expanded(BY_NAME.get(name.lower()), raw)
    ]
    refuse_repeated(parameter for parameter, _ in pairs)
    return tuple((parameter, _read(parameter, raw)) for parameter, raw in pairs)


def write_license(requested: RequestedLicense) -> Group:
    """Return the group that requests a licence."""
    return Group(
        tuple((parameter.name, parameter.value_type.write(value)) for parameter, value in requested)
    )


def refuse_repeated(parameters: Iterable[Parameter]) -> None:
    """Raise ServiceSpecific for a parameter given twice, under any of its names."""
    seen: set[str] = set()
    for parameter in parameters:
        if parameter.name in seen and not parameter.repeats:
            raise ServiceSpecific(f"{parameter.name} is given twice for one licence, expected once")
        seen.add(parameter.name)


def unknown_name(name: str, known: Iterable[str]) -> ServiceSpecific:
    """Return the refusal of an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name.lower()[:_MAX_NAME], [each.lower() for each in known], 1)
    by_lower = {each.lower(): each for each in known}
    hint = f"the nearest known name is {by_lower[near[0]]}" if near else "no known name is like it"
    return ServiceSpecific(f"{quote_name(name)} is an unknown parameter, {hint}")


def invalid_value(parameter: Parameter, name: str, text: str, expected: str) -> ServiceSpecific:
    """Return the refusal of a value that is not of the parameter's type."""
    shown = f"a value of {len(text)} characters" if parameter.value_type.secret else quote(text)
    return ServiceSpecific(f"{name} is {shown}, expected {expected}")


def _find(name: str) -> Parameter:
    parameter = BY_NAME.get(name.lower())
    if parameter is None:
        raise unknown_name(name, BY_NAME)
    return parameter


def _expanded(parameter: Parameter | None, value: ParsedValue) -> tuple[ParsedValue, ...]:
    """Return the items of a list if the parameter may be given more than once."""
    if parameter is not None and parameter.repeats and isinstance(value, tuple) and value:
        return value
    return (value,)


def _read(parameter: Parameter, value: ParsedValue) -> object:
    value_type = parameter.value_type
    try:
        return value_type.read(value)
    except InvalidValue:
        text = build_value(value)
        raise invalid_value(parameter, parameter.name, text, value_type.expected) from None
