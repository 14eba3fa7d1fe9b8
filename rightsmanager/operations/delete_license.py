"""ProcessDeleteLicenseData: a device says which persistent licences it has deleted.

All its persistent licences of these KIDs count as deleted, those excepted that are issued later. A
KID that the device never got such a licence for is accepted, and recorded as unknown. The same
session again is answered alike and changes nothing; the same session with other KIDs is refused.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.clients import device_id, refuse_client
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.delete_license import (
    FORM,
    MAX_KIDS,
    DeleteLicenseChallenge,
    open_delete_license,
    seal_delete_license_response,
)
from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class DeleteLicenseService:
    """Takes note of persistent licences that devices deleted."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    verifier: ChainVerifier
    store: Store
    revocations: RevocationCache
    backend: p256.Backend
    clock: Callable[[], int]
    max_kids: int = MAX_KIDS
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))

    def process_delete_license_data(self, request: Request) -> bytes:
        """Return the reply to a ProcessDeleteLicenseData challenge, the deletion recorded.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_delete_license(
            request.envelope, self.server_keys, self.backend, self.verifier.parse, self.max_kids
        )
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, now)
        with self.store.transaction() as transaction:
            _record(transaction, challenge, now)
        device = device_id(challenge.signer.leaf)
        self.hooks.on_event(Event(FORM.operation, device, challenge.kids))
        return seal_delete_license_response(challenge.session_id)


def _record(transaction: Transaction, challenge: DeleteLicenseChallenge, now: int) -> None:
    device = device_id(challenge.signer.leaf)
    # In order, so that the same KIDs have the same digest, and nobody waits for one who waits.
    kids = sorted(challenge.kids, key=lambda kid: kid.raw)
    digest = hashlib.sha256(b"".join(kid.raw for kid in kids)).digest()
    recorded = transaction.ledger.record_deletion(device, challenge.session_id, digest, now)
    if recorded is None:
        for kid in kids:
            transaction.ledger.delete(device, challenge.session_id, kid, now)
    elif recorded != digest:
        raise InvalidMessage(
            f"SessionID {challenge.session_id.text} deleted other KIDs before, expected the same"
        )
