"""Faults are chosen by operation, device, KID, number, rate and time, and counted exactly."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.lab.faults.asking import UNKNOWN, Asking
from rightsmanager.lab.faults.choosing import choose, draws
from rightsmanager.lab.faults.counts import Counts
from rightsmanager.lab.faults.fault import Fault, parse_fault
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from pathlib import Path

NOW = 2_000_000_000
KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
DEVICE = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="


def fault(number: int = 1, *, script: str = "", **fields: Any) -> Fault:  # noqa: ANN401 -- JSON
    given = {"kind": "status", "status": "0x8004c600", **fields}
    if given["kind"] != "status":
        del given["status"]
    return parse_fault(given, f"{number:016x}", NOW, script)


@pytest.fixture
def counts(tmp_path: Path) -> Counts:
    return Counts(tmp_path / "counts")


def chosen(
    counts: Counts,
    *faults: Fault,
    operation: str = "AcquireLicense",
    now: int = NOW,
    asking: Asking = UNKNOWN,
) -> list[int]:
    """Return the numbers of the faults that act on a request."""
    found = choose(faults, operation, now, lambda: asking, counts)
    return [int(each.fault.id, 16) for each in found]


def test_a_fault_acts_so_many_times(counts: Counts) -> None:
    twice = fault(count=2)
    assert [chosen(counts, twice) for _ in range(4)] == [[1], [1], [], []]
    assert counts.used() == {twice.id: 2}


def test_a_fault_acts_on_its_nth_request_alone(counts: Counts) -> None:
    third = fault(nth=3)
    assert [chosen(counts, third) for _ in range(5)] == [[], [], [1], [], []]


def test_a_fault_acts_on_so_many_from_its_nth_request_on(counts: Counts) -> None:
    both = fault(nth=2, count=2)
    assert [chosen(counts, both) for _ in range(5)] == [[], [1], [1], [], []]


def test_a_fault_without_end_acts_each_time(counts: Counts) -> None:
    assert [chosen(counts, fault()) for _ in range(50)] == [[1]] * 50


def test_a_fault_ends_by_the_worlds_clock(counts: Counts) -> None:
    short = fault(seconds=10)
    assert chosen(counts, short, now=NOW + 9) == [1]
    assert chosen(counts, short, now=NOW + 10) == []
    # The clock can be set back.
    assert chosen(counts, short, now=NOW) == [1]


def test_a_rate_follows_from_its_seed(counts: Counts, tmp_path: Path) -> None:
    tenth = fault(rate=0.1, seed=7)
    first = [chosen(counts, tenth) for _ in range(400)]
    again = Counts(tmp_path / "again")
    assert [chosen(again, tenth) for _ in range(400)] == first
    assert 20 < first.count([1]) < 60
    other = Counts(tmp_path / "other")
    assert [chosen(other, fault(rate=0.1, seed=8)) for _ in range(400)] != first
    assert all(draws(fault(), number) for number in range(9))


@pytest.mark.parametrize(
    ("fields", "acts"),
    [
        ({"operation": "AcquireLicense"}, True),
        ({"operation": "JoinDomain"}, False),
        ({"device": DEVICE}, True),
        ({"device": "00" * 32}, False),
        ({"kid": KID}, True),
        ({"kid": "00000000-0000-0000-0000-000000000000"}, False),
        ({"device": DEVICE, "kid": KID}, True),
        ({"device": "00" * 32, "kid": KID}, False),
    ],
)
def test_a_fault_acts_on_the_requests_that_it_names(
    counts: Counts, *, fields: dict[str, Any], acts: bool
) -> None:
    asking = Asking(DEVICE, (Kid.from_text(KID),))
    named = fault(**fields)
    assert bool(chosen(counts, named, asking=asking)) is acts
    assert chosen(counts, named, asking=UNKNOWN) == (
        [1] if fields.keys() == {"operation"} and acts else []
    )


def test_a_client_is_looked_up_for_faults_that_name_one_alone(counts: Counts) -> None:
    def fail() -> Asking:
        raise AssertionError

    assert len(choose([fault()], "AcquireLicense", NOW, fail, counts)) == 1
    assert choose([fault(device=DEVICE)], "AcquireLicense", NOW, lambda: UNKNOWN, counts) == ()


def test_a_toxic_of_licences_leaves_other_operations_alone(counts: Counts) -> None:
    assert chosen(counts, fault(kind="license-mac"), operation="JoinDomain") == []


def test_one_fault_acts_at_each_place_in_the_order_of_adding(counts: Counts) -> None:
    faults = [
        fault(1, count=1),
        fault(2, kind="cut-before", count=1),
        fault(3, kind="truncated"),
        fault(4, kind="cut-after"),
        fault(5, kind="corrupted"),
    ]
    found = [chosen(counts, *faults) for _ in range(3)]
    assert found == [[1, 3, 4], [2, 3, 4], [3, 4]]


def test_faults_of_a_script_act_one_after_the_other(counts: Counts) -> None:
    faults = [
        fault(1, count=1, script="a"),
        fault(2, kind="truncated", count=1, script="a"),
        fault(3, kind="cut-after", count=1, script="b"),
    ]
    assert [chosen(counts, *faults) for _ in range(3)] == [[1, 3], [2], []]


def test_a_fault_of_a_script_that_waits_holds_back_the_later_ones(counts: Counts) -> None:
    faults = [
        fault(1, count=1),
        fault(2, count=1, script="a"),
        fault(3, kind="truncated", count=1, script="a"),
    ]
    assert [chosen(counts, *faults) for _ in range(4)] == [[1], [2], [3], []]


def test_what_is_taken_back_acts_again(counts: Counts) -> None:
    once = fault(count=1)
    assert chosen(counts, once) == [1]
    with counts.locked() as tally:
        tally.use(once, -1)
    assert chosen(counts, once) == [1]


def test_records_that_a_killed_worker_left_twice_count_once(counts: Counts) -> None:
    once, twice, added = fault(1, count=1), fault(2, count=2), fault(3, count=1)
    assert [chosen(counts, each) for each in (once, twice)] == [[1], [2]]
    counts.file.write_bytes(2 * counts.file.read_bytes())
    for expected in ([2], [3], [], []):
        assert chosen(counts, once, twice, added) == expected
    assert list(counts.used().values()) == [1, 2, 1]


def test_the_counts_of_removed_faults_are_dropped(counts: Counts) -> None:
    for number in range(1, 100):
        assert chosen(counts, fault(number)) == [number]
    assert len(counts.used()) <= 4
    kept = fault(99)
    assert chosen(counts, kept) == [99]
    assert counts.used()[kept.id] == 2


def _ask(file: Path, times: int) -> int:
    counts, once = Counts(file), fault(count=3)
    return sum(
        len(choose([once], "JoinDomain", NOW, lambda: UNKNOWN, counts)) for _ in range(times)
    )


def test_a_count_is_exact_under_processes_and_threads(tmp_path: Path) -> None:
    file = tmp_path / "counts"
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(_ask, [file] * 4, [50] * 4)) == 3
    file.unlink()
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as workers:
        assert sum(workers.map(_ask, [file] * 4, [50] * 4)) == 3
