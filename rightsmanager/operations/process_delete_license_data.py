"""ProcessDeleteLicenseData: a device reports which persistent licences it has deleted.

All its persistent licences for these KIDs count as deleted, except those that are issued later. A
KID for which the device never got such a licence is accepted, and recorded as unknown. The same
session again is answered alike and changes nothing; the same session with other KIDs is refused.
"""

import hashlib
from dataclasses import replace

from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.context import Context, authenticate, build_report_facts
from rightsmanager.operations.request import Request
from rightsmanager.policy.device import Device
from rightsmanager.protocol.messages.delete_license import (
    DeleteLicenseChallenge,
    open_delete_license,
    seal_delete_license_response,
)
from rightsmanager.store.database import Transaction


def process_delete_license_data(context: Context, request: Request) -> bytes:
    """Return the reply to a ProcessDeleteLicenseData challenge, the deletion recorded."""
    now = context.clock()
    challenge = open_delete_license(
        request.envelope,
        context.server_keys,
        context.backend,
        context.verifier.parse,
        context.options.max_deleted_kids,
    )
    device = authenticate(context, request, challenge, now)
    if context.hooks.is_used:
        _ask_hooks(context, request, challenge, device)
    with context.store.transaction() as transaction:
        _record(transaction, challenge, device, now)
    request.progress.recorded = request.progress.clock()
    request.progress.kids = challenge.kids
    return seal_delete_license_response(
        challenge.session_id, custom_data=request.progress.reply_custom_data
    )


def _ask_hooks(
    context: Context, request: Request, challenge: DeleteLicenseChallenge, device: Device
) -> None:
    facts = replace(
        build_report_facts(request, device, challenge.elements),
        kids=challenge.kids,
        session_id=challenge.session_id,
    )
    context.hooks.decide(request.progress, facts)


def _record(
    transaction: Transaction, challenge: DeleteLicenseChallenge, device: Device, now: int
) -> None:
    # Sorted, so that the same KIDs have the same digest, and rows are locked in a fixed order.
    kids = sorted(challenge.kids, key=lambda kid: kid.raw)
    digest = hashlib.sha256(b"".join(kid.raw for kid in kids)).digest()
    recorded = transaction.ledger.record_deletion(device.id, challenge.session_id, digest, now)
    if recorded is None:
        for kid in kids:
            transaction.ledger.delete(device.id, challenge.session_id, kid, now)
    elif recorded != digest:
        raise InvalidMessage(
            f"SessionID {challenge.session_id.text} deleted other KIDs before, expected the same"
        )
