"""AcknowledgeLicense: a device says which licences of a reply it could store.

The reply asked for it by a TransactionID: the one that the request named, or else one that the
request's digest gives, so that a request that is sent again gets the same.

What a device says of a licence stands: the same again is answered alike and stored once, anything
else is refused. It may speak of the licences of one transaction in several messages.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.clients import device_id, refuse_client
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.signing import Signing
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.acknowledgement import (
    FORM,
    AcknowledgementChallenge,
    open_acknowledgement,
    seal_acknowledgement_response,
)
from rightsmanager.protocol.wire import GUID_LENGTH, TransactionId
from rightsmanager.store.database import Store, Transaction

_PURPOSE: Final = b"acknowledgement"


def transaction_id_of(request: bytes) -> TransactionId:
    """Return the transaction id of a request that names none, by its digest of 32 bytes."""
    return TransactionId(hashlib.sha256(_PURPOSE + request).digest()[:GUID_LENGTH])


@dataclass(frozen=True, slots=True)
class AcknowledgementService:
    """Takes note of what devices did with their licences."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    signing: Signing
    verifier: ChainVerifier
    store: Store
    revocations: RevocationCache
    backend: p256.Backend
    clock: Callable[[], int]
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))

    def acknowledge_license(self, request: Request) -> bytes:
        """Return the reply to an AcknowledgeLicense challenge, its results recorded.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_acknowledgement(
            request.envelope, self.server_keys, self.backend, self.verifier.parse
        )
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, now)
        device = device_id(challenge.signer.leaf)
        with self.store.transaction() as transaction:
            _refuse_unknown(transaction, challenge, device)
            _record(transaction, challenge, device, now)
        kids = tuple(each.kid for each in challenge.results)
        self.hooks.on_event(Event(FORM.operation, device, kids))
        return seal_acknowledgement_response(
            challenge.transaction_id, self.signing.chain, self.signing.key
        )


def _refuse_unknown(
    transaction: Transaction, challenge: AcknowledgementChallenge, device: str
) -> None:
    issued = transaction.acknowledgements.find_kids(challenge.transaction_id, device)
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
    transaction: Transaction, challenge: AcknowledgementChallenge, device: str, now: int
) -> None:
    for each in challenge.results:
        recorded = transaction.acknowledgements.record(
            challenge.transaction_id, device, each.kid, each.result, now
        )
        if recorded != each.result:
            raise InvalidMessage(
                f"KID {each.kid.text} was acknowledged with 0x{recorded:08x} before, "
                f"now with 0x{each.result:08x}"
            )
