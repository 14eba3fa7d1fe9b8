"""The decision on a request: licences, or a fault that the request asked for.

A request without parameters takes a short path: one licence for each key of the header by the
server's default policy, with an exception for two keys of old test content.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rightsmanager.errors import DeviceCertificateRevoked, Refusal, ServiceSpecific
from rightsmanager.policy.capabilities import find_capability_warnings, refuse_rights
from rightsmanager.policy.defaults import Clocks, DefaultDomain, LicenseDefaults
from rightsmanager.policy.device import Device
from rightsmanager.policy.granting import ReplyFields, collect_fields, grant_licenses
from rightsmanager.policy.grants import KEY_TYPES, Grant, Policy, key_type_of
from rightsmanager.policy.query import NO_REQUEST, ParsedRequest, parse_request
from rightsmanager.policy.reflection import client_info_refusal, requested_refusal
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.rules import AboveLevel, DecisionWarning, Rules, WarningCode
from rightsmanager.policy.value_types import RelativeTime
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.wire import AccountId, Kid, TransactionId

SPECIAL_CHAINED: Final = Kid.from_base64("uPeXHrR3K0icGCpYMBGsZw==")
"""A KID that gets a root and a leaf licence of a few minutes without parameters."""
SPECIAL_DOMAIN: Final = Kid.from_base64("m1HAERIu8E+uABCZY4TX2g==")
"""A KID whose licence is bound to a domain without parameters."""
# No root is published for the chained KID: this is the one of the published example of chaining.
SPECIAL_ROOT: Final = Kid.from_text("3c6f3c13-6207-4916-867c-8252b3993638")
"""The KID of the root licence that the chained KID gets."""
SPECIAL_SECONDS: Final = 300
"""Lifetime of the chained licences."""

_SPECIAL: Final = frozenset({SPECIAL_CHAINED.raw, SPECIAL_DOMAIN.raw})


@dataclass(frozen=True, slots=True)
class LicenseQuery:
    """The parts of a verified request that the decision depends on."""

    header: Header
    query: str = field(repr=False)
    """Percent-encoded, without the question mark; it may contain a content key."""
    custom_data: str | None = field(repr=False)
    device: Device
    url: str
    """The request's URL without its query."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Licences, or a fault that the request asked for."""

    grants: tuple[Grant, ...]
    refusal: Refusal | None = None
    transaction_id: TransactionId | None = None
    """The transaction id that the device acknowledges the licences with."""
    warnings: tuple[DecisionWarning, ...] = ()
    has_relative_dates: bool = False
    """True if a later repeat of the request gets licences with other dates."""
    stream_user: str | None = None
    """The user that a hook counts streams for."""
    stream_limit: int | None = None
    """The most streams that a hook allows each holder."""


def decide(query: LicenseQuery, defaults: LicenseDefaults, now: int) -> Decision:
    """Return the decision on a request, root licences first; now: Unix seconds.

    Raises ServiceSpecific for parameters that cannot be granted.
    """
    request = NO_REQUEST
    # Most requests of players have neither.
    if query.query or query.custom_data:
        request = parse_request(query.query, query.custom_data, defaults.rules.unknown_parameters)
    fault = _find_fault(request.licenses, query) if request.licenses else None
    if fault is not None:
        return Decision((), fault, warnings=request.warnings)
    if len(query.header.kids) > defaults.rules.max_kids:
        raise _too_many("the header has", "KIDs", len(query.header.kids), defaults.rules)
    clocks = Clocks(now, query.device.client_time)
    if defaults.rules.max_clock_difference_seconds:
        _refuse_clock(clocks, defaults.rules)
    decision = decide_grants(request, query.header, defaults, clocks)
    if request.licenses:
        if len(decision.grants) > defaults.rules.max_kids:
            raise _too_many("the request is for", "licences", len(decision.grants), defaults.rules)
        refuse_rights(request.licenses, query.device)
        found = find_capability_warnings(request.licenses, decision.grants, query.device)
        decision = replace(decision, warnings=decision.warnings + found)
    return apply_level(decision, query.device.chain.leaf.security_level, defaults.rules)


def _too_many(what: str, things: str, count: int, rules: Rules) -> ServiceSpecific:
    return ServiceSpecific(
        f"{what} {count} {things}, expected at most {rules.max_kids} (license.max_kids)"
    )


def decide_grants(
    request: ParsedRequest, header: Header, defaults: LicenseDefaults, clocks: Clocks
) -> Decision:
    """Return the decision for a device of any level, the default one without licences.

    Raises ServiceSpecific.
    """
    warnings = request.warnings
    if header.warnings:
        found = [DecisionWarning.of(WarningCode.CHECKSUM, text) for text in header.warnings]
        warnings = (*warnings, *found)
    # Only headers with a DS_ID belong to a domain.
    account_id = None if header.ds_id is None else defaults.domain.find_account(header)
    if not request.licenses:
        grants = _default_grants(header, defaults)
        if account_id is not None:
            grants = _bind(grants, account_id)
        return Decision(grants, warnings=warnings)
    granted = grant_licenses(request.licenses, header, defaults, clocks)
    return Decision(
        _with_published_lifetime(_bind(granted.grants, account_id)),
        transaction_id=_transaction_id(request.licenses),
        warnings=warnings + granted.warnings,
        has_relative_dates=_has_relative_dates(request.licenses),
    )


def apply_level(decision: Decision, device_level: int, rules: Rules) -> Decision:
    """Return the decision for a device of this security level.

    Raises ServiceSpecific if the rules refuse a licence above it, or if no other one is left.
    """
    # A loop and no call: nearly every licence passes here.
    for grant in decision.grants:
        if grant.policy.security_level > device_level:
            break
    else:
        return decision
    grants, warnings = apply_security_level(decision.grants, device_level, rules.above_level)
    # A hook's grants are checked again, and each warning is wanted once.
    found = tuple(dict.fromkeys(decision.warnings + warnings))
    return replace(decision, grants=grants, warnings=found)


def _has_relative_dates(requested: Sequence[RequestedLicense]) -> bool:
    return any(isinstance(value, RelativeTime) for each in requested for _, value in each)


def _refuse_clock(clocks: Clocks, rules: Rules) -> None:
    """Raise ServiceSpecific for a client whose clock differs too much from the server's."""
    difference = clocks.client - clocks.server
    allowed = rules.max_clock_difference_seconds
    if abs(difference) > allowed:
        raise ServiceSpecific(
            f"the client's clock differs by {difference:+d} s from the server's, expected at most "
            f"{allowed} s"
        )


def _bind(grants: tuple[Grant, ...], account_id: AccountId | None) -> tuple[Grant, ...]:
    """Return the grants with those that are bound to no domain bound to the account's."""
    if account_id is None:
        return grants
    return tuple(
        replace(grant, account_id=account_id) if grant.account_id is None else grant
        for grant in grants
    )


def _find_fault(
    requested_licenses: Sequence[RequestedLicense], query: LicenseQuery
) -> Refusal | None:
    """Return the first fault that the request asks for."""
    replies = (collect_fields(requested).reply for requested in requested_licenses)
    return next(filter(None, (_requested_fault(reply, query) for reply in replies)), None)


def _requested_fault(reply: ReplyFields, query: LicenseQuery) -> Refusal | None:
    if reply.client_info:
        return client_info_refusal(query.device)
    if reply.error_code is not None:
        return requested_refusal(reply.error_code, query.url)
    if reply.revoked:
        return DeviceCertificateRevoked("revoked was asked for: the device counts as revoked")
    return None


def _transaction_id(requested_licenses: Sequence[RequestedLicense]) -> TransactionId | None:
    replies = [collect_fields(requested).reply for requested in requested_licenses]
    # In the order of the groups, each once.
    given = (reply.transaction_id for reply in replies)
    found = list(dict.fromkeys(each for each in given if each is not None))
    if len(found) > 1:
        shown = " and ".join(each.text for each in found)
        raise ServiceSpecific(f"tid is {shown}, expected the same one in every group")
    return next(iter(found), None)


def _with_published_lifetime(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Return the grants with the lifetime that root and leaf of old test content have."""
    return tuple(
        replace(grant, policy=replace(grant.policy, valid_for=SPECIAL_SECONDS))
        if grant.kid == SPECIAL_CHAINED and _is_chained_without_end(grant)
        else grant
        for grant in grants
    )


def _is_chained_without_end(grant: Grant) -> bool:
    is_chained = grant.is_root or grant.root_kid is not None
    return is_chained and grant.policy.expiration is None and not grant.policy.valid_for


def _default_grants(header: Header, defaults: LicenseDefaults) -> tuple[Grant, ...]:
    grants = default_grants(header, defaults.policy)
    if defaults.by_kid:
        grants = tuple(
            replace(grant, policy=defaults.by_kid.get(grant.kid, grant.policy)) for grant in grants
        )
    for grant in grants:
        if grant.kid.raw in _SPECIAL:
            return _with_test_content(grants, defaults.domain)
    return grants


def _with_test_content(grants: tuple[Grant, ...], domain: DefaultDomain) -> tuple[Grant, ...]:
    """Return the grants with those for old test content as its test server issued them."""
    leaves = []
    roots = []
    for grant in grants:
        if grant.kid == SPECIAL_DOMAIN:
            account_id = domain.require_account(f"the licence for KID {grant.kid.text}")
            leaves.append(replace(grant, account_id=account_id))
            continue
        if grant.kid != SPECIAL_CHAINED:
            leaves.append(grant)
            continue
        soon = replace(grant.policy, valid_for=SPECIAL_SECONDS)
        roots.append(Grant(SPECIAL_ROOT, grant.key_type, soon, is_root=True))
        leaves.append(replace(grant, policy=soon, root_kid=SPECIAL_ROOT))
    return *roots, *leaves


def default_grants(header: Header, policy: Policy) -> tuple[Grant, ...]:
    """Return one grant for each KID of the header, none if LICENSEREQUESTED is false.

    Raises ServiceSpecific for a header without KIDs and for an ALGID that no licence supports.
    """
    if not header.license_requested:
        return ()
    if not header.kids:
        raise ServiceSpecific("the header has no KID, expected one in the request: cfg=(kid:GUID)")
    # `key_type_of` words the refusal; a look-up for each KID needs no call.
    return tuple(
        [
            Grant(
                entry.kid,
                KEY_TYPES[entry.algid] if entry.algid in KEY_TYPES else key_type_of(entry),
                policy,
            )
            for entry in header.kids
        ]
    )


def apply_security_level(
    grants: tuple[Grant, ...], device_level: int, rule: AboveLevel
) -> tuple[tuple[Grant, ...], tuple[DecisionWarning, ...]]:
    """Return the grants that the rule allows for a device, with a warning for each one above it.

    Raises ServiceSpecific if the rule refuses one of them or drops all of them.
    """
    above = [grant for grant in grants if grant.policy.security_level > device_level]
    if not above:
        return grants, ()
    warnings = tuple(_above_level(grant, device_level) for grant in above)
    if rule is AboveLevel.ISSUE:
        return grants, warnings
    left = without_grants(grants, above)
    if rule is AboveLevel.REFUSE or not left:
        raise ServiceSpecific(warnings[0].text)
    return left, warnings


def _above_level(grant: Grant, device_level: int) -> DecisionWarning:
    return DecisionWarning.of(
        WarningCode.ABOVE_LEVEL,
        f"the licence for KID {grant.kid.text} needs security level "
        f"{grant.policy.security_level}, the device's certificate has {device_level}",
    )


def without_grants(grants: Sequence[Grant], dropped: Sequence[Grant]) -> tuple[Grant, ...]:
    """Return the grants that are left, without leaves of a dropped root."""
    roots = {grant.kid for grant in dropped if grant.is_root}
    return tuple(grant for grant in grants if grant not in dropped and grant.root_kid not in roots)
