"""GetMeteringCertificate and ProcessMeteringData on the client's side.

metering/MID.bin     the certificate of a metering id, a BCert chain; verified at each use, and
                     requested again if it is not valid any more

A report goes to the given URL, else to that of the metering certificate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.device.client import ServerClient
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import DeviceCertificateRevoked, InternalError, InvalidMessage
from rightsmanager.files import find_file, replace_file
from rightsmanager.protocol.messages.metering import (
    CERTIFICATE_FORM,
    DATA_FORM,
    MeteringAnswer,
    MeteringCertificate,
    MeteringReport,
    open_certificate_response,
    open_metering_response,
    read_metering_certificate,
    seal_certificate_request,
    seal_metering_data,
)
from rightsmanager.protocol.wire import Mid
from rightsmanager.protocol.xml.envelope import Envelope

FOLDER: Final = "metering"


@dataclass(frozen=True, slots=True)
class MeteringCertificates:
    """The metering certificates in a device's folder."""

    folder: Path
    """The device's."""

    def obtain(self, mid: Mid, url: str | None, client: ServerClient) -> MeteringCertificate:
        """Return the certificate of a metering id, requested at the URL if needed.

        Raises InternalError if it is needed and there is no URL, the Refusal of a fault, and
        InvalidMessage for a certificate that fails a check.
        """
        kept = find_file(self._file(mid))
        if url is None and kept is None:
            raise InternalError(
                f"the device has no metering certificate of {mid.text} yet, expected a URL to ask "
                "for it"
            )
        if kept is not None:
            try:
                return _verified(kept, mid, client)
            except (InvalidMessage, DeviceCertificateRevoked):
                if url is None:
                    raise
        assert url is not None  # noqa: S101 -- both ways to come here without one are raised above
        certificate = get_metering_certificate(url, mid, client)
        self.record(certificate)
        return certificate

    def record(self, certificate: MeteringCertificate) -> None:
        """Store a certificate; raises InternalError if it cannot be written."""
        replace_file(self._file(certificate.mid), certificate.chain.raw)

    def _file(self, mid: Mid) -> Path:
        return self.folder / FOLDER / f"{mid.text}.bin"


def get_metering_certificate(url: str, mid: Mid, client: ServerClient) -> MeteringCertificate:
    """Return the certificate of a metering id from the server at a URL.

    Raises the Refusal of a fault, and InvalidMessage for a reply that fails a check.
    """
    body = certificate_challenge(mid, client)
    return accept_certificate(client.call(url, CERTIFICATE_FORM.operation, body), mid, client)


def certificate_challenge(mid: Mid, client: ServerClient) -> bytes:
    """Return the SOAP 1.1 envelope of a GetMeteringCertificate challenge."""
    return seal_certificate_request(mid, client.client_info(), client.challenge_keys())


def accept_certificate(envelope: Envelope, mid: Mid, client: ServerClient) -> MeteringCertificate:
    """Return the certificate of a reply; raises InvalidMessage for one that fails a check."""
    found, chain, reply = open_certificate_response(envelope)
    client.verify(reply)
    if found != mid:
        raise InvalidMessage(f"the reply is of MeteringID {found.text}, expected {mid.text}")
    return _verified(chain, mid, client)


def _verified(data: bytes, mid: Mid, client: ServerClient) -> MeteringCertificate:
    opening = client.opening
    chain = opening.verifier.parse(data)
    opening.verifier.verify(chain, client.now, opening.held.digests)
    certificate = read_metering_certificate(chain)
    if certificate.mid != mid:
        raise InvalidMessage(
            f"the metering certificate is of {certificate.mid.text}, expected {mid.text}"
        )
    return certificate


def report_usage(
    mid: Mid,
    url: str | None,
    client: ServerClient,
    certificates: MeteringCertificates,
    store: MeteringStore,
) -> Iterator[MeteringReport]:
    """Report the plays of a metering id, and yield each report that was answered.

    A report without an answer comes first, under its old transaction id. Raises the Refusal of a
    fault, InvalidMessage for a reply that fails a check, and InternalError without a reply.
    """
    certificate: MeteringCertificate | None = None
    while (report := store.freeze(mid, client.rng)) is not None:
        certificate = certificate or certificates.obtain(mid, url, client)
        process_metering_data(report_url(url, certificate), report, certificate, client)
        store.clear(report)
        yield report


def process_metering_data(
    url: str, report: MeteringReport, certificate: MeteringCertificate, client: ServerClient
) -> None:
    """Send one report; raises what `report_usage` raises."""
    body = report_challenge(report, certificate, client)
    accept_report(client.call(url, DATA_FORM.operation, body), report, client)


def report_challenge(
    report: MeteringReport, certificate: MeteringCertificate, client: ServerClient
) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessMeteringData challenge."""
    keys = client.challenge_keys(certificate.key)
    return seal_metering_data(report, client.client_info(), keys)


def accept_report(envelope: Envelope, report: MeteringReport, client: ServerClient) -> None:
    """Verify the reply to a report; raises InvalidMessage if it fails a check."""
    answer, reply = open_metering_response(envelope)
    client.verify(reply)
    records = len({each.kid for each in report.usage})
    expected = MeteringAnswer(report.mid, report.transaction_id, records)
    if answer != expected:
        raise InvalidMessage(
            f"the reply is to {answer.records} records of MeteringID {answer.mid.text} under "
            f"TransactionID {answer.transaction_id.text}, expected {records} of "
            f"{report.mid.text} under {report.transaction_id.text}"
        )


def report_url(url: str | None, certificate: MeteringCertificate) -> str:
    """Return the given URL, or that of the certificate; raises InternalError without either."""
    found = url or certificate.url
    if not found:
        raise InternalError(
            f"the metering certificate of {certificate.mid.text} has no URL, expected one to be "
            "given"
        )
    return found
