"""What a request gets: licences, a fault that it asked for, or a refusal.

A request without parameters takes a short path: one licence for each key of the header by the
server's default policy, but for two keys of old test content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rightsmanager.errors import DeviceCertificateRevoked, Refusal, ServiceSpecific
from rightsmanager.policy.granting import grants_of, refuse_rights, settings_of
from rightsmanager.policy.grants import Grant, Policy, default_grants, refuse_security_level
from rightsmanager.policy.query import parse_request
from rightsmanager.policy.reflection import Client, asked_refusal, client_info_refusal
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.protocol.formats.bcert import Feature
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.wire import AccountId, Kid, ServiceId, TransactionId

SPECIAL_CHAINED: Final = Kid.from_base64("uPeXHrR3K0icGCpYMBGsZw==")
"""Without parameters it gets a root and a leaf licence that expire soon."""
SPECIAL_DOMAIN: Final = Kid.from_base64("m1HAERIu8E+uABCZY4TX2g==")
"""Without parameters its licence is bound to a domain."""
SPECIAL_ROOT: Final = Kid.from_text("3c6f3c13-6207-4916-867c-8252b3993638")
"""The root of the chained one: that of the published example, since none is published for it."""
SPECIAL_SECONDS: Final = 300
"""For how long the chained licences are good."""

_SPECIAL: Final = frozenset({SPECIAL_CHAINED.raw, SPECIAL_DOMAIN.raw})


@dataclass(frozen=True, slots=True)
class LicenseQuery:
    """A verified request, as far as it decides what is granted."""

    header: Header
    query: str = field(repr=False)
    """As it came, undecoded, without the question mark; it may hold a content key."""
    custom_data: str | None = field(repr=False)
    client: Client
    url: str
    """The request's URL without its query."""


@dataclass(frozen=True, slots=True)
class DefaultDomain:
    """Which domain licences are bound to where the request names no account."""

    service_id: ServiceId | None = None
    """The domains of headers with this DS_ID are ours."""
    account_id: AccountId | None = None
    """The account of such content; None where there is no such account."""

    def account_of(self, header: Header) -> AccountId | None:
        """Return the account that a header's licences are bound to, None where it is of none."""
        if header.ds_id is None or header.ds_id != self.service_id:
            return None
        return self.account_id


NO_DOMAIN: Final = DefaultDomain()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request gets: licences, or a fault that it asked for."""

    grants: tuple[Grant, ...]
    refusal: Refusal | None = None
    transaction_id: TransactionId | None = None
    """What the device shall acknowledge the licences under."""


def decide(asked: LicenseQuery, default: Policy, domain: DefaultDomain = NO_DOMAIN) -> Decision:
    """Return what a request gets, root licences first.

    Raises ServiceSpecific for what cannot be granted, by name, value and expectation.
    """
    requested_licenses = parse_request(asked.query, asked.custom_data)
    refusal = _find_refusal(requested_licenses, asked) if requested_licenses else None
    if refusal is not None:
        return Decision((), refusal)
    leaf = asked.client.chain.leaf
    if requested_licenses and Feature.PLAYREADY_3 in leaf.features:
        refuse_rights(requested_licenses)
    decision = decide_grants(requested_licenses, asked.header, default, domain)
    refuse_security_level(decision.grants, leaf.security_level)
    return decision


def decide_grants(
    requested_licenses: Sequence[RequestedLicense],
    header: Header,
    default: Policy,
    domain: DefaultDomain = NO_DOMAIN,
) -> Decision:
    """Return the licences that requests give; without any, those of the default.

    Raises ServiceSpecific.
    """
    account_id = domain.account_of(header)
    if not requested_licenses:
        return Decision(_bound(_unasked(header, default, domain), account_id))
    grants = _bound(grants_of(requested_licenses, header, default), account_id)
    return Decision(grants, transaction_id=_transaction_id(requested_licenses))


def _bound(grants: tuple[Grant, ...], account_id: AccountId | None) -> tuple[Grant, ...]:
    """Return the grants, bound to the account's domain where they are bound to none."""
    if account_id is None:
        return grants
    return tuple(
        replace(grant, account_id=account_id) if grant.account_id is None else grant
        for grant in grants
    )


def _find_refusal(
    requested_licenses: Sequence[RequestedLicense], asked: LicenseQuery
) -> Refusal | None:
    replies = (settings_of(requested)["reply"] for requested in requested_licenses)
    return next(filter(None, (_injected(reply, asked) for reply in replies)), None)


def _injected(reply: Mapping[str, Any], asked: LicenseQuery) -> Refusal | None:
    """Return the fault that a requested asks for."""
    if reply.get("client_info"):
        return client_info_refusal(asked.client)
    if "error_code" in reply:
        return asked_refusal(reply["error_code"], asked.url)
    if reply.get("revoked"):
        return DeviceCertificateRevoked("revoked was asked for: the device counts as revoked")
    return None


def _transaction_id(requested_licenses: Sequence[RequestedLicense]) -> TransactionId | None:
    replies = [settings_of(requested)["reply"] for requested in requested_licenses]
    found = {reply["transaction_id"]: None for reply in replies if "transaction_id" in reply}
    if len(found) > 1:
        shown = " and ".join(each.text for each in found)
        raise ServiceSpecific(f"tid is {shown}, expected the same one in every group")
    return next(iter(found), None)


def _unasked(header: Header, default: Policy, domain: DefaultDomain) -> tuple[Grant, ...]:
    grants = default_grants(header, default)
    for grant in grants:
        if grant.kid.raw in _SPECIAL:
            return _with_special(grants, domain)
    return grants


def _with_special(grants: tuple[Grant, ...], domain: DefaultDomain) -> tuple[Grant, ...]:
    """Return the grants with those for keys of old test content as it was used to get them."""
    leaves = []
    roots = []
    for grant in grants:
        if grant.kid == SPECIAL_DOMAIN:
            leaves.append(_of_default_account(grant, domain))
            continue
        if grant.kid != SPECIAL_CHAINED:
            leaves.append(grant)
            continue
        soon = replace(grant.policy, valid_for=SPECIAL_SECONDS)
        roots.append(Grant(SPECIAL_ROOT, grant.key_type, soon, is_root=True))
        leaves.append(replace(grant, policy=soon, root_kid=SPECIAL_ROOT))
    return *roots, *leaves


def _of_default_account(grant: Grant, domain: DefaultDomain) -> Grant:
    if domain.account_id is None:
        raise ServiceSpecific(
            f"the licence for KID {grant.kid.text} is bound to a domain, expected accountid or a "
            "default account in the settings"
        )
    return replace(grant, account_id=domain.account_id)
