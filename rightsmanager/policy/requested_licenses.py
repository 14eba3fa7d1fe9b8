"""A requested is what one licence was asked to be, read from a group of names and values.

It is pairs of a parameter and its value, in the order in which they were written; the same
whatever the spelling, so that each spelling can be written from each other one.
"""

import difflib
from collections.abc import Iterable
from typing import Any, Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.brackets import build_value
from rightsmanager.policy.kinds import InvalidValue
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.raw import Group, ParsedValue, quote, quote_name

_MAX_NAME: Final = 40
"""No more of a name is compared with known ones."""

RequestedLicense = tuple[tuple[Parameter, Any], ...]
"""What was asked for one licence."""


def read_wish(group: Group) -> RequestedLicense:
    """Return what a group asks; raises ServiceSpecific by name, value and expectation."""
    pairs = [
        (_find(name), value)
        for name, raw in group.items
        for value in _expanded(BY_NAME.get(name.lower()), raw)
    ]
    refuse_repeated(parameter for parameter, _ in pairs)
    return tuple((parameter, _read(parameter, raw)) for parameter, raw in pairs)


def write_wish(requested: RequestedLicense) -> Group:
    """Return the group that asks it."""
    return Group(
        tuple((parameter.name, parameter.kind.write(value)) for parameter, value in requested)
    )


def refuse_repeated(parameters: Iterable[Parameter]) -> None:
    """Refuse a parameter that is given twice for one licence, under whatever of its names."""
    seen: set[str] = set()
    for parameter in parameters:
        if parameter.name in seen and not parameter.repeats:
            raise ServiceSpecific(f"{parameter.name} is given twice for one licence, expected once")
        seen.add(parameter.name)


def unknown(name: str, known: Iterable[str]) -> ServiceSpecific:
    """Return the refusal of a name that is none, with the nearest that is one."""
    near = difflib.get_close_matches(name.lower()[:_MAX_NAME], [each.lower() for each in known], 1)
    by_lower = {each.lower(): each for each in known}
    hint = f"the nearest known name is {by_lower[near[0]]}" if near else "no known name is like it"
    return ServiceSpecific(f"{quote_name(name)} is no parameter, {hint}")


def misfit(parameter: Parameter, name: str, text: str, expected: str) -> ServiceSpecific:
    """Return the refusal of a value that is not of the parameter's kind."""
    shown = f"a value of {len(text)} characters" if parameter.kind.secret else quote(text)
    return ServiceSpecific(f"{name} is {shown}, expected {expected}")


def _find(name: str) -> Parameter:
    parameter = BY_NAME.get(name.lower())
    if parameter is None:
        raise unknown(name, BY_NAME)
    return parameter


def _expanded(parameter: Parameter | None, raw: ParsedValue) -> tuple[ParsedValue, ...]:
    """Return the values in a list where a parameter may be given more than once."""
    if parameter is not None and parameter.repeats and isinstance(raw, tuple) and raw:
        return raw
    return (raw,)


def _read(parameter: Parameter, raw: ParsedValue) -> object:
    kind = parameter.kind
    try:
        return kind.read(raw)
    except InvalidValue:
        raise misfit(parameter, parameter.name, build_value(raw), kind.expected) from None
