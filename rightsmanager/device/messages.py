"""Challenges and replies as messages, for callers with an HTTP client of their own.

A challenge is made by one process, and its reply may be accepted by another: the device's journal
has the state of each challenge until then. A reply names its challenge by its nonce, transaction,
session or ids. A challenge without a reply costs one row; the oldest are dropped.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rightsmanager.device.acquire import (
    OPERATION,
    Acknowledgement,
    Acquired,
    Wanted,
    accept_acknowledgement,
    accept_licenses,
    acknowledgement_challenge,
    acknowledgement_of,
    license_challenge,
)
from rightsmanager.device.client import refuse_fault
from rightsmanager.device.deletion import Deletion, DeletionStore, deletion_challenge
from rightsmanager.device.domains import HeldDomain
from rightsmanager.device.membership import (
    Joining,
    accept_join,
    accept_leave,
    join_challenge,
    leave_challenge,
)
from rightsmanager.device.metering import (
    MeteringCertificates,
    accept_certificate,
    accept_report,
    certificate_challenge,
    report_challenge,
)
from rightsmanager.device.packaging import accept_packaging, packaging_challenge
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.sessions import (
    SessionStore,
    accept_sessions,
    messages,
    sessions_challenge,
)
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.input_forms import decode_text, find_message
from rightsmanager.protocol.formats.wrmheader import Header, canonical_header, parse_header
from rightsmanager.protocol.messages import acknowledgement as acknowledgements
from rightsmanager.protocol.messages import delete_license, domain, metering, secure_stop
from rightsmanager.protocol.messages.challenge import NONCE_LENGTH
from rightsmanager.protocol.messages.metering import MeteringCertificate, MeteringReport
from rightsmanager.protocol.messages.packaging import OPERATION as PACKAGING_OPERATION
from rightsmanager.protocol.messages.packaging import StreamInformation, StreamProtection
from rightsmanager.protocol.messages.response import open_license_response
from rightsmanager.protocol.messages.secure_stop import SecureStopResponse, Session
from rightsmanager.protocol.wire import (
    MESSAGES,
    PROTOCOLS,
    AccountId,
    Kid,
    Mid,
    SessionId,
    TransactionId,
)
from rightsmanager.protocol.xml.elements import split_tag
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_envelope
from rightsmanager.protocol.xml.parsing import parse_xml

MAX_PENDING: Final = 10_000
"""Challenges of one operation whose replies can still be accepted."""


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

Result = (
    Acquired
    | Acknowledgement
    | HeldDomain
    | MeteringCertificate
    | MeteringReport
    | SecureStopResponse
    | Deletion
    | tuple[StreamProtection, ...]
)


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
        self._record(OPERATION, nonce, {"header": canonical_header(header)})
        return Challenge(OPERATION, body)

    def acknowledge_license(self) -> Challenge:
        """Return a challenge for the oldest reply that asked for an acknowledgement."""
        found = _find_acknowledgement(self.session)
        if found is None:
            raise InternalError("the device has nothing to acknowledge")
        body = acknowledgement_challenge(found, self.session.client)
        self._record(acknowledgements.FORM.operation, found.transaction_id.raw)
        return Challenge(acknowledgements.FORM.operation, body)

    def join_domain(self, joining: Joining) -> Challenge:
        """Return a challenge to join a domain, or to join it again."""
        body = join_challenge(joining, self.session.client)
        account = b"" if joining.account_id is None else joining.account_id.raw
        self._record(domain.JOIN.operation, joining.service_id.raw + account)
        return Challenge(domain.JOIN.operation, body)

    def leave_domain(self, account_id: AccountId) -> Challenge:
        """Return a challenge to leave a joined domain."""
        held = self._domain(account_id)
        body = leave_challenge(held, self.session.client)
        self._record(domain.LEAVE.operation, held.service_id.raw + account_id.raw)
        return Challenge(domain.LEAVE.operation, body)

    def get_metering_certificate(self, mid: Mid) -> Challenge:
        """Return a challenge for the certificate of a metering id."""
        body = certificate_challenge(mid, self.session.client)
        self._record(metering.CERTIFICATE_FORM.operation, mid.raw)
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
        self._record(metering.DATA_FORM.operation, report.transaction_id.raw)
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
        self._record(secure_stop.FORM.operation, mid.raw, {"sessions": _build_sessions(reported)})
        return Challenge(secure_stop.FORM.operation, body)

    def process_delete_license_data(self, kids: Sequence[Kid] = ()) -> Challenge:
        """Delete the licences for KIDs; returns the oldest report of deletions."""
        client = self.session.client
        store = DeletionStore(self.session.journal, self.session.licenses)
        store.delete(kids, client.rng)
        deletion = next(iter(store.find_all()), None)
        if deletion is None:
            raise InternalError("the device has no deletions to report")
        self._record(delete_license.FORM.operation, deletion.session_id.raw)
        return Challenge(delete_license.FORM.operation, deletion_challenge(deletion, client))

    def acquire_packaging_data(self, streams: Sequence[StreamInformation]) -> Challenge:
        """Return a packager's request for the keys of streams."""
        return Challenge(PACKAGING_OPERATION, packaging_challenge(streams))

    def accept(self, reply: bytes) -> Accepted:
        """Verify the reply to a challenge of this device, and store what it brings.

        `reply` is a SOAP envelope, its operation's element alone, or the Response in it. Raises the
        Refusal of a fault, and InvalidMessage for a reply that fails a check or to no challenge.
        """
        envelope = refuse_fault(_read_reply(reply))
        operation = envelope.operation.removesuffix("Response")
        accept = _ACCEPTORS.get(operation)
        if accept is None or operation == envelope.operation:
            raise InvalidMessage(
                f"the Body holds {envelope.operation!r}, expected the reply to an operation"
            )
        return Accepted(operation, accept(self.session, envelope))

    def _record(self, operation: str, key: bytes, state: Mapping[str, str] | None = None) -> None:
        with self.session.journal.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO challenges (operation, key, state) VALUES (?, ?, ?)",
                (operation, key, json.dumps(state or {})),
            )
            connection.execute(
                "DELETE FROM challenges WHERE operation = ? AND rowid <= "
                "(SELECT max(rowid) FROM challenges) - ?",
                (operation, MAX_PENDING),
            )

    def _domain(self, account_id: AccountId) -> HeldDomain:
        held = self.session.domains.find(account_id)
        if held is None:
            raise InternalError(f"the device has no domain of account {account_id.text}")
        return held

    def _certificate(self, mid: Mid) -> MeteringCertificate:
        return MeteringCertificates(self.session.folder).obtain(mid, None, self.session.client)


# --- replies ------------------------------------------------------------------------------------


def _accept_licenses(session: DeviceSession, envelope: Envelope) -> Acquired:
    nonce = _nonce_of(envelope)
    state = _pending(session, OPERATION, nonce)
    header = parse_header(state["header"].encode())
    acquired = accept_licenses(envelope, header, nonce, session.client)
    failures = session.record(acquired)
    wanted = acknowledgement_of(acquired, failures)
    if wanted is not None:
        _record_acknowledgement(session, wanted)
    _settle(session, OPERATION, nonce)
    return acquired


def _nonce_of(envelope: Envelope) -> bytes:
    """Return the nonce of the challenge, as the reply has it."""
    response = open_license_response(envelope).response
    if response.nonce is not None:
        return response.nonce
    # Without a persistent licence, the first one has the nonce as its id.
    return xmr.parse_license(response.licenses[0]).rights_id if response.licenses else b""


def _accept_acknowledgement(session: DeviceSession, envelope: Envelope) -> Acknowledgement:
    operation = acknowledgements.FORM.operation
    transaction_id = accept_acknowledgement(envelope, session.client)
    _pending(session, operation, transaction_id.raw)
    found = _find_acknowledgement(session, transaction_id)
    if found is None:
        raise InvalidMessage(f"TransactionID {transaction_id.text} is acknowledged already")
    with session.journal.transaction() as connection:
        connection.execute(
            "DELETE FROM acknowledgements WHERE transaction_id = ?", (transaction_id.raw,)
        )
    _settle(session, operation, transaction_id.raw)
    return found


def _accept_join(session: DeviceSession, envelope: Envelope) -> HeldDomain:
    operation = domain.JOIN.operation
    response, _ = domain.open_join_response(envelope)
    service, account = response.service_id, response.account_id
    key = service.raw + account.raw
    if _find_pending(session, operation, key) is None:
        # The challenge may have left the account to the server.
        key = service.raw
    _pending(session, operation, key)
    joined = accept_join(envelope, Joining(service, account), session.client)
    session.domains.record(joined)
    _settle(session, operation, key)
    return joined


def _accept_leave(session: DeviceSession, envelope: Envelope) -> HeldDomain:
    operation = domain.LEAVE.operation
    response, _ = domain.open_leave_response(envelope)
    key = response.service_id.raw + response.account_id.raw
    _pending(session, operation, key)
    held = session.domains.find(response.account_id)
    if held is None:
        raise InvalidMessage(f"the device has no domain of account {response.account_id.text}")
    accept_leave(envelope, held, session.client)
    session.domains.remove(held.account_id)
    _settle(session, operation, key)
    return held


def _accept_certificate(session: DeviceSession, envelope: Envelope) -> MeteringCertificate:
    operation = metering.CERTIFICATE_FORM.operation
    mid, _, _ = metering.open_certificate_response(envelope)
    _pending(session, operation, mid.raw)
    certificate = accept_certificate(envelope, mid, session.client)
    MeteringCertificates(session.folder).record(certificate)
    _settle(session, operation, mid.raw)
    return certificate


def _accept_report(session: DeviceSession, envelope: Envelope) -> MeteringReport:
    operation = metering.DATA_FORM.operation
    answer, _ = metering.open_metering_response(envelope)
    key = answer.transaction_id.raw
    _pending(session, operation, key)
    store = MeteringStore(session.journal)
    report = store.find_pending(answer.mid)
    if report is None or report.transaction_id != answer.transaction_id:
        raise InvalidMessage(f"TransactionID {answer.transaction_id.text} is answered already")
    accept_report(envelope, report, session.client)
    store.clear(report)
    _settle(session, operation, key)
    return report


def _accept_sessions(session: DeviceSession, envelope: Envelope) -> SecureStopResponse:
    operation = secure_stop.FORM.operation
    response, _ = secure_stop.open_secure_stop_response(envelope)
    state = _pending(session, operation, response.mid.raw)
    reported = _parse_sessions(state["sessions"])
    ids = {each.session_id for each in reported}
    accepted = accept_sessions(envelope, response.mid, ids, session.client)
    cleared = set(accepted.accepted)
    SessionStore(session.journal).clear([each for each in reported if each.session_id in cleared])
    _settle(session, operation, response.mid.raw)
    return accepted


def _accept_deletion(session: DeviceSession, envelope: Envelope) -> Deletion:
    operation = delete_license.FORM.operation
    session_id = delete_license.open_delete_license_response(envelope)
    _pending(session, operation, session_id.raw)
    store = DeletionStore(session.journal, session.licenses)
    deletion = next((each for each in store.find_all() if each.session_id == session_id), None)
    if deletion is None:
        raise InvalidMessage(f"SessionID {session_id.text} is answered already")
    store.clear(deletion)
    _settle(session, operation, session_id.raw)
    return deletion


def _accept_packaging(_: DeviceSession, envelope: Envelope) -> tuple[StreamProtection, ...]:
    return accept_packaging(envelope)


_ACCEPTORS: Final[Mapping[str, Callable[[DeviceSession, Envelope], Result]]] = {
    OPERATION: _accept_licenses,
    acknowledgements.FORM.operation: _accept_acknowledgement,
    domain.JOIN.operation: _accept_join,
    domain.LEAVE.operation: _accept_leave,
    metering.CERTIFICATE_FORM.operation: _accept_certificate,
    metering.DATA_FORM.operation: _accept_report,
    secure_stop.FORM.operation: _accept_sessions,
    delete_license.FORM.operation: _accept_deletion,
    PACKAGING_OPERATION: _accept_packaging,
}
_REPLIES: Final = {
    "LicenseResponse": OPERATION,
    **{
        form.reply: form.operation
        for form in (
            acknowledgements.FORM,
            domain.JOIN,
            domain.LEAVE,
            metering.CERTIFICATE_FORM,
            metering.DATA_FORM,
            secure_stop.FORM,
            delete_license.FORM,
        )
    },
}
"""The operation of each element in a Response."""

_DECLARATION: Final = re.compile(r"\s*<\?xml[^>]*\?>")


def _read_reply(data: bytes) -> Envelope:
    """Return the envelope of a reply; one is put around an element that has none."""
    text = _DECLARATION.sub("", decode_text(data) or "", count=1).strip()
    names = _outer_names(text)
    if names[:1] == (f"{{{MESSAGES}}}Response",):
        operation = _REPLIES.get(split_tag(names[1])[1] if len(names) > 1 else "", "")
        text = f"<{operation}Result xmlns='{PROTOCOLS}'>{text}</{operation}Result>"
        names = (f"{{{PROTOCOLS}}}{operation}Result",)
    name = split_tag(names[0])[1] if names else ""
    if name.endswith("Result"):
        operation = name.removesuffix("Result")
        text = f"<{operation}Response xmlns='{PROTOCOLS}'>{text}</{operation}Response>"
        name = f"{operation}Response"
    if name.endswith("Response"):
        soap = SoapVersion.SOAP11.namespace
        text = f"<s:Envelope xmlns:s='{soap}'><s:Body>{text}</s:Body></s:Envelope>"
        return parse_envelope(text.encode())
    found = find_message(data)
    return parse_envelope(data if found is None else found.data)


def _outer_names(text: str) -> tuple[str, ...]:
    """Return the tags of the root element and of its first child, () for other texts."""
    try:
        root = parse_xml(text.encode(), "the reply")
    except InvalidMessage:
        return ()
    return (str(root.tag), *(str(child.tag) for child in root[:1]))


# --- the journal --------------------------------------------------------------------------------


def _pending(session: DeviceSession, operation: str, key: bytes) -> Mapping[str, str]:
    """Return the state of a challenge; raises InvalidMessage if there is none."""
    state = _find_pending(session, operation, key)
    if state is None:
        raise InvalidMessage(
            f"it is a reply of {operation} to no challenge of this device, or to one whose reply "
            "was accepted before"
        )
    return state


def _find_pending(session: DeviceSession, operation: str, key: bytes) -> Mapping[str, str] | None:
    with session.journal.transaction() as connection:
        row = connection.execute(
            "SELECT state FROM challenges WHERE operation = ? AND key = ?", (operation, key)
        ).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def _settle(session: DeviceSession, operation: str, key: bytes) -> None:
    with session.journal.transaction() as connection:
        connection.execute(
            "DELETE FROM challenges WHERE operation = ? AND key = ?", (operation, key)
        )


def _record_acknowledgement(session: DeviceSession, wanted: Acknowledgement) -> None:
    with session.journal.transaction() as connection:
        connection.executemany(
            "INSERT OR REPLACE INTO acknowledgements VALUES (?, ?, ?)",
            [(wanted.transaction_id.raw, each.kid.raw, each.result) for each in wanted.results],
        )


def _find_acknowledgement(
    session: DeviceSession, transaction_id: TransactionId | None = None
) -> Acknowledgement | None:
    """Return the acknowledgement of a transaction, or the oldest, None without one."""
    raw = None if transaction_id is None else transaction_id.raw
    with session.journal.transaction() as connection:
        rows = connection.execute(
            "SELECT transaction_id, kid, result FROM acknowledgements WHERE transaction_id = "
            "coalesce(?, (SELECT transaction_id FROM acknowledgements ORDER BY rowid LIMIT 1)) "
            "ORDER BY rowid",
            (raw,),
        ).fetchall()
    if not rows:
        return None
    results = tuple(acknowledgements.StorageResult(Kid(kid), result) for _, kid, result in rows)
    return Acknowledgement(TransactionId(rows[0][0]), results)


def _build_sessions(sessions: Collection[Session]) -> str:
    rows = [
        (each.session_id.text, each.kid.text, each.start_time, each.update_time, each.stopped)
        for each in sessions
    ]
    return json.dumps(rows)


def _parse_sessions(text: str) -> tuple[Session, ...]:
    return tuple(
        Session(SessionId.from_text(session_id), Kid.from_text(kid), started, updated, stopped)
        for session_id, kid, started, updated, stopped in json.loads(text)
    )
