"""From requested licences to grants: parameters applied to the server's default policy.

Refused are combinations that PlayReady forbids, parameters without effect, and two licences for one
licence key: a KID, root or not, and the domain it is bound to. KIDs that are not in the header are
passed over unless no other is named: players request the keys of one URL by one header for each
track. Root licences come first: a device opens the others with them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from rightsmanager.errors import ServiceSpecific, StatusCode
from rightsmanager.policy.defaults import Clocks, DefaultDomain, LicenseDefaults
from rightsmanager.policy.grants import Grant, Policy, key_type_of
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.rules import (
    DecisionWarning,
    OtherKids,
    RemovalDateConflicts,
    Rules,
    WarningCode,
)
from rightsmanager.policy.value_types import HEADER, ClientTime, RelativeTime
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import AccountId, Kid, TransactionId

_MAX_KIDS_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Combination:
    """Parameters that are mutually exclusive within one licence."""

    name: str
    others: tuple[str, ...]
    why: str


FORBIDDEN: Final = (
    Combination("persist", ("simple",), "a simple licence is non-persistent"),
    Combination("persist", ("securestop",), "only non-persistent licences have secure stop"),
    Combination("isroot", ("rootid",), "a root licence is not chained to another one"),
    Combination("usedomains", ("accountid",), "both name the domain of the licence"),
)
"""Refused combinations; a parameter whose value is false does not count."""

REMOVAL_DATE_CONFLICTS: Final = Combination(
    "removaldate",
    (
        *("begindate", "expiration", "firstplayexpiration", "mid"),
        *("graceperiod", "extendedrestrictions"),
    ),
    "PlayReady allows a removal date only in licences that neither expire nor are metered nor "
    "have restrictions that need a clock or secure state",
)
"""Combinations that the published server SDK refuses, though a published guide advises some."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Grants, root licences first, and warnings of the parts that are passed over."""

    grants: tuple[Grant, ...] = ()
    warnings: tuple[DecisionWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantFields:
    """The fields of grants that a requested licence sets, in addition to its policy."""

    kid: Kid | str = HEADER
    key_type: KeyType | None = None
    content_key: bytes | None = field(default=None, repr=False)
    key_seed: bytes | None = field(default=None, repr=False)
    is_root: bool = False
    root_kid: Kid | None = None
    account_id: AccountId | None = None
    in_default_domain: bool = False
    """Whether to bind to the domain of the server's own account."""
    simple: bool = False


@dataclass(frozen=True, slots=True)
class ReplyFields:
    """The fields of the reply that a requested licence sets."""

    transaction_id: TransactionId | None = None
    error_code: StatusCode | None = None
    """The fault that it asks for."""
    client_info: bool = False
    """Whether it asks for the fault that shows the client's own facts."""
    revoked: bool = False
    """Whether it asks for the fault of a revoked device."""


@dataclass(frozen=True, slots=True)
class RequestedFields:
    """The fields that the parameters of a requested licence set."""

    policy: Mapping[str, Any]
    """Fields of Policy by name."""
    levels: Mapping[str, int]
    """Fields of OutputLevels by name."""
    grant: GrantFields
    reply: ReplyFields


_NOTHING: Final[Mapping[str, Any]] = {}
_NO_FIELDS: Final = RequestedFields(_NOTHING, _NOTHING, GrantFields(), ReplyFields())


def collect_fields(requested: RequestedLicense) -> RequestedFields:
    """Return the fields that parameters set."""
    if not requested:
        return _NO_FIELDS
    places: dict[str, dict[str, Any]] = defaultdict(dict)
    for parameter, value in requested:
        place, _, name = parameter.sets.partition(".")
        if parameter.adds:
            places[place][name] = (*places[place].get(name, ()), *parameter.adds(value))
        else:
            places[place][name] = value
    grant, reply = places.get("grant"), places.get("reply")
    # Most requests set a policy alone: 2 µs less than two more values for each licence.
    return RequestedFields(
        places.get("policy", _NOTHING),
        places.get("levels", _NOTHING),
        GrantFields(**grant) if grant else _NO_FIELDS.grant,
        ReplyFields(**reply) if reply else _NO_FIELDS.reply,
    )


def grant_licenses(
    requested_licenses: Sequence[RequestedLicense],
    header: Header,
    defaults: LicenseDefaults,
    clocks: Clocks,
) -> Granted:
    """Return one grant for each requested licence; raises ServiceSpecific."""
    if not header.license_requested:
        return Granted()
    found = [_grant(_with_dates(each, clocks), header, defaults) for each in requested_licenses]
    grants = tuple(chain.from_iterable(each.grants for each in found))
    _refuse_missing(requested_licenses, found, header)
    _refuse_twice(grants)
    _refuse_other_account(grants)
    return Granted(
        tuple(sorted(grants, key=lambda grant: not grant.is_root)),
        tuple(chain.from_iterable(each.warnings for each in found)),
    )


def _with_dates(requested: RequestedLicense, clocks: Clocks) -> RequestedLicense:
    """Return the licence with dates in place of relative times and the client's."""
    if not any(isinstance(value, RelativeTime | ClientTime) for _, value in requested):
        return requested
    dated = []
    for parameter, value in requested:
        date = value
        if isinstance(value, RelativeTime):
            date = value.at(clocks.server)
        elif isinstance(value, ClientTime):
            date = RelativeTime(0).at(clocks.client)
        if date is None:
            raise ServiceSpecific(
                f"{parameter.name} is {parameter.spell(value)}, expected a date from 1970 to 2106"
            )
        dated.append((parameter, date))
    return tuple(dated)


def _grant(requested: RequestedLicense, header: Header, defaults: LicenseDefaults) -> Granted:
    """Return the grants of one requested licence, none for a KID that is not in the header."""
    _refuse_combinations(requested)
    fields = collect_fields(requested)
    policy = _policy(fields, defaults.policy)
    _refuse_policy(requested, policy)
    warnings = tuple(_removal_date_warnings(requested, policy, defaults.rules))
    given = fields.grant
    kids = _kids(given, header, defaults.rules)
    if not kids and isinstance(given.kid, Kid):
        return Granted(warnings=(*warnings, _missing(given.kid)))
    grants = tuple(_build_grants(given, policy, kids, defaults.domain))
    if defaults.by_kid:
        grants = tuple(_with_track(grant, requested, fields, defaults) for grant in grants)
    return Granted(grants, warnings)


def _with_track(
    grant: Grant, requested: RequestedLicense, fields: RequestedFields, defaults: LicenseDefaults
) -> Grant:
    """Return the grant with the default policy of its key's track, if it has one."""
    default = defaults.by_kid.get(grant.kid)
    if default is None:
        return grant
    policy = _policy(fields, default)
    _refuse_policy(requested, policy)
    # Raises by the rule; as a warning it is the same as that of the usual policy.
    tuple(_removal_date_warnings(requested, policy, defaults.rules))
    return replace(grant, policy=policy)


def _build_grants(
    given: GrantFields,
    policy: Policy,
    kids: Sequence[tuple[Kid, KeyType | None]],
    domain: DefaultDomain,
) -> Iterator[Grant]:
    account_id = given.account_id
    if given.in_default_domain:
        account_id = domain.require_account("the licence of usedomains")
    for kid, key_type in kids:
        yield Grant(
            kid,
            key_type if given.key_type is None else given.key_type,
            policy,
            content_key=given.content_key,
            key_seed=given.key_seed,
            is_root=given.is_root,
            root_kid=given.root_kid,
            account_id=account_id,
        )


def _policy(fields: RequestedFields, default: Policy) -> Policy:
    changes = dict(fields.policy)
    if fields.levels:
        changes["output_levels"] = replace(default.output_levels, **fields.levels)
    if fields.grant.simple:
        changes["persistent"] = False
    # A short and a long form of one protection or enabler are one item.
    for name in ("play_enablers", "digital_video", "analog_video", "digital_audio"):
        if name in changes:
            changes[name] = tuple(dict.fromkeys(changes[name]))
    return replace(default, **changes)


def _kids(given: GrantFields, header: Header, rules: Rules) -> list[tuple[Kid, KeyType | None]]:
    """Return the KIDs of a requested licence, each with its key type by the header.

    There are none for a KID that is not in the header, unless the rule is to issue it.
    """
    wanted = given.kid
    # The header's ALGID must not be looked at then: it may be one that no licence supports.
    is_known = given.key_type is not None
    if not isinstance(wanted, Kid):
        if not header.kids:
            raise ServiceSpecific(
                "kid is 'header', expected a GUID: the header of the request has no KID"
            )
        return [(entry.kid, None if is_known else key_type_of(entry)) for entry in header.kids]
    for entry in header.kids:
        if entry.kid == wanted:
            return [(entry.kid, None if is_known else key_type_of(entry))]
    # A root's key encrypts no content, and a header without KIDs leaves them to the request.
    is_free = given.is_root or not header.kids or rules.other_kids is OtherKids.ISSUE
    return [(wanted, None)] if is_free else []


# --- refusals -------------------------------------------------------------------------------------


def refuse_grants(grants: Sequence[Grant]) -> None:
    """Raise ServiceSpecific for grants of an operator's code that contradict themselves."""
    _refuse_twice(grants)
    _refuse_other_account(grants)
    for grant in grants:
        policy, kid = grant.policy, grant.kid.text
        if policy.persistent and policy.secure_stop:
            raise ServiceSpecific(
                f"persistent and secure_stop for KID {kid}, expected one of them: only "
                "non-persistent licences have secure stop"
            )
        if policy.expiration is not None and policy.expiration <= (policy.begin or 0):
            raise ServiceSpecific(
                f"expiration {policy.expiration} for KID {kid}, expected a date after begin"
            )


def _refuse_combinations(requested: RequestedLicense) -> None:
    given = _given(requested)
    for forbidden in FORBIDDEN:
        conflict = _conflict(forbidden, given)
        if conflict is not None:
            raise ServiceSpecific(conflict)


def _given(requested: RequestedLicense) -> Mapping[str, Any]:
    return {parameter.name: value for parameter, value in requested if value is not False}


def _conflict(combination: Combination, given: Mapping[str, Any]) -> str | None:
    other = next((other for other in combination.others if other in given), None)
    if combination.name not in given or other is None:
        return None
    return (
        f"{_spell(combination.name, given)} is given with {_spell(other, given)}, expected one of "
        f"them: {combination.why}"
    )


def _spell(name: str, given: Mapping[str, Any]) -> str:
    return f"{name} {BY_NAME[name].spell(given[name])}"


def _removal_date_warnings(
    requested: RequestedLicense, policy: Policy, rules: Rules
) -> Iterator[DecisionWarning]:
    """Yield the conflict of a removal date, if any, or raise ServiceSpecific by the rule."""
    given = _given(requested)
    if "removaldate" not in given:
        return
    conflict = _conflict(REMOVAL_DATE_CONFLICTS, given) or _policy_conflict(given, policy)
    if conflict is None:
        return
    if rules.removal_date_conflicts is RemovalDateConflicts.REFUSE:
        raise ServiceSpecific(conflict)
    yield DecisionWarning.of(WarningCode.REMOVAL_DATE, conflict)


def _policy_conflict(given: Mapping[str, Any], policy: Policy) -> str | None:
    if policy.valid_for:
        return (
            f"{_spell('removaldate', given)}, expected none: the server's licences expire by "
            "default, and PlayReady allows no removal date in a licence that expires"
        )
    if not policy.persistent:
        return (
            f"{_spell('removaldate', given)}, expected with persist:true: a device stores no "
            "other licence that it could remove"
        )
    return None


def _refuse_policy(requested: RequestedLicense, policy: Policy) -> None:
    """Raise ServiceSpecific for parameters that contradict each other or the defaults."""
    given = _given(requested)
    if policy.persistent and policy.secure_stop:
        raise ServiceSpecific(
            f"{_spell('securestop', given)}, expected with persist:false: the server's licences "
            "are persistent by default, and only non-persistent ones have secure stop"
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


def _refuse_missing(
    requested_licenses: Sequence[RequestedLicense], found: Sequence[Granted], header: Header
) -> None:
    """Raise ServiceSpecific if a request names KIDs, and none of the header's."""
    granted = chain.from_iterable(each.grants for each in found)
    if all(each.grants for each in found) or any(not grant.is_root for grant in granted):
        return
    missing = next(
        kid
        for requested, each in zip(requested_licenses, found, strict=True)
        if not each.grants and isinstance(kid := collect_fields(requested).grant.kid, Kid)
    )
    raise ServiceSpecific(
        f"kid is {missing.text}, expected header or one of the header's: "
        + ", ".join(entry.kid.text for entry in header.kids[:_MAX_KIDS_SHOWN])
    )


def _missing(kid: Kid) -> DecisionWarning:
    return DecisionWarning.of(
        WarningCode.KID_NOT_IN_HEADER, f"KID {kid.text} gets no licence: it is not in the header"
    )


def _refuse_twice(grants: Sequence[Grant]) -> None:
    seen: set[tuple[Kid, bool, AccountId | None]] = set()
    for grant in grants:
        key = (grant.kid, grant.is_root, grant.account_id)
        if key in seen:
            raise ServiceSpecific(
                f"kid {grant.kid.text} is requested twice, expected one licence for each KID as "
                "root or leaf and each domain"
            )
        seen.add(key)


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
