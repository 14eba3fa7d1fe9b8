"""Metering: whose key a device encrypts its reports to, and what it reports to have played.

A report is known by its device, metering id and TransactionID, and counts once: sent again it is
answered alike, whatever it was encrypted and signed with this time, and with other content it is
refused. What a report says and the totals it adds to are recorded in one transaction, which is
committed, and on the disk, before the device is told that it may forget.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.clients import device_id, refuse_client
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.signing import Signing
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.metering import (
    CERTIFICATE_FORM,
    DATA_FORM,
    MAX_RECORDS,
    MeteringAnswer,
    MeteringChallenge,
    MeteringReport,
    open_certificate_request,
    open_metering_data,
    seal_certificate_response,
    seal_metering_response,
)
from rightsmanager.store.database import Store
from rightsmanager.store.metering import ReceivedReport

_PURPOSE: Final = b"metering report"


@dataclass(frozen=True, slots=True)
class MeteringService:
    """Gives out metering certificates, and counts what devices report."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    metering_keys: MeteringKeys
    signing: Signing
    verifier: ChainVerifier
    store: Store
    revocations: RevocationCache
    backend: p256.Backend
    clock: Callable[[], int]
    max_records: int = MAX_RECORDS
    keep_reports: bool = True
    """Whether what reports say is stored beside the totals."""
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))

    def get_metering_certificate(self, request: Request) -> bytes:
        """Return the reply to a GetMeteringCertificate challenge; nothing is stored.

        Raises a Refusal.
        """
        challenge = open_certificate_request(
            request.envelope, self.server_keys, self.backend, self.verifier.parse
        )
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, self.clock())
        certificate = self.metering_keys.find_certificate(challenge.mid)
        self.hooks.on_event(Event(CERTIFICATE_FORM.operation, device_id(challenge.signer.leaf)))
        return seal_certificate_response(
            challenge.mid, certificate, self.signing.chain, self.signing.key
        )

    def process_metering_data(self, request: Request) -> bytes:
        """Return the reply to a ProcessMeteringData challenge, its report counted once.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_metering_data(
            request.envelope,
            self.metering_keys.by_name,
            self.backend,
            self.verifier.parse,
            self.max_records,
        )
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, now)
        received = _received(challenge, now)
        self._record(received)
        report = challenge.report
        kids = tuple(dict.fromkeys(each.kid for each in report.usage))
        self.hooks.on_event(Event(DATA_FORM.operation, received.device, kids))
        answer = MeteringAnswer(report.mid, report.transaction_id, challenge.records)
        return seal_metering_response(answer, self.signing.chain, self.signing.key)

    def _record(self, report: ReceivedReport) -> None:
        with self.store.transaction(durable=True) as transaction:
            if transaction.metering.record(report, keep=self.keep_reports) != report.digest:
                raise InvalidMessage(
                    f"TransactionID {report.transaction_id.text} was reported before with other "
                    "records, expected the same"
                )


def content_digest(report: MeteringReport) -> bytes:
    """Return the SHA-256 of what a report says, whatever the order in which it says it."""
    digest = hashlib.sha256(_PURPOSE)
    for kid, action, value in sorted(
        (each.kid.raw, each.action.encode(), each.value) for each in report.usage
    ):
        digest.update(kid + len(action).to_bytes(2) + action + value.to_bytes(4))
    return digest.digest()


def _received(challenge: MeteringChallenge, now: int) -> ReceivedReport:
    report = challenge.report
    return ReceivedReport(
        device=device_id(challenge.signer.leaf),
        mid=report.mid,
        transaction_id=report.transaction_id,
        digest=content_digest(report),
        received_at=now,
        usage=tuple((each.kid, each.action, each.value) for each in report.usage),
    )
