"""Lists, pages, statistics and limits of the journal, on both databases."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import chain

import pytest
from sqlalchemy import func, select

from rightsmanager.errors import InternalError, InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.hooks.exchange import INJECTED, Exchange
from rightsmanager.hooks.facts import Progress
from rightsmanager.journal.building import Act, EntryBuilder
from rightsmanager.journal.facts import entry_facts, stored_facts
from rightsmanager.journal.journal import PERCENTILES, Journal, Minute
from rightsmanager.protocol.wire import AccountId, Kid
from rightsmanager.store.journal import reading, writing
from rightsmanager.store.journal.database import JournalDatabase
from rightsmanager.store.journal.entries import Entry, Filter, PendingEntry, WorkerCounts
from rightsmanager.store.journal.minutes import round_duration
from rightsmanager.store.journal.reading import matches
from rightsmanager.store.journal.tables import BLOCK_ENTRIES, ENTRIES
from rightsmanager.store.journal.writing import ENTRY_BYTES, Limits
from tests.journal.conftest import DEVICE, KID, Journals, exchange

BEGIN = 1_700_000_000_000
COUNT = 700
"""More than two blocks."""
KIDS = tuple(Kid(bytes([number]) * 16) for number in range(4))
ACCOUNTS = (None, AccountId(b"a" * 16), AccountId(b"b" * 16))
DEVICES = ("", "one", "two")
REFUSALS: tuple[Refusal | None, ...] = (
    None,
    InvalidMessage("the digest is wrong"),
    ServiceSpecific("the user is unknown"),
)
TEXTS = ("", "Zebra", "<script>alert(1)</script>", "100%_ '\"", "ÄÖÜ")


def entries() -> list[PendingEntry]:
    """Return entries with every mixture of facts, in about the order of time."""
    drawn = random.Random(7)
    builder = EntryBuilder("7-ab")
    built = []
    for number in range(COUNT):
        at = BEGIN + 1000 * number + drawn.randrange(-5000, 5000)
        if drawn.randrange(20) == 0:
            built.append(builder.build_act(Act("token.revoke", drawn.choice(TEXTS), "ops"), at))
            continue
        progress = Progress(
            drawn.choice(DEVICES),
            tuple(drawn.sample(KIDS, drawn.randrange(3))),
            account_id=drawn.choice(ACCOUNTS),
            custom_data=drawn.choice(TEXTS),
        )
        given = exchange(
            request_id=f"r{number}",
            operation=drawn.choice(("AcquireLicense", "JoinDomain", "")),
            query=drawn.choice(("", "cfg=(persist%3Atrue)", "cfg=(sl:150)&user=anna")),
            refusal=drawn.choice(REFUSALS),
            progress=progress,
        )
        built.append(builder.build(given, at))
    return built


def write(database: JournalDatabase, given: list[PendingEntry]) -> None:
    writer = database.open_writer()
    written = 0
    while written < len(given):
        batch = given[written : written + random.Random(written).randrange(1, 90)]
        written += len(batch)
        writer.write(batch, WorkerCounts("7-ab", written, written, 0))
    writer.close()


@pytest.fixture
def filled(journals: Journals) -> Journal:
    write(journals.database, entries())
    return journals.journal


def find_all(journal: Journal, wanted: Filter, limit: int) -> list[Entry]:
    """Return the entries of all pages."""
    found: list[Entry] = []
    before: int | None = None
    while True:
        page = journal.find(wanted, limit, before)
        assert len(page.entries) <= limit
        found += page.entries
        if page.next is None:
            return found
        assert len(page.entries) == limit
        before = page.next


SOME = (
    Filter(operation="JoinDomain"),
    Filter(operation=""),
    Filter(operation="None"),
    Filter(outcome="ok"),
    Filter(outcome="fault"),
    Filter(outcome="0x8004c604"),
    Filter(device="one"),
    Filter(kid=KIDS[2]),
    Filter(kid=KID),
    Filter(account=ACCOUNTS[1]),
    Filter(kind="act"),
    Filter(kind="request"),
    Filter(text="zebra"),
    Filter(text="PERSIST:TRUE"),
    Filter(text="150)&USER"),
    Filter(text="<SCRIPT>"),
    Filter(text="100%_ '\""),
    Filter(text="äöü"),
    Filter(text="r499"),
    Filter(text="digest is"),
    Filter(text="nowhere"),
    Filter(text="ops"),
    Filter(since_ms=BEGIN + 300_000),
    Filter(until_ms=BEGIN + 300_000),
    Filter(since_ms=BEGIN + 299_000, until_ms=BEGIN + 301_000),
    Filter(since_ms=BEGIN + 10_000_000),
    Filter(until_ms=0),
)


def test_a_text_is_found_in_any_block(filled: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    # Then four blocks, then sixteen: the journal of this test has few.
    monkeypatch.setattr(reading, "_FETCHED_BLOCKS", 1)
    wanted = Filter(text="anna")
    expected = [each.id for each in find_all(filled, Filter(), 1000) if matches(wanted, each)]
    assert expected
    assert [each.id for each in find_all(filled, wanted, 7)] == expected


def test_each_filter_and_each_pair_finds_what_it_says(filled: Journal) -> None:
    everything = find_all(filled, Filter(), 1000)
    assert [each.id for each in everything] == list(range(COUNT, 0, -1))
    # Each alone, and with three others; with all of them it takes seconds.
    for pair in chain.from_iterable(
        zip(SOME, SOME[skip:] + SOME[:skip], strict=True) for skip in range(4)
    ):
        given = {
            name: value
            for filter_ in pair
            for name in Filter.__dataclass_fields__
            if (value := getattr(filter_, name)) is not None
        }
        wanted = replace(Filter(), **given)
        expected = [each for each in everything if matches(wanted, each)]
        assert list(filled.find(wanted, 1000).entries) == expected


@pytest.mark.parametrize("limit", [3, 50, 1000])
def test_pages_have_each_entry_once(filled: Journal, limit: int) -> None:
    for wanted in (Filter(outcome="fault"), Filter(text="zebra"), Filter(kid=KIDS[0])):
        whole = list(filled.find(wanted, 1000).entries)
        assert whole
        assert find_all(filled, wanted, limit) == whole


def test_newer_entries_come_oldest_first(filled: Journal) -> None:
    assert filled.newest_id() == COUNT
    assert [each.id for each in filled.newer(COUNT - 3)] == [COUNT - 2, COUNT - 1, COUNT]
    assert [each.id for each in filled.newer(0, 2)] == [1, 2]
    assert filled.newer(COUNT) == ()


def test_an_entry_that_does_not_exist_is_not_found(filled: Journal) -> None:
    assert filled.get(COUNT + 1) is None
    assert filled.get(0) is None


@pytest.mark.parametrize("outcome", ["", "good", "0x", "-1", "0", "0x100000000"])
def test_an_invalid_outcome_is_refused(filled: Journal, outcome: str) -> None:
    with pytest.raises(InvalidMessage, match="expected ok, fault or a status code"):
        filled.find(Filter(outcome=outcome))


def test_an_export_has_the_bodies(filled: Journal) -> None:
    wanted = Filter(outcome="fault")
    stored = list(filled.stored(wanted))
    assert [each.entry for each in stored] == list(filled.find(wanted, 1000).entries)
    requests = [each for each in stored if each.entry.kind == "request"]
    assert {each.request for each in requests} == {b"<request/>"}
    facts = stored_facts(requests[0])
    assert (facts["request"], facts["reply"]) == ("PHJlcXVlc3QvPg==", "PHJlcGx5Lz4=")
    assert {**facts, **entry_facts(requests[0].entry)} == facts


def test_the_facts_of_an_entry_are_those_that_were_recorded(journals: Journals) -> None:
    recorder = journals.recorder()
    recorder(exchange(query="cfg=(sl:150)", refusal=InvalidMessage("no")))
    recorder.close()
    facts = entry_facts(journals.journal.find().entries[0])
    assert facts.pop("at").endswith("+00:00")
    assert str(facts.pop("worker")).partition("-")[0].isdecimal()
    assert facts == {
        "id": 1,
        "kind": "request",
        "request_id": "r1",
        "operation": "AcquireLicense",
        "outcome": "0x8004c601",
        "failed": "InvalidMessage",
        "stage": "seal",
        "reason": "no",
        "device": DEVICE,
        "account": None,
        "kids": [KID.text],
        "client": "127.0.0.1",
        "url": "http://127.0.0.1/rightsmanager.asmx",
        "query": "cfg=(sl:150)",
        "custom_data": None,
        "user_agent": "player/1",
        "soap_action": '"urn:a"',
        "content_type": "text/xml; charset=utf-8",
        "warnings": [],
        "http_status": 500,
        "ms": 1500.0,
        "stages_ms": {
            "read": 125.0,
            "verify": 125.0,
            "decide": 250.0,
            "record": 500.0,
            "seal": 500.0,
        },
        "bytes_in": 10,
        "bytes_out": 8,
        "is_masked": False,
        "is_request_cut": False,
        "is_reply_cut": False,
        "has_request": True,
        "has_reply": True,
        "actor": None,
        "subject": None,
        "injected": None,
    }


def test_an_injected_fault_is_marked_and_found(journals: Journals) -> None:
    recorder = journals.recorder()
    mark = "license-mac 00112233445566aa; latency 00112233445566ab"
    given = exchange()
    recorder(given._replace(environ={**given.environ, INJECTED: mark}))
    recorder(given)
    recorder.record_act(Act("domain.remove", "account 1", "ops"))
    recorder.close()
    found = journals.journal.find().entries
    assert [each.injected for each in found] == [None, None, mark]
    assert [each.subject for each in found] == ["account 1", None, None]
    assert entry_facts(found[-1])["injected"] == mark
    wanted = Filter(text="LICENSE-MAC")
    assert journals.journal.find(wanted).entries == (found[-1],)
    assert [matches(wanted, each) for each in found] == [False, False, True]


# --- limits ---------------------------------------------------------------------------------------


def prune(database: JournalDatabase, limits: Limits, now_ms: int = 0) -> None:
    writer = database.open_writer()
    while writer.prune(limits, now_ms):
        pass
    writer.close()


def test_the_oldest_entries_go_with_all_that_belongs_to_them(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rightsmanager.store.journal.writing.PRUNE_ROWS", 90)
    write(journals.database, entries())
    everything = list(journals.journal.find(limit=1000).entries)
    prune(journals.database, Limits(entries=120))
    for wanted in SOME:
        expected = [each for each in everything[:120] if matches(wanted, each)]
        assert list(journals.journal.find(wanted, 1000).entries) == expected
    assert journals.journal.get(COUNT - 120) is None
    with journals.database.reading() as connection:
        assert connection is not None
        for table, column, first in (
            ("bodies", "entry_id", COUNT - 119),
            ("kids", "entry_id", COUNT - 119),
            ("blocks", "block", (COUNT - 119) // BLOCK_ENTRIES),
        ):
            found = connection.exec_driver_sql(f"SELECT min({column}) FROM journal_{table}")  # noqa: S608
            assert int(found.scalar() or 0) >= first


def test_entries_beyond_an_age_go_by_the_block(journals: Journals) -> None:
    write(journals.database, entries())
    prune(journals.database, Limits(age_ms=1000), BEGIN + 1000 * BLOCK_ENTRIES + 7000)
    assert journals.journal.find(limit=1000).entries[-1].id == BLOCK_ENTRIES


def test_entries_beyond_a_size_go_by_the_block(journals: Journals) -> None:
    write(journals.database, entries())
    prune(journals.database, Limits(bytes=(ENTRY_BYTES + 20) * (COUNT - 100)))
    assert journals.journal.find(limit=1000).entries[-1].id == BLOCK_ENTRIES
    prune(journals.database, Limits(bytes=1))
    assert journals.journal.find(limit=1000).entries[-1].id == 2 * BLOCK_ENTRIES


def test_a_journal_within_its_limits_stays(journals: Journals) -> None:
    write(journals.database, entries())
    prune(journals.database, Limits())
    prune(journals.database, Limits(COUNT, 1 << 30, 1 << 40), BEGIN)
    assert len(journals.journal.find(limit=1000).entries) == COUNT


@pytest.mark.parametrize("most", [COUNT, COUNT - 1], ids=["short", "long"])
def test_a_cleared_journal_is_empty_and_goes_on(
    journals: Journals, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(writing, "MAX_DELETED", most)
    write(journals.database, entries())
    journal = journals.journal
    assert journal.clear() == COUNT
    assert journal.find().entries == ()
    assert journal.find(Filter(text="zebra")).entries == ()
    assert journal.clear() == 0
    write(journals.database, entries()[:1])
    assert [each.id for each in journal.newer(COUNT)] == [COUNT + 1]


def test_a_reader_does_not_hold_up_the_removal_of_all_entries(journals: Journals) -> None:
    write(journals.database, entries())
    counted = select(func.count()).select_from(ENTRIES)
    with journals.database.reading() as connection:
        assert connection is not None
        assert connection.execute(counted).scalar() == COUNT
        writer = journals.database.open_writer()
        assert writer.clear() == COUNT
        writer.close()
    assert journals.journal.find().entries == ()


# --- an absent journal ----------------------------------------------------------------------------


def test_a_journal_that_was_never_written_is_empty(journals: Journals) -> None:
    journal = journals.journal
    assert journal.find(Filter(text="x")).entries == ()
    assert journal.get(1) is None
    assert journal.newer(0) == ()
    assert journal.newest_id() == 0
    assert list(journal.stored()) == []
    assert journal.clear() == 0
    assert journal.accounting().accepted == 0
    assert journals.database.file is None or not journals.database.file.exists()


def test_a_file_that_is_not_a_database_is_named(in_file: Journals) -> None:
    assert in_file.database.file is not None
    in_file.database.file.write_bytes(b"no database" * 1000)
    for use in (in_file.journal.find, in_file.journal.accounting, in_file.journal.clear):
        with pytest.raises(InternalError, match="the journal cannot be"):
            use()


# --- statistics -----------------------------------------------------------------------------------


def test_statistics_count_by_minute_outcome_and_operation(journals: Journals) -> None:
    builder = EntryBuilder("7-ab")
    minute = BEGIN - BEGIN % 60_000
    given = [
        *(builder.build(exchange(), minute + number) for number in range(3)),
        builder.build(exchange(refusal=InvalidMessage("no")), minute + 60_000),
        builder.build(exchange(operation="JoinDomain"), minute + 60_001),
        builder.build_act(Act("token.revoke", "t", "o"), minute + 60_002),
    ]
    write(journals.database, given)
    found = journals.journal.statistics(minute, minute + 120_000)
    assert found.minutes == (Minute(minute, 3, 0), Minute(minute + 60_000, 2, 1))
    assert found.outcomes == (("ok", 4), ("0x8004c601", 1))
    assert [(each.operation, each.requests) for each in found.latencies] == [
        ("AcquireLicense", 4),
        ("JoinDomain", 1),
    ]
    assert found.latencies[0].percentiles_ms == pytest.approx((1500.0,) * 3, rel=0.03)
    assert found.is_complete
    assert journals.journal.statistics(0, 1).minutes == ()
    # Whole minutes are counted.
    assert journals.journal.statistics(minute + 1, minute + 2).minutes == found.minutes[:1]
    # Later batches add to the same minutes.
    write(journals.database, given[:2])
    assert journals.journal.statistics(minute, minute + 1).minutes == (Minute(minute, 5, 0),)


def test_percentiles_are_those_of_the_durations(journals: Journals) -> None:
    minute, drawn = BEGIN - BEGIN % 60_000, random.Random(3)
    durations = sorted(drawn.lognormvariate(-5, 1.5) for _ in range(500))
    builder = EntryBuilder("7-ab")
    given = [builder.build(replace_duration(each), minute) for each in drawn.sample(durations, 500)]
    write(journals.database, given)
    (found,) = journals.journal.statistics(minute, minute + 60_000).latencies
    exact = [durations[round(499 * percent / 100)] * 1000 for percent in PERCENTILES]
    assert found.percentiles_ms == pytest.approx(exact, rel=0.035)


def replace_duration(seconds: float) -> Exchange:
    """Return a request that was read, and took so long."""
    return exchange()._replace(
        progress=Progress(), read=1.0, ended=1.0 + seconds, refusal=InvalidMessage("no")
    )


@pytest.mark.parametrize("microseconds", [0, 1, 15, 31, 32, 33, 63, 64, 1000, 10**6, 10**9])
def test_a_duration_is_rounded_by_3_percent_at_most(microseconds: int) -> None:
    assert round_duration(microseconds) == pytest.approx(microseconds, rel=1 / 32)
    assert round_duration(microseconds) <= round_duration(microseconds + 1)


def test_counts_outlive_removed_entries_for_two_days(journals: Journals) -> None:
    builder, hour = EntryBuilder("7-ab"), 3_600_000
    begin = BEGIN - BEGIN % 60_000
    times = [begin + number * hour for number in range(60) for _ in range(10)]
    write(journals.database, [builder.build(exchange(), at) for at in times])
    writer = journals.database.open_writer()
    writer.prune(Limits(entries=20), times[-1])
    writer.close()
    assert len(find_all(journals.journal, Filter(), 50)) == 20
    found = journals.journal.statistics(begin, times[-1] + 1)
    assert [each.requests for each in found.minutes] == [10] * 49
    assert not found.is_complete
    assert journals.journal.statistics(times[-1] - 48 * hour, times[-1] + 1).is_complete
    journals.journal.clear()
    found = journals.journal.statistics(begin, times[-1] + 1)
    assert (found.minutes, found.latencies, found.is_complete) == ((), (), False)


def test_counts_are_kept_as_long_as_their_entries(journals: Journals) -> None:
    builder, day = EntryBuilder("7-ab"), 86_400_000
    write(journals.database, [builder.build(exchange(), BEGIN + n * day) for n in range(600)])
    writer = journals.database.open_writer()
    writer.prune(Limits(entries=300), BEGIN + 600 * day)
    writer.close()
    found = journals.journal.statistics(0, BEGIN + 600 * day)
    # The oldest block has some that were removed.
    assert 300 <= len(found.minutes) < 300 + BLOCK_ENTRIES


def test_a_file_without_counts_gets_them(in_file: Journals) -> None:
    write(in_file.database, entries()[:9])
    assert in_file.database.file is not None
    with closing(sqlite3.connect(in_file.database.file)) as old:
        old.executescript("DROP TABLE journal_minutes; PRAGMA user_version=1")
    write(in_file.database, entries()[:9])
    assert len(in_file.journal.find().entries) == 18
    assert sum(each.requests for each in in_file.journal.statistics(0, 2**62).minutes) <= 9
