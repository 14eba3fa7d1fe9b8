"""A request in each of the four spellings, with and without its keys."""

from dataclasses import dataclass, replace

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.masking import MASK
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.query import Spelling, write
from rightsmanager.policy.requested_licenses import RequestedLicense


@dataclass(frozen=True, slots=True)
class Translation:
    """The request in one of the spellings."""

    spelling: Spelling
    text: str
    """The query or CustomData, or the reason why there is none."""
    masked: str
    """The same text with a mask in place of each key."""
    is_possible: bool = True


def translate(requested_licenses: tuple[RequestedLicense, ...], spelling: Spelling) -> Translation:
    """Return a request in one of the spellings, or why it has none there."""
    try:
        text = write(requested_licenses, spelling)
    except ServiceSpecific as refusal:
        return Translation(spelling, refusal.text, refusal.text, is_possible=False)
    masked = tuple(map(_mask_keys, requested_licenses))
    # Without a key it is the same.
    return Translation(
        spelling, text, text if masked == requested_licenses else write(masked, spelling)
    )


def _mask_keys(requested: RequestedLicense) -> RequestedLicense:
    """Return the same licence, with keys that are written as a mask."""
    return tuple(
        (_masked(parameter) if parameter.value_type.secret else parameter, value)
        for parameter, value in requested
    )


def _masked(parameter: Parameter) -> Parameter:
    value_type = replace(parameter.value_type, write=lambda _: MASK, legacy=None)
    return replace(parameter, value_type=value_type)
