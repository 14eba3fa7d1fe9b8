"""Replies to the challenges of a device: each is verified, and its effect is stored.

A reply is a SOAP envelope, its operation's element alone, or the Response in it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from rightsmanager.device.acquire import (
    OPERATION,
    Acknowledgement,
    Acquired,
    accept_acknowledgement,
    accept_licenses,
    acknowledgement_of,
)
from rightsmanager.device.deletion import Deletion, DeletionStore, accept_deletion
from rightsmanager.device.domains import HeldDomain
from rightsmanager.device.membership import Joining, accept_join, accept_leave
from rightsmanager.device.metering import MeteringCertificates, accept_certificate, accept_report
from rightsmanager.device.packaging import accept_packaging
from rightsmanager.device.pending import (
    find_acknowledgement,
    find_pending,
    parse_sessions,
    record_acknowledgement,
    require_pending,
    settle,
)
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.sessions import SessionStore, accept_sessions
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.input_forms import decode_text, find_message
from rightsmanager.protocol.formats.wrmheader import parse_header
from rightsmanager.protocol.messages import acknowledgement as acknowledgements
from rightsmanager.protocol.messages import delete_license, domain, metering, secure_stop
from rightsmanager.protocol.messages.metering import MeteringCertificate, MeteringReport
from rightsmanager.protocol.messages.packaging import OPERATION as PACKAGING_OPERATION
from rightsmanager.protocol.messages.packaging import StreamProtection
from rightsmanager.protocol.messages.response import open_license_response
from rightsmanager.protocol.messages.secure_stop import SecureStopResponse
from rightsmanager.protocol.wire import MESSAGES, PROTOCOLS
from rightsmanager.protocol.xml.elements import split_tag
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_envelope
from rightsmanager.protocol.xml.parsing import parse_xml

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


def _accept_licenses(session: DeviceSession, envelope: Envelope) -> Acquired:
    nonce = _nonce_of(envelope)
    state = require_pending(session, OPERATION, nonce)
    header = parse_header(state["header"].encode())
    acquired = accept_licenses(envelope, header, nonce, session.client)
    failures = session.record(acquired)
    wanted = acknowledgement_of(acquired, failures)
    if wanted is not None:
        record_acknowledgement(session, wanted)
    settle(session, OPERATION, nonce)
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
    require_pending(session, operation, transaction_id.raw)
    found = find_acknowledgement(session, transaction_id)
    if found is None:
        raise InvalidMessage(f"TransactionID {transaction_id.text} is acknowledged already")
    with session.journal.transaction() as connection:
        connection.execute(
            "DELETE FROM acknowledgements WHERE transaction_id = ?", (transaction_id.raw,)
        )
    settle(session, operation, transaction_id.raw)
    return found


def _accept_join(session: DeviceSession, envelope: Envelope) -> HeldDomain:
    operation = domain.JOIN.operation
    response, _ = domain.open_join_response(envelope)
    service, account = response.service_id, response.account_id
    key = service.raw + account.raw
    if find_pending(session, operation, key) is None:
        # The challenge may have left the account to the server.
        key = service.raw
    require_pending(session, operation, key)
    joined = accept_join(envelope, Joining(service, account), session.client)
    session.domains.record(joined)
    settle(session, operation, key)
    return joined


def _accept_leave(session: DeviceSession, envelope: Envelope) -> HeldDomain:
    operation = domain.LEAVE.operation
    response, _ = domain.open_leave_response(envelope)
    key = response.service_id.raw + response.account_id.raw
    require_pending(session, operation, key)
    held = session.domains.find(response.account_id)
    if held is None:
        raise InvalidMessage(f"the device has no domain of account {response.account_id.text}")
    accept_leave(envelope, held, session.client)
    session.domains.remove(held.account_id)
    settle(session, operation, key)
    return held


def _accept_certificate(session: DeviceSession, envelope: Envelope) -> MeteringCertificate:
    operation = metering.CERTIFICATE_FORM.operation
    mid, _, _ = metering.open_certificate_response(envelope)
    require_pending(session, operation, mid.raw)
    certificate = accept_certificate(envelope, mid, session.client)
    MeteringCertificates(session.folder).record(certificate)
    settle(session, operation, mid.raw)
    return certificate


def _accept_report(session: DeviceSession, envelope: Envelope) -> MeteringReport:
    operation = metering.DATA_FORM.operation
    answer, _ = metering.open_metering_response(envelope)
    key = answer.transaction_id.raw
    require_pending(session, operation, key)
    store = MeteringStore(session.journal)
    report = store.find_pending(answer.mid)
    if report is None or report.transaction_id != answer.transaction_id:
        raise InvalidMessage(f"TransactionID {answer.transaction_id.text} is answered already")
    accept_report(envelope, report, session.client)
    store.clear(report)
    settle(session, operation, key)
    return report


def _accept_sessions(session: DeviceSession, envelope: Envelope) -> SecureStopResponse:
    operation = secure_stop.FORM.operation
    response, _ = secure_stop.open_secure_stop_response(envelope)
    state = require_pending(session, operation, response.mid.raw)
    reported = parse_sessions(state["sessions"])
    ids = {each.session_id for each in reported}
    accepted = accept_sessions(envelope, response.mid, ids, session.client)
    cleared = set(accepted.accepted)
    SessionStore(session.journal).clear([each for each in reported if each.session_id in cleared])
    settle(session, operation, response.mid.raw)
    return accepted


def _accept_deletion(session: DeviceSession, envelope: Envelope) -> Deletion:
    operation = delete_license.FORM.operation
    session_id = accept_deletion(envelope, session.client)
    require_pending(session, operation, session_id.raw)
    store = DeletionStore(session.journal, session.licenses)
    deletion = next((each for each in store.find_all() if each.session_id == session_id), None)
    if deletion is None:
        raise InvalidMessage(f"SessionID {session_id.text} is answered already")
    store.clear(deletion)
    settle(session, operation, session_id.raw)
    return deletion


def _accept_packaging(_: DeviceSession, envelope: Envelope) -> tuple[StreamProtection, ...]:
    return accept_packaging(envelope)


ACCEPTORS: Final[Mapping[str, Callable[[DeviceSession, Envelope], Result]]] = {
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
"""The acceptor of the reply to each operation."""
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


def read_reply(data: bytes) -> Envelope:
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
        return parse_envelope(text.encode(), "the reply")
    found = find_message(data)
    return parse_envelope(data if found is None else found.data, "the reply")


def _outer_names(text: str) -> tuple[str, ...]:
    """Return the tags of the root element and of its first child, () for other texts."""
    try:
        root = parse_xml(text.encode(), "the reply")
    except InvalidMessage:
        return ()
    return (str(root.tag), *(str(child.tag) for child in root[:1]))
