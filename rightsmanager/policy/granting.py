"""From requested licences to grants: parameters applied to the server's default policy.

Refused are combinations that PlayReady forbids, parameters without effect, KIDs that are not in the
header, and two licences for one KID. Root licences come first: a device opens the others with them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.grants import Grant, Policy, key_type_of
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.value_types import HEADER
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import Kid

_REFUSED_TO_PLAYREADY_3: Final = ("copyright", "executeright", "readright")


@dataclass(frozen=True, slots=True)
class Combination:
    """Parameters that are mutually exclusive within one licence."""

    name: str
    others: tuple[str, ...]
    why: str


FORBIDDEN: Final = (
    Combination(
        "removaldate",
        ("begindate", "expiration", "firstplayexpiration", "mid"),
        "PlayReady allows no removal date in a licence that expires or is metered",
    ),
    Combination("persist", ("simple",), "a simple licence is non-persistent"),
    Combination("persist", ("securestop",), "only non-persistent licences have secure stop"),
    Combination("isroot", ("rootid",), "a root licence is not chained to another one"),
)
"""Refused combinations; a parameter whose value is false does not count."""


def collect_fields(requested: RequestedLicense) -> dict[str, dict[str, Any]]:
    """Return the fields that parameters set, by place: `policy`, `levels`, `grant`, `reply`."""
    places: dict[str, dict[str, Any]] = defaultdict(dict)
    for parameter, value in requested:
        place, _, name = parameter.sets.partition(".")
        if parameter.adds:
            places[place][name] = (*places[place].get(name, ()), *parameter.adds(value))
        else:
            places[place][name] = value
    return places


def grant_licenses(
    requested_licenses: Sequence[RequestedLicense], header: Header, default: Policy
) -> tuple[Grant, ...]:
    """Return one grant for each requested licence, root licences first.

    Raises ServiceSpecific.
    """
    if not header.license_requested:
        return ()
    grants = [
        grant for requested in requested_licenses for grant in _grants(requested, header, default)
    ]
    _refuse_twice(grants)
    _refuse_other_account(grants)
    return tuple(sorted(grants, key=lambda grant: not grant.is_root))


def refuse_rights(requested_licenses: Sequence[RequestedLicense]) -> None:
    """Raise ServiceSpecific for rights that clients with PlayReady 3 features must not get."""
    for requested in requested_licenses:
        for parameter, value in requested:
            if parameter.name in _REFUSED_TO_PLAYREADY_3 and value:
                raise ServiceSpecific(
                    f"{parameter.name} is {parameter.spell(value)}, expected false for a client "
                    "with PlayReady 3 features"
                )


def _grants(requested: RequestedLicense, header: Header, default: Policy) -> Iterator[Grant]:
    _refuse_combinations(requested)
    fields = collect_fields(requested)
    given = fields["grant"]
    policy = _policy(fields, default)
    _refuse_policy(requested, policy)
    for kid, key_type in _kids(given, header):
        yield Grant(
            kid,
            given.get("key_type", key_type),
            policy,
            content_key=given.get("content_key"),
            key_seed=given.get("key_seed"),
            is_root=given.get("is_root", False),
            root_kid=given.get("root_kid"),
            account_id=given.get("account_id"),
        )


def _policy(fields: Mapping[str, Mapping[str, Any]], default: Policy) -> Policy:
    changes = dict(fields.get("policy", {}))
    levels = fields.get("levels")
    if levels:
        changes["output_levels"] = replace(default.output_levels, **levels)
    if fields["grant"].get("simple"):
        changes["persistent"] = False
    # A short and a long form of one protection or enabler are one item.
    for name in ("play_enablers", "digital_video", "analog_video", "digital_audio"):
        if name in changes:
            changes[name] = tuple(dict.fromkeys(changes[name]))
    return replace(default, **changes)


def _kids(given: Mapping[str, Any], header: Header) -> list[tuple[Kid, KeyType | None]]:
    """Return the KIDs of a requested licence, each with its key type by the header."""
    wanted = given.get("kid", HEADER)
    # The header's ALGID must not be looked at then: it may be one that no licence supports.
    is_known = "key_type" in given
    if wanted == HEADER:
        return [(entry.kid, None if is_known else key_type_of(entry)) for entry in header.kids]
    for entry in header.kids:
        if entry.kid == wanted:
            return [(entry.kid, None if is_known else key_type_of(entry))]
    if given.get("is_root"):
        return [(wanted, None)]
    raise ServiceSpecific(
        f"kid is {wanted.text}, expected header or one of the header's: "
        + ", ".join(entry.kid.text for entry in header.kids[:8])
    )


# --- refusals -------------------------------------------------------------------------------------


def _refuse_combinations(requested: RequestedLicense) -> None:
    given = {parameter.name: value for parameter, value in requested if value is not False}
    for forbidden in FORBIDDEN:
        other = next((other for other in forbidden.others if other in given), None)
        if forbidden.name in given and other is not None:
            raise ServiceSpecific(
                f"{_spell(forbidden.name, given)} is given with {_spell(other, given)}, expected "
                f"one of them: {forbidden.why}"
            )


def _spell(name: str, given: Mapping[str, Any]) -> str:
    return f"{name} {BY_NAME[name].spell(given[name])}"


def _refuse_policy(requested: RequestedLicense, policy: Policy) -> None:
    """Raise ServiceSpecific for parameters that contradict each other or the defaults."""
    given = {parameter.name: value for parameter, value in requested if value is not False}
    if policy.persistent and policy.secure_stop:
        raise ServiceSpecific(
            f"{_spell('securestop', given)}, expected with persist:false: the server's licences "
            "are persistent by default, and only non-persistent ones have secure stop"
        )
    if policy.removal_date is not None and policy.valid_for:
        raise ServiceSpecific(
            f"{_spell('removaldate', given)}, expected none: the server's licences expire by "
            "default, and PlayReady allows no removal date in a licence that expires"
        )
    if policy.expiration is not None and policy.expiration <= (policy.begin or 0):
        raise ServiceSpecific(
            f"{_spell('expiration', given)}, expected a date after begindate or after 1970"
        )
    _refuse_without_right(requested, policy)


def _refuse_without_right(requested: RequestedLicense, policy: Policy) -> None:
    for parameter, value in requested:
        if parameter.needs_play and not policy.play and value is not False:
            raise ServiceSpecific(
                f"{parameter.name} is {parameter.spell(value)}, expected with playright:true: "
                "it restricts the Play right"
            )
    has_right = policy.play or policy.copy or policy.execute or policy.read
    if policy.extended_restrictions and not has_right:
        raise ServiceSpecific(
            "extendedrestrictions is given, expected with playright, copyright, executeright or "
            "readright: a restriction belongs to a right"
        )


def _refuse_twice(grants: Sequence[Grant]) -> None:
    seen: set[Kid] = set()
    for grant in grants:
        if grant.kid in seen:
            raise ServiceSpecific(
                f"kid {grant.kid.text} is asked for twice, expected one licence for each key"
            )
        seen.add(grant.kid)


def _refuse_other_account(grants: Sequence[Grant]) -> None:
    """Raise ServiceSpecific for a leaf of another domain than its root's."""
    roots = {grant.kid: grant for grant in grants if grant.is_root}
    for grant in grants:
        root = None if grant.root_kid is None else roots.get(grant.root_kid)
        if root is None or grant.account_id in (None, root.account_id):
            continue
        of_root = "none" if root.account_id is None else root.account_id.text
        raise ServiceSpecific(
            f"accountid is {grant.account_id}, expected that of the root licence "
            f"{root.kid.text}: {of_root}"
        )
