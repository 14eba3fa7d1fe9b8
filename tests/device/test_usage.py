"""Plays are reported exactly once under every interleaving."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.device.journal import Journal, open_journal
from rightsmanager.device.usage import PLAY, MeteringStore, count
from rightsmanager.protocol.messages.metering import MAX_VALUE, MeteringReport, Usage
from rightsmanager.protocol.wire import Kid, Mid, TransactionId

if TYPE_CHECKING:
    from collections.abc import Iterator

MIDS = [Mid(bytes([number]) * 16) for number in (1, 2)]
KIDS = [Kid(bytes([number]) * 16) for number in range(5)]
ACTIONS = (PLAY, "Copy")


def add(journal: Journal, mid: Mid, kid: Kid, value: int = 1, action: str = PLAY) -> None:
    with journal.transaction() as connection:
        count(connection, mid, Usage(kid, action, value))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(open_journal(tmp_path)) as journal:
        yield journal


@pytest.fixture
def rng() -> Rng:
    return seeded_random(b"usage")


def frozen(journal: Journal, rng: Rng, mid: Mid = MIDS[0], limit: int = 3) -> MeteringReport:
    report = MeteringStore(journal, limit).freeze(mid, rng)
    assert report is not None
    return report


def test_nothing_played_is_nothing_to_report(journal: Journal, rng: Rng) -> None:
    store = MeteringStore(journal)
    assert (store.mids(), store.freeze(MIDS[0], rng)) == ((), None)


def test_counts_add_up_by_metering_id_kid_and_action(journal: Journal, rng: Rng) -> None:
    add(journal, MIDS[0], KIDS[1], 2)
    add(journal, MIDS[0], KIDS[1], 3)
    add(journal, MIDS[0], KIDS[1], 4, "Copy")
    add(journal, MIDS[0], KIDS[0])
    add(journal, MIDS[1], KIDS[0], 7)
    assert MeteringStore(journal).mids() == tuple(MIDS)
    report = frozen(journal, rng)
    assert report.usage == (
        Usage(KIDS[0], PLAY, 1),
        Usage(KIDS[1], "Copy", 4),
        Usage(KIDS[1], PLAY, 5),
    )
    assert report.partial is False
    assert frozen(journal, rng, MIDS[1]).usage == (Usage(KIDS[0], PLAY, 7),)


def test_a_report_stays_as_it_is_until_it_is_answered(
    journal: Journal, rng: Rng, tmp_path: Path
) -> None:
    add(journal, MIDS[0], KIDS[0])
    first = frozen(journal, rng)
    add(journal, MIDS[0], KIDS[0], 5)
    add(journal, MIDS[0], KIDS[1])
    with closing(open_journal(tmp_path)) as again:
        assert frozen(again, rng) == frozen(journal, rng) == first
    MeteringStore(journal).clear(first)
    second = frozen(journal, rng)
    assert second.usage == (Usage(KIDS[0], PLAY, 5), Usage(KIDS[1], PLAY, 1))
    assert second.transaction_id != first.transaction_id


def test_two_processes_at_once_report_the_same_transactions(
    journal: Journal, rng: Rng, tmp_path: Path
) -> None:
    with closing(open_journal(tmp_path)) as other:
        one, two = MeteringStore(journal), MeteringStore(other)
        add(journal, MIDS[0], KIDS[0])
        first = one.freeze(MIDS[0], rng)
        assert first is not None
        assert two.freeze(MIDS[0], rng) == first
        one.clear(first)
        add(other, MIDS[0], KIDS[1])
        second = two.freeze(MIDS[0], rng)
        two.clear(first)
        assert one.freeze(MIDS[0], rng) == second
        assert second is not None
        assert second.usage == (Usage(KIDS[1], PLAY, 1),)


def test_the_total_is_what_is_not_answered_yet(journal: Journal, rng: Rng) -> None:
    store = MeteringStore(journal)
    assert store.total() == 0
    add(journal, MIDS[0], KIDS[0], 2)
    report = frozen(journal, rng)
    add(journal, MIDS[1], KIDS[0], 3)
    assert store.total() == 5
    store.clear(report)
    assert store.total() == 3


def test_what_is_too_much_for_one_report_follows_in_others(journal: Journal, rng: Rng) -> None:
    for kid in KIDS:
        for action in ACTIONS:
            add(journal, MIDS[0], kid, 1, action)
    store, sizes = MeteringStore(journal, 2), []
    while (report := store.freeze(MIDS[0], rng)) is not None:
        sizes.append((len(report.usage), report.partial))
        store.clear(report)
    assert sizes == [(4, True), (4, True), (2, False)]


def test_more_than_a_report_can_say_follows_in_others(journal: Journal, rng: Rng) -> None:
    add(journal, MIDS[0], KIDS[0], MAX_VALUE)
    add(journal, MIDS[0], KIDS[0], MAX_VALUE)
    add(journal, MIDS[0], KIDS[0], 1)
    store, values = MeteringStore(journal), []
    while (report := store.freeze(MIDS[0], rng)) is not None:
        values.append((report.usage[0].value, report.partial))
        store.clear(report)
    assert values == [(MAX_VALUE, True), (MAX_VALUE, True), (1, False)]


# --- any interleaving ---------------------------------------------------------------------------


class Aggregator:
    """A server that counts each transaction once, and refuses other content under its id."""

    def __init__(self) -> None:
        self.transactions: dict[TransactionId, MeteringReport] = {}

    def on_event(self, report: MeteringReport) -> None:
        assert self.transactions.setdefault(report.transaction_id, report) == report
        assert len({each.kid for each in report.usage}) <= LIMIT

    def totals(self) -> Counter[tuple[Mid, Kid, str]]:
        found: Counter[tuple[Mid, Kid, str]] = Counter()
        for report in self.transactions.values():
            for each in report.usage:
                found[report.mid, each.kid, each.action] += each.value
        return found


LIMIT = 2
PLAYED = st.tuples(
    st.sampled_from(MIDS), st.sampled_from(KIDS), st.sampled_from(ACTIONS), st.integers(1, 9)
)
FATES = (
    "answered",
    "message lost",
    "reply lost",
    "killed before sending",
    "killed before clearing",
)
SENT = st.tuples(st.sampled_from(MIDS), st.sampled_from(FATES))
STEPS = st.lists(st.one_of(PLAYED, SENT), max_size=16)


@settings(max_examples=40)
@given(steps=STEPS, seed=st.binary(min_size=1, max_size=8))
def test_every_play_arrives_once_whatever_happens_on_the_way(
    steps: list[tuple[Mid, Kid, str, int] | tuple[Mid, str]], seed: bytes
) -> None:
    aggregator, played, rng = Aggregator(), Counter[tuple[Mid, Kid, str]](), seeded_random(seed)
    with TemporaryDirectory() as folder:
        for step in steps:
            # A process that ends between two steps, in whatever way, leaves what is on the disk.
            with closing(open_journal(Path(folder))) as journal:
                if len(step) == 4:
                    mid, kid, action, value = step
                    add(journal, mid, kid, value, action)
                    played[mid, kid, action] += value
                else:
                    send(MeteringStore(journal, LIMIT), step[0], step[1], aggregator, rng)
        with closing(open_journal(Path(folder))) as journal:
            store = MeteringStore(journal, LIMIT)
            for mid in store.mids():
                while send(store, mid, "answered", aggregator, rng):
                    pass
            assert store.mids() == ()
    assert aggregator.totals() == played


def send(store: MeteringStore, mid: Mid, fate: str, aggregator: Aggregator, rng: Rng) -> bool:
    """Send one report, of which the fate becomes; returns whether there was one."""
    report = store.freeze(mid, rng)
    if report is None:
        return False
    if fate in {"message lost", "killed before sending"}:
        return True
    aggregator.on_event(report)
    if fate == "answered":
        store.clear(report)
    return True
