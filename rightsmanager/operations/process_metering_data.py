"""ProcessMeteringData: a device reports what it played, and each report counts once.

A report is identified by its device, metering id and TransactionID. The same report again is
answered alike, however it was encrypted and signed this time; with other content it is refused.
The content of a report and the totals that it adds to are recorded in one transaction, which is
committed and on the disk before the reply lets the device forget the report.
"""

import hashlib
from dataclasses import replace
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.context import Context, authenticate, build_report_facts
from rightsmanager.operations.request import Request
from rightsmanager.policy.device import Device
from rightsmanager.protocol.messages.metering import (
    MeteringAnswer,
    MeteringChallenge,
    MeteringReport,
    open_metering_data,
    seal_metering_response,
)
from rightsmanager.store.metering import ReceivedReport

_PURPOSE: Final = b"metering report"


def process_metering_data(context: Context, request: Request) -> bytes:
    """Return the reply to a ProcessMeteringData challenge, its report counted once."""
    now = context.clock()
    challenge = open_metering_data(
        request.envelope,
        context.metering_keys.by_name,
        context.backend,
        context.verifier.parse,
        context.options.max_records,
    )
    device, report = authenticate(context, request, challenge, now), challenge.report
    if context.hooks.is_used:
        _ask_hooks(context, request, challenge, device)
    _record(context, _to_row(report, device, now))
    request.progress.recorded = request.progress.clock()
    request.progress.kids = tuple(dict.fromkeys([each.kid for each in report.usage]))
    answer = MeteringAnswer(report.mid, report.transaction_id, challenge.records)
    return seal_metering_response(
        answer,
        context.signing.chain,
        context.signing.key,
        custom_data=request.progress.reply_custom_data,
    )


def _ask_hooks(
    context: Context, request: Request, challenge: MeteringChallenge, device: Device
) -> None:
    report = challenge.report
    facts = replace(
        build_report_facts(request, device, challenge.elements),
        kids=tuple(dict.fromkeys(each.kid for each in report.usage)),
        metering_id=report.mid,
        transaction_id=report.transaction_id,
        usage=report.usage,
    )
    context.hooks.decide(request.progress, facts)


def _record(context: Context, report: ReceivedReport) -> None:
    with context.store.transaction(durable=True) as transaction:
        keep = context.options.keep_reports
        if transaction.metering.record(report, keep=keep) != report.digest:
            raise InvalidMessage(
                f"TransactionID {report.transaction_id.text} was reported before with other "
                "records, expected the same"
            )


def content_digest(report: MeteringReport) -> bytes:
    """Return the SHA-256 of a report's records in any order, 32 bytes."""
    digest = hashlib.sha256(_PURPOSE)
    for kid, action, value in sorted(
        [(each.kid.raw, each.action.encode(), each.value) for each in report.usage]
    ):
        digest.update(kid + len(action).to_bytes(2) + action + value.to_bytes(4))
    return digest.digest()


def _to_row(report: MeteringReport, device: Device, now: int) -> ReceivedReport:
    return ReceivedReport(
        device=device.id,
        mid=report.mid,
        transaction_id=report.transaction_id,
        digest=content_digest(report),
        received_at=now,
        usage=tuple([(each.kid, each.action, each.value) for each in report.usage]),
    )
