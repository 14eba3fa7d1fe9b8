"""A device reports what was played to the key of a metering certificate that it has verified."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device.journal import open_journal
from rightsmanager.device.metering import (
    MeteringCertificates,
    get_metering_certificate,
    report_usage,
)
from rightsmanager.device.usage import MeteringStore, count
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.protocol.formats.bcert import CertificateType, KeyUsage, parse_chain
from rightsmanager.protocol.formats.bcert.objects import Metering
from rightsmanager.protocol.messages.metering import (
    MeteringAnswer,
    MeteringReport,
    Usage,
    metering_keys,
    open_certificate_request,
    open_metering_data,
    seal_certificate_response,
    seal_metering_response,
)
from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from tests.device.answering import (
    METERING_ISSUER,
    SIGNER_KEY,
    URL,
    Answer,
    Lost,
    Server,
    certified,
    make_client,
    refusing,
)
from tests.operations.subject import PORTABLE, private_key
from tests.second import world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.device import LicenseOpener
    from rightsmanager.protocol.formats.bcert import Chain
    from rightsmanager.protocol.xml.envelope import Envelope

MID, OTHER_MID = Mid(b"\1" * 16), Mid(b"\2" * 16)
KIDS = [Kid(bytes([number]) * 16) for number in range(5)]
METERING_KEY = private_key(6001)


def metering_chain(
    mid: Mid = MID, url: str | None = None, usage: int = KeyUsage.ISSUE_METERING
) -> Chain:
    about = Metering(mid, url)
    return certified(CertificateType.METERING, about, METERING_KEY, METERING_ISSUER, usage)


def giving(chain: Chain, mid: Mid = MID) -> Answer:
    def answer(envelope: Envelope) -> bytes:
        keys = [private_key(world.SERVER)]
        request = open_certificate_request(envelope, keys, PORTABLE, parse_chain)
        assert (request.mid, request.signer.raw) == (MID, world.DEVICE_CHAIN)
        return seal_certificate_response(mid, chain.raw, world.SIGNER_CHAIN, SIGNER_KEY)

    return answer


def hearing(received: list[MeteringReport], **more: object) -> Answer:
    """Answer a report with what it says, but for what is given."""

    def answer(envelope: Envelope) -> bytes:
        keys = metering_keys(lambda mid: [METERING_KEY] if mid == MID else [])
        challenge = open_metering_data(envelope, keys, PORTABLE, parse_chain)
        received.append(challenge.report)
        report = challenge.report
        right = MeteringAnswer(report.mid, report.transaction_id, challenge.records)
        reply = replace(right, **more)  # type: ignore[arg-type] # fields of MeteringAnswer
        return seal_metering_response(reply, world.SIGNER_CHAIN, SIGNER_KEY)

    return answer


@dataclass(frozen=True)
class Metered:
    """A device with what it counted."""

    opening: LicenseOpener
    store: MeteringStore
    certificates: MeteringCertificates

    def report(self, server: Server, url: str | None = URL, **more: object) -> list[MeteringReport]:
        client = make_client(self.opening, server, rng=seeded_random(repr(server).encode()), **more)
        return list(report_usage(MID, url, client, self.certificates, self.store))

    def play(self, *kids: Kid) -> None:
        with self.store.journal.transaction() as connection:
            for kid in kids:
                count(connection, MID, Usage(kid, "Play", 1))


@pytest.fixture
def metered(opening: LicenseOpener, tmp_path: Path) -> Iterator[Metered]:
    with closing(open_journal(tmp_path)) as journal:
        yield Metered(opening, MeteringStore(journal, 2), MeteringCertificates(tmp_path))


def test_nothing_counted_is_nothing_sent(metered: Metered) -> None:
    assert metered.report(Server({})) == []


def test_what_was_counted_is_reported_and_cleared(metered: Metered) -> None:
    metered.play(*KIDS, *KIDS[:2])
    received: list[MeteringReport] = []
    server = Server(
        {
            "GetMeteringCertificate": [giving(metering_chain())],
            "ProcessMeteringData": [hearing(received)],
        }
    )
    assert metered.report(server) == received
    assert [report.partial for report in received] == [True, True, False]
    assert [each.value for report in received for each in report.usage] == [2, 2, 1, 1, 1]
    assert len({report.transaction_id for report in received}) == 3
    assert server.asked == ["GetMeteringCertificate", *["ProcessMeteringData"] * 3]
    assert metered.report(server) == []


def test_the_certificate_is_kept(metered: Metered) -> None:
    answers = {
        "GetMeteringCertificate": [giving(metering_chain())],
        "ProcessMeteringData": [hearing([])],
    }
    for expected in (["GetMeteringCertificate", "ProcessMeteringData"], ["ProcessMeteringData"]):
        metered.play(KIDS[0])
        server = Server(answers)
        metered.report(server)
        assert server.asked == expected


def test_one_that_does_not_verify_any_more_is_asked_for_again(metered: Metered) -> None:
    metered.play(KIDS[0])
    file = metered.certificates.folder / "metering" / f"{MID.text}.bin"
    file.parent.mkdir()
    file.write_bytes(metering_chain(OTHER_MID).raw)
    with pytest.raises(InvalidMessage, match="metering certificate is of"):
        metered.report(Server({}), None)
    chain = metering_chain()
    server = Server(
        {"GetMeteringCertificate": [giving(chain)], "ProcessMeteringData": [hearing([])]}
    )
    metered.report(server)
    assert file.read_bytes() == chain.raw


def test_without_a_url_the_certificates_is_taken(metered: Metered) -> None:
    metered.play(KIDS[0])
    with pytest.raises(InternalError, match="no metering certificate of"):
        metered.report(Server({}), None)
    there = "http://metering.test/"
    chain = metering_chain(url=there)
    server = Server(
        {"GetMeteringCertificate": [giving(chain)], "ProcessMeteringData": [hearing([])]}
    )
    metered.report(server)
    metered.play(KIDS[0])
    metered.report(server, None)
    assert server.urls == [URL, URL, there]


def test_without_any_url_it_cannot_report(metered: Metered) -> None:
    metered.play(KIDS[0])
    server = Server(
        {"GetMeteringCertificate": [giving(metering_chain())], "ProcessMeteringData": [hearing([])]}
    )
    metered.report(server)
    metered.play(KIDS[0])
    with pytest.raises(InternalError, match="has no URL"):
        metered.report(server, None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (giving(metering_chain(), OTHER_MID), "reply is of MeteringID"),
        (giving(metering_chain(OTHER_MID)), "metering certificate is of"),
        (giving(metering_chain(usage=KeyUsage.ISSUE_DOMAIN)), "usages"),
    ],
)
def test_a_certificate_that_is_not_as_it_must_be_is_refused(
    opening: LicenseOpener, answer: Answer, told: str
) -> None:
    server = Server({"GetMeteringCertificate": [answer]})
    with pytest.raises(InvalidMessage, match=told):
        get_metering_certificate(URL, MID, make_client(opening, server))


def lose(answer: Answer) -> Answer:
    def losing(envelope: Envelope) -> bytes:
        answer(envelope)
        raise Lost

    return losing


def alter(answer: Answer) -> Answer:
    def altering(envelope: Envelope) -> bytes:
        return answer(envelope).replace(b"<RecordsAccepted>1", b"<RecordsAccepted>2")

    return altering


HEARD: list[MeteringReport] = []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lose(hearing(HEARD)), Lost),
        (hearing(HEARD, mid=OTHER_MID), InvalidMessage),
        (hearing(HEARD, transaction_id=TransactionId(bytes(16))), InvalidMessage),
        (hearing(HEARD, records=3), InvalidMessage),
        (alter(hearing(HEARD)), InvalidMessage),
        (refusing(ServiceSpecific("not now")), ServiceSpecific),
        (refusing(InternalError("no database")), InternalError),
    ],
)
def test_what_was_not_answered_well_is_reported_again_as_it_was(
    metered: Metered, answer: Answer, error: type[Exception]
) -> None:
    HEARD.clear()
    metered.play(KIDS[0])
    server = Server(
        {
            "GetMeteringCertificate": [giving(metering_chain())],
            "ProcessMeteringData": [answer, hearing(HEARD)],
        }
    )
    with pytest.raises(error):
        metered.report(server)
    frozen = metered.store.freeze(MID, seeded_random(b"none"))
    metered.play(KIDS[0], KIDS[1])
    assert metered.report(server) == HEARD[-2:]
    again, later = HEARD[-2:]
    assert again == frozen
    assert again.usage == (Usage(KIDS[0], "Play", 1),)
    assert later.usage == (Usage(KIDS[0], "Play", 1), Usage(KIDS[1], "Play", 1))
    assert HEARD[:-2] in ([], [again])
