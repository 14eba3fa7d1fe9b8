"""AcknowledgeLicense: a device reports which licences of a reply it could store.

The reply asked for it with a TransactionID: the one that the request named, or else one derived
from the request's digest, so that a request that is sent again gets the same.

A reported result is final: the same result again is answered alike and stored once, any other is
refused. A device may report the licences of one transaction in several messages.
"""

import hashlib
from dataclasses import replace
from typing import Final

from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.operations.context import Context, authenticate, build_report_facts
from rightsmanager.operations.request import Request
from rightsmanager.policy.device import Device
from rightsmanager.protocol.messages.acknowledgement import (
    AcknowledgementChallenge,
    open_acknowledgement,
    seal_acknowledgement_response,
)
from rightsmanager.protocol.wire import GUID_LENGTH, TransactionId
from rightsmanager.store.database import Transaction

_PURPOSE: Final = b"acknowledgement"


def transaction_id_of(request: bytes) -> TransactionId:
    """Return the transaction id of a request that names none, by its digest of 32 bytes."""
    return TransactionId(hashlib.sha256(_PURPOSE + request).digest()[:GUID_LENGTH])


def acknowledge_license(context: Context, request: Request) -> bytes:
    """Return the reply to an AcknowledgeLicense challenge, its results recorded."""
    now = context.clock()
    challenge = open_acknowledgement(
        request.envelope, context.server_keys, context.backend, context.verifier.parse
    )
    device = authenticate(context, request, challenge, now)
    if context.hooks.is_used:
        _ask_hooks(context, request, challenge, device)
    with context.store.transaction() as transaction:
        _refuse_unknown(transaction, challenge, device)
        _record(transaction, challenge, device, now)
    request.progress.recorded = request.progress.clock()
    request.progress.kids = tuple(each.kid for each in challenge.results)
    return seal_acknowledgement_response(
        challenge.transaction_id,
        context.signing.chain,
        context.signing.key,
        custom_data=request.progress.reply_custom_data,
    )


def _ask_hooks(
    context: Context, request: Request, challenge: AcknowledgementChallenge, device: Device
) -> None:
    facts = replace(
        build_report_facts(request, device, challenge.elements),
        kids=tuple(each.kid for each in challenge.results),
        transaction_id=challenge.transaction_id,
        results=challenge.results,
    )
    context.hooks.decide(request.progress, facts)


def _refuse_unknown(
    transaction: Transaction, challenge: AcknowledgementChallenge, device: Device
) -> None:
    issued = transaction.acknowledgements.find_kids(challenge.transaction_id, device.id)
    if not issued:
        raise ServiceSpecific(
            f"TransactionID {challenge.transaction_id.text} is not of a reply to this device"
        )
    for result in challenge.results:
        if result.kid not in issued:
            raise InvalidMessage(
                f"KID {result.kid.text} has no licence under TransactionID "
                f"{challenge.transaction_id.text}"
            )


def _record(
    transaction: Transaction, challenge: AcknowledgementChallenge, device: Device, now: int
) -> None:
    for each in challenge.results:
        recorded = transaction.acknowledgements.record(
            challenge.transaction_id, device.id, each.kid, each.result, now
        )
        if recorded != each.result:
            raise InvalidMessage(
                f"KID {each.kid.text} was acknowledged with 0x{recorded:08x} before, "
                f"now with 0x{each.result:08x}"
            )
