"""LeaveDomain: a device ends its membership in an account's domain.

A challenge that is sent again is answered as the first time and changes nothing.
"""

from dataclasses import replace

from rightsmanager.errors import NotADomainMember
from rightsmanager.operations.context import Context, Verified, authenticate, build_report_facts
from rightsmanager.operations.domain_authority import expect_account, refuse_service
from rightsmanager.operations.request import Request
from rightsmanager.protocol.messages.domain import (
    LeaveChallenge,
    LeaveResponse,
    open_leave,
    seal_leave_response,
)
from rightsmanager.store.database import Transaction
from rightsmanager.store.domains import Account


def leave_domain(context: Context, request: Request) -> bytes:
    """Return the reply to a LeaveDomain challenge, the membership recorded as ended."""
    now = context.clock()
    challenge = open_leave(
        request.envelope, context.server_keys, context.backend, context.verifier.parse
    )
    request.progress.account_id = challenge.account_id
    device = authenticate(context, request, challenge, now)
    if context.hooks.is_used:
        facts = build_report_facts(request, device, challenge.elements)
        context.hooks.decide(request.progress, replace(facts, account_id=challenge.account_id))
    with context.store.transaction() as transaction:
        asked = Verified(request, challenge, device, now)
        account = _record(context, transaction, asked)
    request.progress.recorded = request.progress.clock()
    response = LeaveResponse(account.service_id, account.account_id, account.revision)
    return seal_leave_response(
        response,
        context.signing.chain,
        context.signing.key,
        custom_data=request.progress.reply_custom_data,
    )


def _record(context: Context, transaction: Transaction, asked: Verified[LeaveChallenge]) -> Account:
    defaults, challenge, url = context.domains.defaults, asked.challenge, asked.request.url
    device = asked.device
    found = transaction.domains.lock(challenge.account_id)
    account = expect_account(defaults, found, challenge.account_id, url)
    refuse_service(challenge.service_id, account.service_id)
    if not transaction.domains.record_request(challenge.digest, device.id, asked.now):
        return account
    member = transaction.domains.find_member(account.account_id, device.id)
    if member is None or not member.is_member:
        raise NotADomainMember(
            f"the device is not a member of account {account.account_id.text}",
            domain=defaults.fault_details(account, url),
        )
    transaction.domains.record_member(account.account_id, replace(member, left_at=asked.now))
    transaction.domains.release_seat(account.account_id)
    return account
