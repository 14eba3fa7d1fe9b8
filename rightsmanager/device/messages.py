"""Challenges and replies as messages, for callers with an HTTP client of their own.

A challenge is made by one process, and its reply may be accepted by another: the device's journal
has the state of each challenge until then. A reply names its challenge by its nonce, transaction,
session or ids. A challenge without a reply costs one row; the oldest are dropped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rightsmanager.device.acquire import (
    OPERATION,
    Wanted,
    acknowledgement_challenge,
    license_challenge,
)
from rightsmanager.device.client import refuse_fault
from rightsmanager.device.deletion import DeletionStore, deletion_challenge
from rightsmanager.device.domains import HeldDomain
from rightsmanager.device.membership import Joining, join_challenge, leave_challenge
from rightsmanager.device.metering import (
    MeteringCertificates,
    certificate_challenge,
    report_challenge,
)
from rightsmanager.device.packaging import packaging_challenge
from rightsmanager.device.pending import build_sessions, find_acknowledgement, record_pending
from rightsmanager.device.replies import ACCEPTORS, Result, read_reply
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.sessions import SessionStore, messages, sessions_challenge
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.formats.wrmheader import Header, canonical_header
from rightsmanager.protocol.messages import acknowledgement as acknowledgements
from rightsmanager.protocol.messages import delete_license, domain, metering, secure_stop
from rightsmanager.protocol.messages.challenge import NONCE_LENGTH
from rightsmanager.protocol.messages.metering import MeteringCertificate
from rightsmanager.protocol.messages.packaging import OPERATION as PACKAGING_OPERATION
from rightsmanager.protocol.messages.packaging import StreamInformation
from rightsmanager.protocol.wire import PROTOCOLS, AccountId, Kid, Mid
from rightsmanager.protocol.xml.envelope import SoapVersion


class Wrapping(Enum):
    """The forms of a challenge."""

    BARE = "bare"
    """The operation's own XML, for a SOAP client: `Challenge`, or `challenge` for packaging."""
    SOAP11 = "soap11"
    SOAP12 = "soap12"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge, ready to be posted."""

    operation: str
    soap11: bytes = field(repr=False)

    @property
    def action(self) -> str:
        """The SOAPAction, without quotes."""
        return f"{PROTOCOLS}/{self.operation}"

    @property
    def soap12(self) -> bytes:
        """The challenge in a SOAP 1.2 envelope."""
        head, body, rest = self.soap11.partition(_BODY)
        return head.replace(_SOAP11, _SOAP12) + body + rest

    @property
    def bare(self) -> bytes:
        """The challenge without envelope, as the argument of a SOAP client."""
        element = _BARE[self.operation == PACKAGING_OPERATION].search(self.soap11)
        assert element is not None  # noqa: S101 -- every challenge has it
        return element[0]

    def text(self, wrapping: Wrapping) -> bytes:
        """Return the challenge in one of its forms."""
        match wrapping:
            case Wrapping.BARE:
                return self.bare
            case Wrapping.SOAP11:
                return self.soap11
            case Wrapping.SOAP12:
                return self.soap12

    def headers(self, wrapping: Wrapping = Wrapping.SOAP11) -> dict[str, str]:
        """Return the HTTP headers of a form with an envelope."""
        if wrapping is Wrapping.SOAP12:
            return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{self.action}"'}
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{self.action}"'}


_BODY: Final = b"<soap:Body>"
_SOAP11: Final = SoapVersion.SOAP11.namespace.encode()
_SOAP12: Final = SoapVersion.SOAP12.namespace.encode()
# The challenge's own text cannot have these tags: it is escaped.
_BARE: Final = {
    False: re.compile(rb"<Challenge xmlns=.*</Challenge>", re.DOTALL),
    True: re.compile(rb"<challenge xmlns=.*</challenge>", re.DOTALL),
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A reply that passed every check; the device's folder has what it brought."""

    operation: str
    result: Result


@dataclass(frozen=True, slots=True)
class Messages:
    """Makes the challenges of a device and accepts the replies to them."""

    session: DeviceSession

    def acquire_license(
        self, header: Header, custom_data: str | None = None, account_id: AccountId | None = None
    ) -> Challenge:
        """Return a challenge for licences; `account_id` names a joined domain."""
        wanted = Wanted(header, custom_data)
        if account_id is not None:
            chain = self._domain(account_id).newest.chain.raw
            wanted = Wanted(header, custom_data, domain_chains=(chain,))
        client = self.session.client
        nonce = client.rng(NONCE_LENGTH)
        body = license_challenge(wanted, nonce, client)
        record_pending(self.session, OPERATION, nonce, {"header": canonical_header(header)})
        return Challenge(OPERATION, body)

    def acknowledge_license(self) -> Challenge:
        """Return a challenge for the oldest reply that asked for an acknowledgement."""
        found = find_acknowledgement(self.session)
        if found is None:
            raise InternalError("the device has nothing to acknowledge")
        body = acknowledgement_challenge(found, self.session.client)
        record_pending(self.session, acknowledgements.FORM.operation, found.transaction_id.raw)
        return Challenge(acknowledgements.FORM.operation, body)

    def join_domain(self, joining: Joining) -> Challenge:
        """Return a challenge to join a domain, or to join it again."""
        body = join_challenge(joining, self.session.client)
        account = b"" if joining.account_id is None else joining.account_id.raw
        record_pending(self.session, domain.JOIN.operation, joining.service_id.raw + account)
        return Challenge(domain.JOIN.operation, body)

    def leave_domain(self, account_id: AccountId) -> Challenge:
        """Return a challenge to leave a joined domain."""
        held = self._domain(account_id)
        body = leave_challenge(held, self.session.client)
        record_pending(self.session, domain.LEAVE.operation, held.service_id.raw + account_id.raw)
        return Challenge(domain.LEAVE.operation, body)

    def get_metering_certificate(self, mid: Mid) -> Challenge:
        """Return a challenge for the certificate of a metering id."""
        body = certificate_challenge(mid, self.session.client)
        record_pending(self.session, metering.CERTIFICATE_FORM.operation, mid.raw)
        return Challenge(metering.CERTIFICATE_FORM.operation, body)

    def process_metering_data(self, mid: Mid | None = None) -> Challenge:
        """Return a report of plays, for the first metering id that has any unless one is given."""
        client, store = self.session.client, MeteringStore(self.session.journal)
        mid = mid or next(iter(store.mids()), None)
        report = None if mid is None else store.freeze(mid, client.rng)
        if report is None:
            raise InternalError("the device has no plays to report")
        certificate = self._certificate(report.mid)
        body = report_challenge(report, certificate, client)
        record_pending(self.session, metering.DATA_FORM.operation, report.transaction_id.raw)
        return Challenge(metering.DATA_FORM.operation, body)

    def process_secure_stop_data(self, mid: Mid | None = None) -> Challenge:
        """Return a report of sessions, for the first metering id that has any unless one is given.

        It has as many sessions as one message may have; a next challenge has the others.
        """
        client, store = self.session.client, SessionStore(self.session.journal)
        mid = mid or next(iter(store.mids()), None)
        message = None if mid is None else next(messages(store.find(mid)), None)
        if mid is None or message is None:
            raise InternalError("the device has no sessions to report")
        body = sessions_challenge(message, self._certificate(mid), client)
        reported = [each.session for each in message.sessions]
        # One message of a metering id at a time: its reply does not name the message.
        record_pending(
            self.session,
            secure_stop.FORM.operation,
            mid.raw,
            {"sessions": build_sessions(reported)},
        )
        return Challenge(secure_stop.FORM.operation, body)

    def process_delete_license_data(self, kids: Sequence[Kid] = ()) -> Challenge:
        """Delete the licences for KIDs; returns the oldest report of deletions."""
        client = self.session.client
        store = DeletionStore(self.session.journal, self.session.licenses)
        store.delete(kids, client.rng)
        deletion = next(iter(store.find_all()), None)
        if deletion is None:
            raise InternalError("the device has no deletions to report")
        record_pending(self.session, delete_license.FORM.operation, deletion.session_id.raw)
        return Challenge(delete_license.FORM.operation, deletion_challenge(deletion, client))

    def acquire_packaging_data(self, streams: Sequence[StreamInformation]) -> Challenge:
        """Return a packager's request for the keys of streams."""
        return Challenge(PACKAGING_OPERATION, packaging_challenge(streams))

    def accept(self, reply: bytes) -> Accepted:
        """Verify the reply to a challenge of this device, and store what it brings.

        `reply` is a SOAP envelope, its operation's element alone, or the Response in it. Raises the
        Refusal of a fault, and InvalidMessage for a reply that fails a check or to no challenge.
        """
        envelope = refuse_fault(read_reply(reply))
        operation = envelope.operation.removesuffix("Response")
        accept = ACCEPTORS.get(operation)
        if accept is None or operation == envelope.operation:
            raise InvalidMessage(
                f"the Body holds {envelope.operation!r}, expected the reply to an operation"
            )
        return Accepted(operation, accept(self.session, envelope))

    def _domain(self, account_id: AccountId) -> HeldDomain:
        held = self.session.domains.find(account_id)
        if held is None:
            raise InternalError(f"the device has no domain of account {account_id.text}")
        return held

    def _certificate(self, mid: Mid) -> MeteringCertificate:
        return MeteringCertificates(self.session.folder).obtain(mid, None, self.session.client)
