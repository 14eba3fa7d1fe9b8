"""The control file of a world."""

from dataclasses import replace
from pathlib import Path

import pytest

from rightsmanager.errors import InternalError
from rightsmanager.lab.clock import ClockSetting
from rightsmanager.lab.control import (
    FILE,
    Control,
    Options,
    build_control,
    identify,
    parse_control,
    read_control,
    write_control,
)

OPTIONS = Options(7, ClockSetting(1.5), {"streams": {"max_per_device": 1}}, "own", 60)
CONTROL = Control("0" * 16, "0005_x", 1.5, OPTIONS, Options(), 3, ({"kind": "status"},))


def test_a_control_state_is_the_same_from_its_file(tmp_path: Path) -> None:
    assert parse_control(build_control(CONTROL)) == CONTROL
    write_control(tmp_path / FILE, CONTROL)
    assert read_control(tmp_path / FILE) == (CONTROL, identify(tmp_path / FILE))
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_each_replacement_has_an_identity_of_its_own(tmp_path: Path) -> None:
    found = set()
    for _ in range(50):
        write_control(tmp_path / FILE, CONTROL)
        found.add(identify(tmp_path / FILE))
    assert len(found) == 50


def test_without_a_file_there_is_not_a_world(tmp_path: Path) -> None:
    assert read_control(tmp_path / FILE) is None
    assert identify(tmp_path / FILE) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"options": 1}', b"\xff"])
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(InternalError, match=r"a world's control.json is damaged"):
        parse_control(data)


def test_a_clock_and_faults_need_no_new_server() -> None:
    other = replace(CONTROL, faults=(), options=replace(OPTIONS, clock=ClockSetting()))
    assert other.building == CONTROL.building
    assert replace(CONTROL, epoch=4).building != CONTROL.building
    assert replace(CONTROL, options=replace(OPTIONS, seed=8)).building != CONTROL.building
