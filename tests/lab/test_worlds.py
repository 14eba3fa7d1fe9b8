"""Worlds: created, opened, emptied, returned to snapshots and removed, by several workers."""

import errno
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.lab.clock import SEEDED_TIME, ClockChange
from rightsmanager.lab.control import FILE, read_control, write_control
from rightsmanager.lab.opened import OpenWorld, OpenWorlds, Plan, WorldServer
from rightsmanager.lab.snapshots import Snapshots
from rightsmanager.lab.worlds import PARTS, WorldRequest
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.store import emptying
from rightsmanager.store.database import Store
from rightsmanager.store.domains import Account
from rightsmanager.store.tables import METADATA
from tests.lab.conftest import NOW, Lab, MakeLab

ACCOUNT = AccountId.from_text("84b94dcb-9b16-468e-8ca4-a189ad253f6a")


def mark(store: Store) -> None:
    """Store something in a world."""
    with store.transaction() as transaction:
        transaction.fingerprints.record({"root": "00"})


def is_marked(store: Store) -> bool:
    with store.reading() as found:
        return bool(found.fingerprints.find_all())


def test_a_world_is_created_once(lab: Lab) -> None:
    made = lab.worlds.create(WorldRequest("a"))
    assert (made.name, made.created_at, made.now) == ("a", NOW, NOW)
    assert lab.worlds.find("a").control == made.control
    with pytest.raises(Conflict, match="there is a world 'a' already"):
        lab.worlds.create(WorldRequest("a"))
    assert lab.worlds.create(WorldRequest()).name != lab.worlds.create(WorldRequest()).name


def test_options_are_checked_before_anything_is_made(lab: Lab) -> None:
    for request in (
        WorldRequest("a", seed=-1),
        WorldRequest("a", settings={"x": {}}),
        WorldRequest("a", clock=ClockChange(now=-1)),
        WorldRequest("../a"),
        WorldRequest(""),
    ):
        with pytest.raises(InvalidMessage):
            lab.worlds.create(request)
    assert lab.folders.find_names() == []


def test_a_seed_freezes_the_clock_unless_the_options_let_it_run(lab: Lab) -> None:
    assert lab.worlds.create(WorldRequest("a", seed=1)).now == SEEDED_TIME
    later = lab.worlds.create(WorldRequest("b", seed=1, clock=ClockChange(now=5)))
    assert (later.now, later.control.options.clock.is_frozen) == (5, True)
    running = WorldRequest("c", seed=1, clock=ClockChange(freeze=False))
    assert not lab.worlds.create(running).control.options.clock.is_frozen


def test_pages_are_sorted_by_name(lab: Lab) -> None:
    for name in ("b", "a", "c"):
        lab.worlds.create(WorldRequest(name))
    page, after = lab.worlds.find_page(2, None)
    assert [each.name for each in page] == ["a", "b"]
    page, after = lab.worlds.find_page(2, after)
    assert ([each.name for each in page], after) == (["c"], None)


def test_the_number_of_worlds_is_limited(make_lab: MakeLab) -> None:
    lab = make_lab(max_worlds=3)
    for name in ("a", "b", "c"):
        lab.worlds.create(WorldRequest(name))
    with pytest.raises(Conflict, match="the server has 3 worlds, expected fewer"):
        lab.worlds.ensure("d")


def test_a_world_has_a_store_of_its_own(lab: Lab) -> None:
    lab.worlds.ensure("a")
    lab.worlds.ensure("b")
    with lab.worlds.opened.using("a") as first, lab.worlds.opened.using("b") as second:
        mark(first.server.store)
        assert is_marked(first.server.store)
        assert not is_marked(second.server.store)
    with lab.worlds.opened.using("a") as again:
        assert again is first


def test_workers_share_a_world_and_follow_its_changes(make_lab: MakeLab) -> None:
    first, second = make_lab(), make_lab()
    first.worlds.create(WorldRequest("a"))
    with first.worlds.opened.using("a") as here:
        mark(here.server.store)
    with second.worlds.opened.using("a") as there:
        assert is_marked(there.server.store)
    first.worlds.change_clock("a", ClockChange(now=5, freeze=True))
    with second.worlds.opened.using("a") as same:
        assert same is there
        assert same.clock() == 5
    first.worlds.change("a", {"streams": {"max_per_device": 1}})
    with second.worlds.opened.using("a") as other:
        assert other is not there
        assert is_marked(other.server.store)
    assert second.worlds.opened.close_retired() == [there]
    first.worlds.delete("a")
    with pytest.raises(NotFound, match="there is no world 'a'"):
        second.worlds.opened.enter("a")


def test_a_request_ends_in_the_state_before_a_reset(make_lab: MakeLab) -> None:
    first, second = make_lab(), make_lab()
    first.worlds.ensure("a")
    with second.worlds.opened.using("a") as before:
        mark(before.server.store)
        first.worlds.reset("a")
        first.worlds.sweep_open()
        first.sweep_folders()
        # Its store is there as long as it is used.
        assert is_marked(before.server.store)
        with second.worlds.opened.using("a") as after:
            assert not is_marked(after.server.store)
    assert second.worlds.opened.close_retired() == [before]
    assert second.built[0].ended == [True]
    second.sweep_folders()
    folder = second.folders.world("a")
    assert list(folder.find_places()) == [folder.place(after.control.generation)]


def test_a_process_opens_a_world_by_one_thread_at_a_time(make_lab: MakeLab) -> None:
    lab = make_lab()
    opened, counts = lab.worlds.opened, [0]
    build = opened.build

    def count(plan: Plan) -> WorldServer:
        counts.append(counts[0] + 1)
        counts[0] += 1
        # Other threads go on.
        assert not is_marked(plan.stored.store)
        counts[0] -= 1
        return build(plan)

    def use(_: int) -> None:
        lab.worlds.reset("a")
        with opened.using("a"):
            pass

    opened.build = count
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(64)))
    assert set(counts[1:]) == {1}


def test_resets_at_once_leave_one_store(make_lab: MakeLab) -> None:
    labs = [make_lab() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda number: labs[number % 4].worlds.reset("a"), range(20)))
    assert len({each.control.generation for each in done}) == 20
    with labs[0].worlds.opened.using("a") as world:
        assert not is_marked(world.server.store)
    labs[0].sweep_folders()
    assert len(list(labs[0].folders.world("a").find_places())) == 1


def test_parts_are_emptied_and_others_stay(lab: Lab) -> None:
    lab.worlds.create(WorldRequest("a", settings={"streams": {"max_per_device": 1}}))
    account = Account(ACCOUNT, ServiceId.from_text(ACCOUNT.text), "Family", "", 5, 1_790_000_000)
    with lab.worlds.opened.using("a") as world, world.server.store.transaction() as transaction:
        transaction.domains.record(account)
    lab.worlds.change("a", {"streams": {"max_per_device": 2}})
    assert lab.worlds.reset("a", ["licenses", "settings"]).control.options.settings == {
        "streams": {"max_per_device": 1}
    }
    with lab.worlds.opened.using("a") as world, world.server.store.reading() as found:
        assert found.domains.find(ACCOUNT) == account
    lab.worlds.reset("a", PARTS)
    with lab.worlds.opened.using("a") as world, world.server.store.reading() as found:
        assert found.domains.find(ACCOUNT) is None


def test_servers_that_are_built_during_a_reset_of_parts_are_built_again(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, other = make_lab(), make_lab()
    lab.worlds.ensure("a")
    empty = emptying.empty

    def build_before(store: Store, parts: Iterable[str]) -> None:
        with other.worlds.opened.using("a"):
            pass
        empty(store, parts)

    monkeypatch.setattr(emptying, "empty", build_before)
    lab.worlds.reset("a", ["revocations"])
    # The first one may have caches of what was removed.
    with other.worlds.opened.using("a") as world:
        assert other.built[1:] == [world.server]


def test_every_table_is_in_a_part() -> None:
    listed = [name for names in emptying.PARTS.values() for name in names]
    assert sorted([*listed, *emptying.KEPT]) == sorted(METADATA.tables)


def test_a_process_has_a_bounded_number_of_worlds_open(make_lab: MakeLab) -> None:
    lab = make_lab(max_open=2)
    for number in range(6):
        lab.worlds.ensure(f"w{number}")
        with lab.worlds.opened.using(f"w{number}"):
            pass
    lab.worlds.opened.close_retired()
    assert [each.name for each in lab.worlds.opened.find_open()] == ["w4", "w5"]
    assert sum(not each.is_closed for each in lab.built) == 2
    # One that a request is in stays open.
    with lab.worlds.opened.using("w4") as used:
        for number in range(3):
            with lab.worlds.opened.using(f"w{number}"):
                pass
        assert used in lab.worlds.opened.find_open()


def test_an_idle_world_is_closed_and_opened_again(lab: Lab) -> None:
    lab.worlds.ensure("a")
    with lab.worlds.opened.using("a") as world:
        mark(world.server.store)
    world.used_at -= 61
    lab.worlds.sweep_open()
    assert lab.built[0].is_closed
    with lab.worlds.opened.using("a") as again:
        assert is_marked(again.server.store)


def test_an_expired_world_is_removed_once_no_process_has_it_open(make_lab: MakeLab) -> None:
    first, second = make_lab(), make_lab()
    first.worlds.create(WorldRequest("a", expires_after_seconds=100))
    with second.worlds.opened.using("a") as world:
        first.clock[0] = second.clock[0] = max(NOW, first.worlds.find("a").last_used_at) + 101
        first.sweep_folders()
        assert first.worlds.find("a")
    world.used_at -= 101
    world.is_noted = True
    second.worlds.sweep_open()
    first.sweep_folders()
    assert first.folders.find_names() == []


def test_a_removed_world_leaves_nothing(lab: Lab) -> None:
    lab.worlds.ensure("a")
    with lab.worlds.opened.using("a") as world:
        mark(world.server.store)
        lab.worlds.delete("a")
        assert is_marked(world.server.store)
    lab.worlds.sweep_open()
    assert lab.folders.find_names() == []
    # A schema that is used again is empty.
    lab.worlds.ensure("b")
    with lab.worlds.opened.using("b") as other:
        assert not is_marked(other.server.store)


def test_a_world_of_another_revision_is_refused_until_it_is_reset(lab: Lab) -> None:
    made = lab.worlds.create(WorldRequest("a"))
    write_control(lab.folders.world("a").control, replace(made.control, revision="0001_baseline"))
    with pytest.raises(Conflict, match="was made with revision 0001_baseline, expected 0"):
        lab.worlds.opened.enter("a")
    lab.worlds.reset("a")
    with lab.worlds.opened.using("a"):
        pass


def test_stores_are_prepared_and_those_of_other_revisions_removed(lab: Lab) -> None:
    lab.worlds.prepare()
    kind = ".templates" if lab.storage.kind == "sqlite" else ".schemas"
    folder = lab.folders.root / kind
    made = {each.name for each in folder.rglob("*") if not each.is_dir()}
    assert made
    old = folder / "older" / "used"
    old.mkdir(parents=True)
    (old / "lab_0000000000000000").touch()
    lab.worlds.collect()
    assert {each.name for each in folder.rglob("*") if not each.is_dir()} == made
    lab.worlds.ensure("a")
    with lab.worlds.opened.using("a") as world:
        assert not is_marked(world.server.store)


def test_a_snapshot_has_the_store_and_the_clock(lab: Lab) -> None:
    snapshots = Snapshots(lab.worlds)
    lab.worlds.create(WorldRequest("a"))
    lab.worlds.change_clock("a", ClockChange(now=1000))
    with lab.worlds.opened.using("a") as world:
        mark(world.server.store)
    lab.clock[0] += 50
    assert snapshots.create("a", "s").created_at == NOW + 50
    lab.worlds.reset("a")
    lab.clock[0] += 500
    restored = snapshots.restore("a", "s")
    assert restored.now == 1050
    with lab.worlds.opened.using("a") as world:
        assert is_marked(world.server.store)
    assert [each.name for each in snapshots.find_all("a")] == ["s"]
    snapshots.delete("a", "s")
    assert snapshots.find_all("a") == ()
    for act in (snapshots.restore, snapshots.delete):
        with pytest.raises(NotFound, match="there is no snapshot 's'"):
            act("a", "s")


def test_a_world_that_is_made_again_while_it_is_removed_stays_open(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.worlds.ensure("a")
    find_open = type(lab.worlds.opened).find_open
    again: list[OpenWorld] = []

    def make_again(opened: OpenWorlds) -> list[OpenWorld]:
        lab.worlds.ensure("a")
        again.append(opened.enter("a"))
        return find_open(opened)

    monkeypatch.setattr(OpenWorlds, "find_open", make_again)
    lab.worlds.delete("a")
    assert [each.is_retired for each in again] == [False]


@pytest.mark.parametrize(
    ("then", "refusal"), [("delete", NotFound), ("reset", Conflict)], ids=["gone", "made again"]
)
def test_a_snapshot_of_a_world_that_is_removed_meanwhile_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, then: str, refusal: type[Refusal]
) -> None:
    lab.worlds.create(WorldRequest("a"))

    def remove_world(_place: Path, snapshot: Path) -> None:
        lab.worlds.delete("a")
        if then == "reset":
            lab.worlds.reset("a")
        (snapshot / "store.db").touch()

    monkeypatch.setattr(type(lab.storage), "save", staticmethod(remove_world))
    with pytest.raises(refusal, match=r"there is no world 'a'|was removed meanwhile"):
        Snapshots(lab.worlds).create("a", "s")


def test_a_world_whose_control_file_is_damaged_is_missing(lab: Lab) -> None:
    for name in ("a", "b", "c"):
        lab.worlds.create(WorldRequest(name))
    for name in ("a", "b"):
        lab.folders.world(name).control.write_bytes(b"")
    assert [each.name for each in lab.worlds.find_page(10, None)[0]] == ["c"]
    with pytest.raises(NotFound):
        lab.worlds.opened.enter("a")
    assert lab.worlds.reset("a").now == NOW
    lab.sweep_folders()
    assert lab.folders.find_names() == ["a", "c"]


def test_a_world_whose_files_cannot_be_read_now_stays(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.worlds.create(WorldRequest("a"))
    with lab.worlds.opened.using("a") as world:
        mark(world.server.store)
    folder, open_file = lab.folders.world("a"), os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if path in (folder.control, folder.path):
            raise OSError(errno.EMFILE, "Too many open files")
        return open_file(path, flags, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        patched.setattr(os, "scandir", lambda path: refuse(path, 0))
        for use in (
            lambda: lab.worlds.sweep_folder("a"),
            lambda: lab.worlds.ensure("a"),
            lambda: list(folder.find_places()),
        ):
            with pytest.raises(OSError, match="Too many open files"):
                use()
    with lab.worlds.opened.using("a") as world:
        assert is_marked(world.server.store)


def test_the_folder_of_a_late_snapshot_goes_too(lab: Lab) -> None:
    lab.worlds.create(WorldRequest("a"))
    lab.worlds.delete("a")
    lab.folders.world("a").snapshots.mkdir(parents=True)
    lab.sweep_folders()
    assert not lab.folders.world("a").path.exists()


def test_a_snapshot_of_another_kind_is_refused(lab: Lab) -> None:
    snapshots = Snapshots(lab.worlds)
    lab.worlds.create(WorldRequest("a"))
    made = snapshots.create("a", None)
    file = lab.folders.world("a").snapshots / made.name / "snapshot.json"
    for changes, text in (
        ({"revision": "0001_baseline"}, "is of the revision 0001_baseline, expected 0"),
        ({"kind": "other"}, "is of the database other, expected"),
    ):
        before = file.read_bytes()
        file.write_text(json.dumps({**json.loads(before), **changes}))
        with pytest.raises(Conflict, match=text):
            snapshots.restore("a", made.name)
        file.write_bytes(before)
    file.write_text("{")
    with pytest.raises(NotFound):
        snapshots.restore("a", made.name)


def test_a_process_that_was_killed_leaves_nothing_for_long(lab: Lab) -> None:
    lab.worlds.ensure("a")
    with lab.worlds.opened.using("a"):
        pass
    folder = lab.folders.world("a")
    # While it made a store, and while it replaced the control file.
    folder.add_place("0" * 16)
    lab.storage.make(folder.place("0" * 16))
    draft = folder.path / f".{FILE}.0000"
    draft.write_bytes(b"{")
    lab.worlds.collect()
    lab.sweep_folders()
    assert len(list(folder.find_places())) == 1
    assert read_control(folder.control) is not None
    lab.worlds.delete("a")
    lab.worlds.sweep_open()
    assert lab.folders.find_names() == []
