"""Reports count exactly once, as a whole or not at all."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Queue

import pytest

from rightsmanager.admin.retention import purge
from rightsmanager.errors import (
    DeviceCertificateRevoked,
    InvalidMessage,
    ProtocolVersionMismatch,
    Refusal,
    ServiceSpecific,
)
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.context import Context, Options
from rightsmanager.operations.process_metering_data import process_metering_data
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.revocation import LISTS, REVOCATION_INFO
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.settings import MeteringSettings
from rightsmanager.store.database import Store
from rightsmanager.store.metering import DAY_SECONDS, Period
from rightsmanager.store.tables import BATCH_ROWS
from tests.operations.subject import (
    make_context,
    post,
    request,
)
from tests.operations.test_metering_keys import OWN, OWN_KEY, OWN_MID, create, metering_ids
from tests.operations.test_metering_keys import metering_keys as keys_of
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.metering import CertificateQuestion, Report, read_reply

KIDS = (bytes([1]) * 16, bytes([2]) * 16)
PLAYED = ((KIDS[0], "Play", 3), (KIDS[0], "Copy", 1), (KIDS[1], "Play", 2**32 - 1))
REPORT = Report(OWN_MID.raw, bytes(range(16)), PLAYED)
TODAY = world.NOW // DAY_SECONDS
EVER = Period(0, 2**31 - 1)
CLIENT = replace(world.CLIENT, server=curve.public(OWN_KEY))
OTHER_CLIENT = second.Client(
    world.device_chain(cert.Subject(cert.DEVICE, ((world.OTHER, (cert.SIGN, cert.ENCRYPT)),))),
    world.OTHER,
    world.OTHER,
    curve.public(OWN_KEY),
)


Said = dict[str, str]


def said(reply: bytes) -> Said:
    root = curve.public(world.ROOT)
    texts = read_reply(reply, "ProcessMeteringData", "MeteringResponse", root)
    return {name: texts[name] for name in ("MeteringID", "TransactionID", "RecordsAccepted")}


@dataclass(frozen=True)
class Subject:
    """A metering service over a store, asked by the second client."""

    store: Store
    keep: bool = True
    now: int = world.NOW
    max_records: int = 10_000
    callables: HookSet = field(default_factory=HookSet)

    @property
    def context(self) -> Context:
        return make_context(
            self.store,
            always=False,
            metering=OWN,
            clock=lambda: self.now,
            hooks=Hooks(self.callables, 0),
            options=Options(max_records=self.max_records, keep_reports=self.keep),
        )

    def report(self, report: Report = REPORT, client: second.Client = CLIENT) -> Said:
        """Return the content of the reply, verified by the second client."""
        return said(post(self.context, "ProcessMeteringData", report.body(client)))

    def refusal(self, body: bytes) -> Refusal:
        """Return why it is refused; what was counted stays as it was."""
        before = self.totals(), self.devices()
        with pytest.raises(Refusal) as refusal:
            post(self.context, "ProcessMeteringData", body)
        assert (self.totals(), self.devices()) == before
        return refusal.value

    def totals(self, mid: Mid = OWN_MID) -> Counter[tuple[bytes, str]]:
        with self.store.reading() as found:
            rows = found.metering.find_totals_by_kid(mid, EVER)
        return Counter(
            {(row.group.raw, row.action): row.value for row in rows if isinstance(row.group, Kid)}
        )

    def days(self) -> list[tuple[object, str, int]]:
        with self.store.reading() as found:
            rows = found.metering.find_totals_by_day(OWN_MID, EVER)
        return [(row.group, row.action, row.value) for row in rows]

    def devices(self) -> list[tuple[object, str, int]]:
        with self.store.reading() as found:
            rows = found.metering.find_totals_by_device(OWN_MID, EVER)
        return [(row.group, row.action, row.value) for row in rows]


@pytest.fixture
def subject(store: Store) -> Subject:
    return Subject(store)


def test_a_report_is_counted_and_answered_by_its_transaction(subject: Subject) -> None:
    assert subject.report() == {
        "MeteringID": OWN_MID.base64,
        "TransactionID": str(uuid.UUID(bytes_le=REPORT.transaction)),
        "RecordsAccepted": "3",
    }
    assert subject.totals() == {(kid, action): value for kid, action, value in PLAYED}
    assert subject.days() == [(TODAY, "Copy", 1), (TODAY, "Play", 2**32 + 2)]


def test_a_repeat_is_answered_alike_and_not_counted(subject: Subject) -> None:
    first = subject.report()
    totals, devices = subject.totals(), subject.devices()
    for again in (
        REPORT,
        # In another order, and with the word that more follows.
        replace(REPORT, played=PLAYED[::-1], partial="<Partial>1</Partial>"),
    ):
        assert subject.report(again) == first
    assert replace(subject, now=world.NOW + DAY_SECONDS).report() == first
    assert (subject.totals(), subject.devices()) == (totals, devices)


@pytest.mark.parametrize(
    "played",
    [
        PLAYED[:2],
        (*PLAYED, (KIDS[1], "Copy", 1)),
        (*PLAYED[:2], (KIDS[1], "Play", 1)),
        ((KIDS[0], "play", 3), *PLAYED[1:]),
    ],
)
def test_the_same_transaction_with_other_content_is_refused(
    subject: Subject, played: tuple[tuple[bytes, str, int], ...]
) -> None:
    subject.report()
    refusal = subject.refusal(replace(REPORT, played=played).body(CLIENT))
    assert isinstance(refusal, InvalidMessage)
    assert "was reported before with other records" in refusal.text


def test_transactions_of_other_devices_and_metering_ids_are_their_own(subject: Subject) -> None:
    other_mid = create(subject.store)
    (other_key,) = keys_of(subject.store).find_keys(other_mid)
    number = int.from_bytes(other_key.raw)
    subject.report()
    subject.report(client=OTHER_CLIENT)
    other = replace(CLIENT, server=curve.public(number))
    subject.report(replace(REPORT, mid=other_mid.raw), other)
    assert subject.totals()[KIDS[0], "Play"] == 6
    assert subject.totals(other_mid)[KIDS[0], "Play"] == 3
    assert len(subject.devices()) == 4


def test_further_plays_are_added_to_the_day_of_their_arrival(subject: Subject) -> None:
    for number in range(3):
        at = replace(subject, now=world.NOW + number // 2 * DAY_SECONDS)
        at.report(replace(REPORT, transaction=bytes([number]) * 16, played=PLAYED[:1]))
    assert subject.days() == [(TODAY, "Play", 6), (TODAY + 1, "Play", 3)]
    assert subject.totals() == {(KIDS[0], "Play"): 9}


def test_totals_do_not_end_where_32_bits_do(subject: Subject) -> None:
    for number in range(8):
        subject.report(replace(REPORT, transaction=bytes([number]) * 16, played=PLAYED[2:]))
    assert subject.totals() == {(KIDS[1], "Play"): 8 * (2**32 - 1)}


def test_without_reports_kept_there_are_totals_and_repeats_are_known(store: Store) -> None:
    subject = Subject(store, keep=False)
    for _ in range(2):
        subject.report()
    assert subject.devices() == []
    assert subject.totals()[KIDS[0], "Play"] == 3
    assert (
        "was reported before"
        in subject.refusal(replace(REPORT, played=PLAYED[:1]).body(CLIENT)).text
    )


def test_the_same_report_from_eight_connections_at_once_counts_once(subject: Subject) -> None:
    body = REPORT.body(CLIENT)
    context = subject.context

    def send(_number: int) -> bytes:
        return process_metering_data(context, request(body))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(8)))
    assert {said(answer)["RecordsAccepted"] for answer in answers} == {"3"}
    assert subject.totals() == {(kid, action): value for kid, action, value in PLAYED}


def test_reports_at_once_that_overlap_in_opposite_orders_all_count(subject: Subject) -> None:
    kids = [bytes([number]) * 16 for number in range(40)]
    context = subject.context

    def send(number: int) -> None:
        order = kids[::-1] if number % 2 else kids
        report = Report(OWN_MID.raw, bytes([number]) * 16, tuple((kid, "Play", 1) for kid in order))
        process_metering_data(context, request(report.body(CLIENT)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, range(24)))
    assert subject.totals() == {(kid, "Play"): 24 for kid in kids}


def test_a_report_of_ten_thousand_records_counts_and_one_more_is_refused(subject: Subject) -> None:
    kids = [number.to_bytes(16, "big") for number in range(10_001)]
    report = Report(OWN_MID.raw, bytes(16), tuple((kid, "Play", 1) for kid in kids[:-1]))
    assert subject.report(report)["RecordsAccepted"] == "10000"
    assert sum(subject.totals().values()) == 10_000
    longest = tuple((kid, "&amp;" * 64, 2**32 - 1) for kid in kids[:-1])
    body = Report(OWN_MID.raw, bytes(15) + b"\1", longest).body(CLIENT)
    assert len(body) < MeteringSettings().max_body
    longer = replace(report, played=(*report.played, (kids[-1], "Play", 1)))
    refusal = subject.refusal(longer.body(CLIENT))
    assert isinstance(refusal, InvalidMessage)
    assert refusal.text == "MeteringRecords has 10001 Records, expected 1 to 10000"


@pytest.mark.parametrize(
    ("played", "told"),
    [
        ((KIDS[0], "Play", 0), "Value is '0'"),
        ((KIDS[0], "Play", -1), "Value is '-1'"),
        ((KIDS[0], "Play", 2**32), "Value is '4294967296'"),
        ((KIDS[0], "a" * 65, 1), "Name has 65 characters"),
        ((KIDS[0], "Pl\tay", 1), "expected no control characters"),
        ((KIDS[0], "Play\x85", 1), "expected no control characters"),
        ((KIDS[0][1:], "Play", 1), "KID has 15 bytes"),
    ],
)
def test_one_bad_record_refuses_the_whole_report(
    subject: Subject, played: tuple[bytes, str, int], told: str
) -> None:
    refusal = subject.refusal(replace(REPORT, played=(*PLAYED[:2], played)).body(CLIENT))
    assert isinstance(refusal, InvalidMessage)
    assert told in refusal.text
    assert subject.totals() == {}


def test_a_report_to_another_server_is_refused(subject: Subject) -> None:
    other_mid = create(subject.store)
    for report, client, told in (
        (replace(REPORT, mid=bytes(16)), CLIENT, "is unknown to this server"),
        (REPORT, world.CLIENT, "EncryptedData does not open"),
        (replace(REPORT, mid=other_mid.raw), CLIENT, "EncryptedData does not open"),
        (replace(REPORT, said_mid=other_mid.raw), CLIENT, "is encrypted to the key of"),
    ):
        refusal = subject.refusal(report.body(client))
        assert isinstance(refusal, InvalidMessage)
        assert told in refusal.text


def test_an_altered_report_is_refused(subject: Subject) -> None:
    body = REPORT.body(CLIENT)
    at = body.index(b"CipherValue>", body.index(b"</EncryptedKey>")) + 400
    altered = body[:at] + (b"A" if body[at : at + 1] != b"A" else b"B") + body[at + 1 :]
    assert isinstance(subject.refusal(altered), InvalidMessage)


def test_another_version_is_refused(subject: Subject) -> None:
    refusal = subject.refusal(replace(REPORT, version="2").body(CLIENT))
    assert isinstance(refusal, ProtocolVersionMismatch)


def test_a_retired_metering_id_still_counts(subject: Subject) -> None:
    mid = create(subject.store)
    (key,) = keys_of(subject.store).find_keys(mid)
    metering_ids(subject.store).retire(mid)
    client = replace(CLIENT, server=curve.public(int.from_bytes(key.raw)))
    subject.report(replace(REPORT, mid=mid.raw), client)
    assert subject.totals(mid)[KIDS[0], "Play"] == 3


def test_a_revoked_device_is_refused(subject: Subject) -> None:
    digest = parse_chain(world.DEVICE_CHAIN).leaf.digest
    with subject.store.transaction() as transaction:
        transaction.revocations.raise_version(REVOCATION_INFO)
        version = transaction.revocations.raise_version(LISTS["device"])
        transaction.revocations.record(LISTS["device"], version, digest, 1)
    assert isinstance(subject.refusal(REPORT.body(CLIENT)), DeviceCertificateRevoked)
    with pytest.raises(DeviceCertificateRevoked):
        ask_certificate(subject, OWN_MID)


# --- the certificate ------------------------------------------------------------------------------


def ask_certificate(subject: Subject, mid: Mid) -> tuple[str, str]:
    body = CertificateQuestion(mid.raw).body(world.CLIENT)
    reply = post(subject.context, "GetMeteringCertificate", body)
    root = curve.public(world.ROOT)
    told = read_reply(reply, "GetMeteringCertificate", "MeteringCertificateResponse", root)
    return told["MeteringID"], told["MeteringCertificate"]


def test_a_metering_certificate_is_issued(subject: Subject) -> None:
    chain = second.b64(OWN.certificate.chain.raw)
    assert ask_certificate(subject, OWN_MID) == (OWN_MID.base64, chain)


def test_the_certificate_of_a_created_metering_id_is_issued_until_it_is_retired(
    subject: Subject,
) -> None:
    mid = create(subject.store)
    assert ask_certificate(subject, mid)[0] == mid.base64
    metering_ids(subject.store).retire(mid)
    with pytest.raises(ServiceSpecific, match="is retired"):
        ask_certificate(subject, mid)
    with pytest.raises(ServiceSpecific, match="is unknown to this server"):
        ask_certificate(subject, Mid(bytes(16)))


# --- what is kept ---------------------------------------------------------------------------------


def remove(store: Store, before: int) -> int:
    """Return the number of removed rows of reports."""
    return dict(purge(store, before))["rows of metering reports"]


def test_old_reports_are_removed_and_totals_stay(subject: Subject) -> None:
    days = 5
    for number in range(days):
        at = replace(subject, now=world.NOW + number * DAY_SECONDS)
        at.report(replace(REPORT, transaction=bytes([number]) * 16))
    totals, by_day = subject.totals(), subject.days()
    assert remove(subject.store, world.NOW + 2 * DAY_SECONDS) == 2 * len(PLAYED)
    assert (subject.totals(), subject.days()) == (totals, by_day)
    assert sum(value for _, _, value in subject.devices()) == (days - 2) * sum(
        value for _, _, value in PLAYED
    )
    # A repeat is still one.
    for number in range(days):
        subject.report(replace(REPORT, transaction=bytes([number]) * 16))
    assert (subject.totals(), subject.days()) == (totals, by_day)
    assert remove(subject.store, world.NOW + 100 * DAY_SECONDS) == (days - 2) * len(PLAYED)
    assert (subject.totals(), subject.devices()) == (totals, [])


def test_a_batch_of_removed_rows_is_bounded(subject: Subject) -> None:
    kids = [number.to_bytes(16, "big") for number in range(BATCH_ROWS // 2 + 1)]
    for number in range(4):
        played = tuple((kid, "Play", 1) for kid in kids)
        subject.report(Report(OWN_MID.raw, bytes([number]) * 16, played))
    with subject.store.transaction() as transaction:
        assert transaction.metering.remove_usage(world.NOW + 1) == 2 * len(kids)
    assert remove(subject.store, world.NOW + 1) == 2 * len(kids)
    assert sum(subject.totals().values()) == 4 * len(kids)


def test_hooks_receive_certificates_and_reports(subject: Subject) -> None:
    received: Queue[Event] = Queue()
    told = replace(subject, callables=HookSet(on_event=received.put))
    device = parse_chain(CLIENT.chain).leaf.device_id
    ask_certificate(told, OWN_MID)
    assert received.get(timeout=10) == Event("GetMeteringCertificate", device)
    told.report()
    kids = tuple(map(Kid, KIDS))
    assert received.get(timeout=10) == Event("ProcessMeteringData", device, kids)
