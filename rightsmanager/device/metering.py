"""GetMeteringCertificate and ProcessMeteringData from the client's side.

metering/MID.bin     the metering certificate that a server gave, a BCert chain; verified whenever
                     it is used, and asked for again where it does not verify any more

A report goes to the URL that is given, else to the one in the metering certificate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.device.calling import ServerClient
from rightsmanager.device.files import read_whole, write_whole
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import DeviceCertificateRevoked, InternalError, InvalidMessage
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

FOLDER: Final = "metering"


@dataclass(frozen=True, slots=True)
class MeteringCertificates:
    """The metering certificates in a device's folder."""

    folder: Path
    """The device's."""

    def obtain(self, mid: Mid, url: str | None, caller: ServerClient) -> MeteringCertificate:
        """Return the certificate of a metering id, asked for at the URL if need be.

        Raises InternalError where it has none and there is no URL, the Refusal that a fault says,
        and InvalidMessage for a certificate that does not pass every check.
        """
        file = self.folder / FOLDER / f"{mid.text}.bin"
        kept = read_whole(file)
        if url is None and kept is None:
            raise InternalError(
                f"the device has no metering certificate of {mid.text} yet, expected a URL to ask "
                "for it"
            )
        if kept is not None:
            try:
                return _verified(kept, mid, caller)
            except (InvalidMessage, DeviceCertificateRevoked):
                if url is None:
                    raise
        assert url is not None  # noqa: S101 -- both ways to come here without one are raised above
        certificate = get_metering_certificate(url, mid, caller)
        write_whole(file, certificate.chain.raw)
        return certificate


def get_metering_certificate(url: str, mid: Mid, caller: ServerClient) -> MeteringCertificate:
    """Return the certificate of a metering id from the server at a URL.

    Raises the Refusal that a fault says, and InvalidMessage for a reply or a certificate that does
    not pass every check.
    """
    body = seal_certificate_request(mid, caller.asking(), caller.sealing())
    answered_mid, chain, answered = open_certificate_response(
        caller.call(url, CERTIFICATE_FORM, body)
    )
    caller.verify(answered)
    if answered_mid != mid:
        raise InvalidMessage(f"the reply is of MeteringID {answered_mid.text}, expected {mid.text}")
    return _verified(chain, mid, caller)


def _verified(data: bytes, mid: Mid, caller: ServerClient) -> MeteringCertificate:
    opening = caller.opening
    chain = opening.verifier.parse(data)
    opening.verifier.verify(chain, caller.now, opening.held.digests)
    certificate = read_metering_certificate(chain)
    if certificate.mid != mid:
        raise InvalidMessage(
            f"the metering certificate is of {certificate.mid.text}, expected {mid.text}"
        )
    return certificate


def report_usage(
    mid: Mid,
    url: str | None,
    caller: ServerClient,
    certificates: MeteringCertificates,
    store: MeteringStore,
) -> Iterator[MeteringReport]:
    """Report what was counted for a metering id, and give each report once it was answered.

    What was not answered before comes first, under its own transaction id. Raises the Refusal that
    a fault says, InvalidMessage for a reply that does not pass every check, and InternalError where
    there is no reply; what was not answered is sent again the next time.
    """
    certificate: MeteringCertificate | None = None
    while (report := store.freeze(mid, caller.rng)) is not None:
        certificate = certificate or certificates.obtain(mid, url, caller)
        process_metering_data(report_url(url, certificate), report, certificate, caller)
        store.clear(report)
        yield report


def process_metering_data(
    url: str, report: MeteringReport, certificate: MeteringCertificate, caller: ServerClient
) -> None:
    """Return once the server has answered for a report; raises what `report_usage` raises."""
    body = seal_metering_data(report, caller.asking(), caller.sealing(certificate.key))
    answer, answered = open_metering_response(caller.call(url, DATA_FORM, body))
    caller.verify(answered)
    records = len({each.kid for each in report.usage})
    expected = MeteringAnswer(report.mid, report.transaction_id, records)
    if answer != expected:
        raise InvalidMessage(
            f"the reply is to {answer.records} records of MeteringID {answer.mid.text} under "
            f"TransactionID {answer.transaction_id.text}, expected {records} of "
            f"{report.mid.text} under {report.transaction_id.text}"
        )


def report_url(url: str | None, certificate: MeteringCertificate) -> str:
    """Return where to report: to the URL that is given, or to that in the certificate."""
    found = url or certificate.url
    if not found:
        raise InternalError(
            f"the metering certificate of {certificate.mid.text} has no URL, expected one to be "
            "given"
        )
    return found
