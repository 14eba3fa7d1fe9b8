"""The capabilities of a device: ciphers, rights and objects that older clients lack.

Sources: the published pages on content encryption modes, on client and server compatibility, and on
policies.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.device import Device
from rightsmanager.policy.grants import Grant, Policy
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.rules import AesCbc, DecisionWarning, Rules, WarningCode
from rightsmanager.protocol.formats.bcert import Feature
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import Kid

AES_CBC: Final = "AESCBC"
"""The name of the feature in a challenge."""
_REFUSED_TO_PLAYREADY_3: Final = ("copyright", "executeright", "readright")
_ONLY_FOR_PLAYREADY_3: Final = ("realtime", "securestop", "maxres")
_CLOCKS: Final = frozenset({Feature.SECURE_CLOCK, Feature.ANTI_ROLLBACK_CLOCK})


def refuse_undeclared_cbc(kid: Kid, key_type: KeyType, device: Device, rules: Rules) -> None:
    """Raise ServiceSpecific for an AES-CBC key unless the device declares AES-CBC."""
    if key_type is not KeyType.AES_CBC or rules.aes_cbc is AesCbc.ANY:
        return
    if AES_CBC not in device.features:
        raise ServiceSpecific(
            f"the content key of KID {kid.text} is for AES-CBC, expected AES-CTR: the challenge "
            f"does not have the feature {AES_CBC}"
        )


def refuse_rights(requested_licenses: Sequence[RequestedLicense], device: Device) -> None:
    """Raise ServiceSpecific for rights that clients with PlayReady 3 features must not get."""
    if Feature.PLAYREADY_3 not in device.leaf.features:
        return
    for requested in requested_licenses:
        for parameter, value in requested:
            if parameter.name in _REFUSED_TO_PLAYREADY_3 and value:
                raise ServiceSpecific(
                    f"{parameter.name} is {parameter.spell(value)}, expected false for a client "
                    "with PlayReady 3 features"
                )


def find_capability_warnings(
    requested_licenses: Sequence[RequestedLicense], grants: Sequence[Grant], device: Device
) -> tuple[DecisionWarning, ...]:
    """Return a warning for each parameter that the device may not support."""
    texts = dict.fromkeys(
        (*_newer_than(requested_licenses, device), *_without_clock(grants, device))
    )
    return tuple(DecisionWarning.of(WarningCode.CLIENT, text) for text in texts)


def _newer_than(requested_licenses: Sequence[RequestedLicense], device: Device) -> Iterator[str]:
    if Feature.PLAYREADY_3 in device.leaf.features:
        return
    for requested in requested_licenses:
        for parameter, value in requested:
            if parameter.name in _ONLY_FOR_PLAYREADY_3 and value is not False:
                yield (
                    f"{parameter.name} is only known to clients with PlayReady 3 features, which "
                    "the device's certificate does not have"
                )


def _without_clock(grants: Sequence[Grant], device: Device) -> Iterator[str]:
    if _CLOCKS.isdisjoint(device.leaf.features) and any(_is_timed(each.policy) for each in grants):
        yield "the licence has time limits, and the device's certificate has no clock"


def _is_timed(policy: Policy) -> bool:
    return (
        policy.begin is not None
        or policy.expiration is not None
        or policy.first_play_expiration is not None
    )
