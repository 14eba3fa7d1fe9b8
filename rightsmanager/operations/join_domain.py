"""JoinDomain: a device becomes a member of an account's domain.

    never joined, or left    may join while there is a free seat
    member                   joins again for the newest revisions, and takes no seat for it
    removed by the operator  may not join until the operator allows it

A challenge that is sent again is answered as the first time and changes nothing, even after the
device has left and joined again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rightsmanager.crypto import p256
from rightsmanager.errors import (
    DeviceLimitReached,
    InvalidMessage,
    NotADomainMember,
    ServiceSpecific,
    UnknownAccountId,
)
from rightsmanager.operations.context import Context, Verified, authenticate, build_report_facts
from rightsmanager.operations.domain_authority import MAX_NAME, expect_account, refuse_service
from rightsmanager.operations.request import Request
from rightsmanager.policy.query import parse_request
from rightsmanager.protocol.messages.domain import (
    DomainRevision,
    JoinChallenge,
    JoinResponse,
    open_join,
    seal_join_response,
    wrap_domain_key,
)
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.database import Transaction
from rightsmanager.store.domains import Account, Member, StoredRevision


@dataclass(frozen=True, slots=True)
class _Joined:
    """A recorded join."""

    account: Account
    revisions: Sequence[StoredRevision]


def join_domain(context: Context, request: Request) -> bytes:
    """Return the reply to a JoinDomain challenge, the device recorded as a member."""
    now = context.clock()
    challenge = open_join(
        request.envelope, context.server_keys, context.backend, context.verifier.parse
    )
    request.progress.custom_data = challenge.custom_data
    device = authenticate(context, request, challenge, now)
    _refuse_name(challenge.friendly_name or "")
    # A reply that cannot be sealed must not be recorded.
    device_key = device.leaf.encryption_key
    asked = Verified(request, challenge, device, now)
    account_id = _find_account_id(context, asked)
    request.progress.account_id = account_id
    with context.store.transaction() as transaction:
        account = _open_account(context, transaction, asked, account_id)
        joined = _record(context, transaction, asked, account)
    request.progress.recorded = request.progress.clock()
    return _seal(context, joined, device_key, request)


def _refuse_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise InvalidMessage(
            f"FriendlyName has {len(name)} characters, expected at most {MAX_NAME}"
        )


def _find_account_id(context: Context, asked: Verified[JoinChallenge]) -> AccountId:
    """Return the account that a hook chooses, else that of the challenge, the query or CustomData.

    Without any it is the default one. Raises UnknownAccountId without that too.
    """
    request, challenge = asked.request, asked.challenge
    account_id = (
        challenge.account_id
        or _named_account(request.query, challenge.custom_data)
        or context.domains.defaults.default_account
    )
    if context.hooks.is_used:
        account_id = _ask_hooks(context, asked, account_id) or account_id
    if account_id is None:
        raise UnknownAccountId(
            "neither AccountID nor accountid names an account, and there is no default one"
        )
    return account_id


def _ask_hooks(
    context: Context, asked: Verified[JoinChallenge], account_id: AccountId | None
) -> AccountId | None:
    request, challenge = asked.request, asked.challenge
    facts = replace(
        build_report_facts(request, asked.device, challenge.elements),
        account_id=account_id,
        friendly_name=challenge.friendly_name,
    )
    return context.hooks.decide(request.progress, facts).account_id


def _named_account(query: str, custom_data: str | None) -> AccountId | None:
    """Return the account that `accountid` names in a query, or else in CustomData, or None."""
    values: list[Any] = [
        value
        for requested in parse_request(query, custom_data).licenses
        for parameter, value in requested
        if parameter.name == "accountid"
    ]
    named = dict.fromkeys(values)
    if len(named) > 1:
        shown = " and ".join(account_id.text for account_id in named)
        raise ServiceSpecific(f"accountid is {shown}, expected one: a device joins one account")
    return next(iter(named), None)


def _open_account(
    context: Context,
    transaction: Transaction,
    asked: Verified[JoinChallenge],
    account_id: AccountId,
) -> Account:
    """Return the locked account, created if the settings create accounts at first use."""
    defaults, challenge, url = context.domains.defaults, asked.challenge, asked.request.url
    account = transaction.domains.lock(account_id)
    if account is None and defaults.first_use:
        refuse_service(challenge.service_id, defaults.service_id)
        context.domains.open_account(transaction, defaults.new_account(account_id, asked.now))
        # Another process may have created it meanwhile.
        account = transaction.domains.lock(account_id)
    account = expect_account(defaults, account, account_id, url)
    refuse_service(challenge.service_id, account.service_id)
    if account.closed_at is not None:
        raise UnknownAccountId(
            f"account {account_id.text} is closed", domain=defaults.fault_details(account, url)
        )
    if context.domains.is_outdated(transaction, account, asked.now):
        return context.domains.renew(transaction, account, asked.now)
    return account


def _record(
    context: Context,
    transaction: Transaction,
    asked: Verified[JoinChallenge],
    account: Account,
) -> _Joined:
    challenge, device, url = asked.challenge, asked.device, asked.request.url
    is_new = transaction.domains.record_request(challenge.digest, device.id, asked.now)
    member = transaction.domains.find_member(account.account_id, device.id)
    _refuse_former_member(context, account, member, url, is_new=is_new)
    if member is None or not member.is_member:
        _reserve_seat(context, transaction, account, url)
        member = Member(device.id, "", asked.now, account.revision)
    name = member.name if challenge.friendly_name is None else challenge.friendly_name
    transaction.domains.record_member(
        account.account_id, replace(member, name=name, revision=account.revision)
    )
    return _Joined(account, tuple(transaction.domains.find_revisions(account.account_id)))


def _refuse_former_member(
    context: Context, account: Account, member: Member | None, url: str, *, is_new: bool
) -> None:
    if member is None or member.is_member:
        return
    domain = context.domains.defaults.fault_details(account, url)
    if member.removed_at is not None:
        raise NotADomainMember(
            f"the operator removed the device from account {account.account_id.text}",
            domain=domain,
        )
    if not is_new:
        raise NotADomainMember(
            f"the device has left account {account.account_id.text} since it sent this "
            "challenge, expected a new one",
            domain=domain,
        )


def _reserve_seat(context: Context, transaction: Transaction, account: Account, url: str) -> None:
    if not transaction.domains.reserve_seat(account.account_id):
        defaults = context.domains.defaults
        raise DeviceLimitReached(
            f"account {account.account_id.text} has {account.members} of {account.limit} members",
            custom_data=defaults.help_url or f"{url}?op=JoinDomain",
            domain=defaults.fault_details(account, url),
        )


def _seal(context: Context, joined: _Joined, device_key: p256.PublicKey, request: Request) -> bytes:
    account = joined.account
    response = JoinResponse(
        service_id=account.service_id,
        account_id=account.account_id,
        friendly_name=account.friendly_name,
        domain_url=context.domains.defaults.url_of(account, request.url),
        revisions=tuple(
            DomainRevision(
                revision.revision,
                revision.chain,
                wrap_domain_key(
                    context.domains.open_key(account.account_id, revision),
                    device_key,
                    context.backend,
                    context.rng,
                ),
            )
            for revision in joined.revisions
        ),
    )
    return seal_join_response(
        response,
        context.signing.chain,
        context.signing.key,
        custom_data=request.progress.reply_custom_data,
    )
