"""Warnings of what clients refuse or ignore: dates, protections, parameters without effect."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from rightsmanager.inspection.protections import NAMES
from rightsmanager.inspection.questions import Question
from rightsmanager.policy.grants import Grant, Policy, Protection
from rightsmanager.policy.output_levels import PUBLISHED_LEVELS, find_effect
from rightsmanager.policy.parameters import (
    ANALOG_COPY_PROTECTION,
    BY_NAME,
    MAXIMUM_RESOLUTION,
    PARAMETERS,
    UNKNOWN_OUTPUT_HD,
    UNKNOWN_OUTPUT_SD,
)
from rightsmanager.policy.query import parse_query, split_custom_data
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.value_types import DATE, InvalidValue
from rightsmanager.protocol.wire import Guid

_HARDWARE: Final = 3000
_HDCP_TYPE: Final = "abb2c6f1-e663-4625-a945-972d17b231e7"
_HDCP_TYPE_1: Final = b"\0\0\0\1"
_HDCP_LEVEL: Final = 271
_REFUSED: Final = "the request is refused with 0x8004c604"
_RIGHTS: Final = ("copyright", "executeright", "readright")

KNOWN: Final = {
    "policy.digital_video": {
        "abb2c6f1-e663-4625-a945-972d17b231e7",
        MAXIMUM_RESOLUTION.text,
    },
    "policy.digital_audio": {"6d5cfa59-c250-4426-930e-fac72c8fcfa6"},
    "policy.analog_video": {
        ANALOG_COPY_PROTECTION.text,
        "225cd36f-f132-49ef-ba8c-c91ea28e4369",
        "2098de8d-7ddd-4bab-96c6-32ebb6fabea3",
        "d783a191-e083-4baf-b2da-e69f910b3772",
        "811c5110-46c8-4c6e-8163-c0482a15d47e",
        "760ae755-682a-41e0-b1b3-dcdf836a7306",
    },
    "policy.play_enablers": {
        UNKNOWN_OUTPUT_SD.text,
        UNKNOWN_OUTPUT_HD.text,
        "5abf0f0d-dc29-4b82-9982-fd8e57525bfc",
        "ae092501-a9e3-46f6-afbe-628577dcdf55",
    },
}
"""The published GUIDs by their place in a licence."""
FAULTS: Final = ("reply.client_info", "reply.error_code", "reply.revoked")
"""The fields of parameters that answer with a fault; the first one counts."""
DATA_LENGTHS: Final = {MAXIMUM_RESOLUTION: 8, ANALOG_COPY_PROTECTION: 4}
"""The published number of data bytes of a protection."""


def find_warnings(
    question: Question,
    requested_licenses: Sequence[RequestedLicense],
    grants: Sequence[Grant],
    now: int,
) -> tuple[str, ...]:
    """Return one line for each warning, those of the request first."""
    policies = dict.fromkeys(grant.policy for grant in grants)
    found = chain(
        _of_request(question),
        chain.from_iterable(map(_of_wish, requested_licenses)),
        _of_leaves(grants),
        _of_shared_keys(grants),
        _of_domains(grants),
        *(_of_policy(policy, now) for policy in policies),
    )
    return tuple(dict.fromkeys(found))


# --- the request ----------------------------------------------------------------------------------


def _of_request(question: Question) -> Iterator[str]:
    if question.custom_data:
        split = split_custom_data(question.custom_data)
        if not split.groups and not split.warnings:
            yield "CustomData asks nothing: it is not JSON and does not begin with json="
        elif split.groups and parse_query(question.query):
            yield "CustomData has no effect: the URL asks too, and what it asks wins"
    if question.header is not None and not question.header.license_requested:
        yield "the header asks for no licence: its LICENSEREQUESTED is false"


def _of_wish(requested: RequestedLicense) -> Iterator[str]:
    given = [parameter.name for parameter, value in requested if value is not False]
    if "contentkey" in given and "keyseed" in given:
        yield "keyseed has no effect: contentkey is given too"
    for name in _RIGHTS:
        if name in given:
            yield f"{name} is true: for a client with PlayReady 3 features {_REFUSED}"
    faults = [name for name in given if BY_NAME[name].sets in FAULTS]
    without_effect = [name for name in given if name not in faults[:1]]
    if faults and without_effect:
        names = " and ".join(without_effect)
        yield f"{names} without effect: {faults[0]} answers with a fault"


def _of_leaves(grants: Sequence[Grant]) -> Iterator[str]:
    roots = {grant.kid for grant in grants if grant.is_root}
    for grant in grants:
        if grant.root_kid is not None and grant.root_kid not in roots:
            yield (
                f"rootid is {grant.root_kid.text}, which is not asked for: the device must have "
                "had that root licence before"
            )

        if grant.root_kid is not None and _is_limited(grant.policy):
            yield (
                f"the leaf licence for KID {grant.kid.text} has time limits: publications "
                "recommend them for its root licence, where they hold for all leaves"
            )


def _is_limited(policy: Policy) -> bool:
    """Return whether the request limits the time of use; `valid_for` is a setting."""
    limits = (policy.begin, policy.expiration, policy.first_play_expiration)
    return any(each is not None for each in limits)


def _of_shared_keys(grants: Sequence[Grant]) -> Iterator[str]:
    """Yield KIDs that share a content key, if only some of them need hardware."""
    for key in dict.fromkeys(grant.content_key for grant in grants if grant.content_key):
        levels = {
            grant.kid.text: grant.policy.security_level
            for grant in grants
            if grant.content_key == key
        }
        if len(levels) > 1 and min(levels.values()) < _HARDWARE <= max(levels.values()):
            yield (
                f"KIDs {' and '.join(levels)} have one content key, but not one security level: "
                f"the key of level {max(levels.values())} is given at {min(levels.values())} too"
            )


def _of_domains(grants: Sequence[Grant]) -> Iterator[str]:
    for account_id in dict.fromkeys(grant.account_id for grant in grants):
        if account_id is not None:
            yield (
                f"accountid is {account_id.text}: the device must be a member and send the "
                "certificate of the domain's newest revision, else it is refused with 0x8004c605, "
                "0x8004c606 or 0x8004c60a"
            )


# --- one policy -----------------------------------------------------------------------------------


def _of_policy(policy: Policy, now: int) -> Iterator[str]:
    yield from _levels(policy)
    yield from _dates(policy, now)
    yield from _without_effect(policy, now)
    yield from _hdcp(policy)
    for place, kind in _PLACES.items():
        for each in getattr(policy, place.removeprefix("policy.")):
            yield from kind(place, each)


def _levels(policy: Policy) -> Iterator[str]:
    level = policy.security_level
    if not _fits("sl", level):
        yield f"sl is {level} by default, clients know {BY_NAME['sl'].value_type.expected}"
    for parameter in PARAMETERS:
        place, _, name = parameter.sets.partition(".")
        if place == "levels":
            level = getattr(policy.output_levels, name)
            published = PUBLISHED_LEVELS[name]
            if level not in (0, *published):
                *others, last = map(str, published)
                yield (
                    f"{parameter.name} is {level}, published are {', '.join(others)} and {last}: "
                    f"{find_effect(name, level)}"
                )


def _fits(name: str, value: int) -> bool:
    try:
        BY_NAME[name].value_type.read(str(value))
    except InvalidValue:
        return False
    return True


def _dates(policy: Policy, now: int) -> Iterator[str]:
    begin, end = policy.begin, policy.end(now)
    if end is not None and end <= now:
        yield f"expiration is {DATE.write(end)}, which is past: clients refuse the licence"
    elif begin is not None and end is not None and begin >= end:
        yield (
            f"begindate is {DATE.write(begin)}, and by default the licence ends "
            f"{DATE.write(end)}: clients refuse it"
        )
    elif begin is not None and begin > now:
        yield f"begindate is {DATE.write(begin)}, which is to come: clients refuse it until then"
    if policy.removal_date is not None and policy.removal_date <= now:
        yield (
            f"removaldate is {DATE.write(policy.removal_date)}, which is past: devices may drop "
            "the licence at once"
        )


def _without_effect(policy: Policy, now: int) -> Iterator[str]:
    ends = policy.end(now) is not None or policy.first_play_expiration is not None
    # With an end, a begin in the past guards against a clock that is set back.
    if policy.begin is not None and policy.begin <= now and not ends:
        yield f"begindate is {DATE.write(policy.begin)}, which is past: it has no effect"
    ends_later = policy.expiration is not None and policy.expiration > now
    requested_end = ends_later or policy.first_play_expiration is not None
    if requested_end and not policy.persistent and not policy.real_time:
        yield (
            "the licence ends and is not persistent: without realtime:true clients may check the "
            "end only when playback begins"
        )
    if ends_later and policy.begin is None:
        yield (
            "expiration without begindate: publications recommend both, against clocks that are "
            "set back"
        )
    if policy.real_time and not ends:
        yield "realtime has no effect: the licence does not end"
    if policy.grace_period is not None and not ends and policy.begin is None:
        yield "graceperiod has no effect: the licence neither begins nor ends"
    if policy.removal_date is not None and not policy.persistent:
        yield "removaldate has no effect: the licence is not persistent"
    if not (policy.play or policy.copy or policy.execute or policy.read or policy.extended_rights):
        yield "the licence grants no right: playright is false, and there is no other"


def _hdcp(policy: Policy) -> Iterator[str]:
    level = policy.output_levels.uncompressed_digital_video
    for each in policy.digital_video:
        if each.id.text == _HDCP_TYPE and each.data == _HDCP_TYPE_1 and level < _HDCP_LEVEL:
            yield (
                f"dvop {_HDCP_TYPE} requires HDCP type 1, and ucvopl is {level}: clients look at "
                f"it from ucvopl {_HDCP_LEVEL} on"
            )


# --- protections ----------------------------------------------------------------------------------


def _protection(place: str, protection: Protection) -> Iterator[str]:
    name, text = _NAMES[place], protection.id.text
    if text not in KNOWN[place]:
        right = _right_place(text)
        if right is None:
            yield f"{name} {text} is not published: clients that do not know it refuse the licence"
        else:
            yield f"{name} {text} is {NAMES[text]}, clients look for it in {right}"
    length = DATA_LENGTHS.get(protection.id)
    if length is not None and len(protection.data) != length:
        yield (
            f"{name} {text} has {len(protection.data)} bytes of data, clients expect {length}: "
            f"{NAMES[text]}"
        )


def _enabler(place: str, enabler: Guid) -> Iterator[str]:
    text = enabler.text
    if text not in KNOWN[place]:
        right = _right_place(text)
        if right is None:
            yield f"{_NAMES[place]} {text} is not published: it has no effect on most clients"
        else:
            yield f"{_NAMES[place]} {text} is {NAMES[text]}, clients look for it in {right}"


def _right_place(text: str) -> str | None:
    return next((_NAMES[place] for place, known in KNOWN.items() if text in known), None)


_NAMES: Final = {
    "policy.digital_video": "dvop",
    "policy.digital_audio": "daop",
    "policy.analog_video": "avop",
    "policy.play_enablers": "playenablers",
}
_PLACES: Final[dict[str, Callable[[str, Any], Iterator[str]]]] = {
    "policy.digital_video": _protection,
    "policy.digital_audio": _protection,
    "policy.analog_video": _protection,
    "policy.play_enablers": _enabler,
}
"""The places of GUIDs in a policy."""
