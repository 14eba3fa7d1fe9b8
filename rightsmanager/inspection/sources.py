"""The parameters of a licence: the field that each one sets, and the source of its value."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rightsmanager.inspection.description import Description
from rightsmanager.inspection.questions import Question
from rightsmanager.inspection.values import fact
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import PARAMETERS
from rightsmanager.policy.query import ParsedRequest, Spelling, split_query


def describe_parameters(
    request: ParsedRequest, question: Question, policy: Policy
) -> tuple[Description, ...]:
    """Return the parameters of each requested licence, the server's defaults last."""
    split = split_query(question.query)
    source = "from the query" if split.groups else "from the CustomData"
    is_legacy = split.groups and split.spelling is Spelling.LEGACY
    return tuple(
        Description(
            f"parameters of licence {number}",
            children=(
                *(
                    # The legacy spelling implies persist, which it cannot name.
                    _parameter(each, value, _LEGACY if is_legacy and not each.legacy else source)
                    for each, value in requested
                ),
                *_default_parameters({each.sets for each, _ in requested}, policy),
            ),
        )
        for number, requested in enumerate(request.licenses or ((),), 1)
    )


_ALWAYS_SHOWN: Final = frozenset({"persist", "playright"})
_DEFAULT: Final = "the server's default"
_LEGACY: Final = "the legacy spelling's default"


def _parameter(parameter: Parameter, value: object, source: str) -> Description:
    shown = parameter.spell(value).strip("'")
    return Description(parameter.name, shown, f"{parameter.sets}, {source}")


def _default_parameters(given: set[str], policy: Policy) -> Iterator[Description]:
    for parameter in PARAMETERS:
        place, _, name = parameter.sets.partition(".")
        if parameter.sets in given or place not in {"policy", "levels"}:
            continue
        value = getattr(policy.output_levels if place == "levels" else policy, name)
        # What is off, 0 or missing adds nothing to a licence. But all depends on these two.
        if value or parameter.name in _ALWAYS_SHOWN:
            yield _default(parameter, value)
        elif parameter.sets == "policy.expiration" and policy.valid_for:
            meaning = f"policy.valid_for, {_DEFAULT}"
            yield Description(parameter.name, f"+{policy.valid_for}", meaning)


def _default(parameter: Parameter, value: object) -> Description:
    if parameter.adds is None:
        return _parameter(parameter, value, _DEFAULT)
    # A field of several values: the parameter would write one of them.
    return replace(fact(parameter.name, value), meaning=f"{parameter.sets}, {_DEFAULT}")
