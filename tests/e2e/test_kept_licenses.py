"""A device keeps persistent licences and opens them without the server."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.errors import Refusal
from rightsmanager.protocol.wire import Mid, TransactionId
from tests.databases import on_sqlite
from tests.e2e.devices import CommandedDevice, make_device, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Command, Server

pytestmark = on_sqlite
FIRST, SECOND = "4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw=="
ROOT = "AAAAAAAAAAAAAAAAAAAAAQ=="
Run = Callable[..., str]
"""Runs a command of the device and returns its output."""


@pytest.fixture
def device(server: Server, tmp_path: Path) -> Path:
    return make_device(server.data, tmp_path / "device").folder


@pytest.fixture
def run(device: Path) -> Run:
    return CommandedDevice(device).run


def listed(run: Run) -> list[dict[str, Any]]:
    found = json.loads(run("licenses", "--json"))
    assert isinstance(found, list)
    return found


def test_a_persistent_licence_opens_without_the_server(
    server: Server, run: Run, test_keys: dict[str, str]
) -> None:
    url = f"{server.url}?cfg=(persist:true)"
    run("acquire", "--url", url, "--kid", FIRST, "--kid", SECOND)
    assert sorted(each["kid"] for each in listed(run)) == sorted(map(text, (FIRST, SECOND)))
    for kid in (FIRST, SECOND):
        opened = json.loads(run("open", kid, "--json"))
        assert (opened["kid"], opened["content_key"]) == (text(kid), test_keys[kid])
        assert opened["persistent"] is True
    assert test_keys[FIRST] in run("open", text(FIRST))


def test_a_licence_that_cannot_persist_is_not_kept(server: Server, run: Run) -> None:
    run("acquire", "--url", server.url, "--kid", FIRST)
    assert listed(run) == []
    with pytest.raises(Refusal, match="no licence for KID"):
        run("open", FIRST)


def test_the_list_shows_the_granted_terms(server: Server, run: Run) -> None:
    now = int(time.time())
    mid = Mid(system_random(16)).text
    granted = f"(persist:true,begindate:20300101000000,enddate:20310101000000,mid:{mid})"
    run("acquire", "--url", f"{server.url}?cfg={granted}", "--kid", FIRST)
    (fact,) = listed(run)
    assert now <= fact["issued"] <= time.time()
    assert (fact["state"], fact["bound_to"]) == ("not yet", {"kind": "device"})
    assert (fact["begin"], fact["end"], fact["metering_id"]) == (1893456000, 1924992000, mid)
    head, row, end = (line.rstrip() for line in run("licenses").splitlines())
    assert head.split("  ")[0] == "KID"
    assert row.split()[:4] == [text(FIRST), "device", "not", "yet"]
    assert "2030-01-01T00:00:00Z  2031-01-01T00:00:00Z  -" in row
    assert end == "1 licence"
    with pytest.raises(Refusal, match="is good from 2030-01-01T00:00:00Z on"):
        run("open", FIRST)


def test_a_removal_date_in_the_past_is_reported_once(server: Server, run: Run) -> None:
    url = f"{server.url}?cfg=(persist:true,removaldate:20200101000000)"
    run("acquire", "--url", url, "--kid", FIRST)
    with pytest.raises(Refusal, match="was to be removed at 2020-01-01T00:00:00Z"):
        run("open", FIRST)
    assert [each["state"] for each in listed(run)] == ["removed"]
    assert listed(run) == []


def test_a_leaf_that_comes_alone_opens_through_the_root_that_is_kept(
    server: Server, run: Run, test_keys: dict[str, str]
) -> None:
    root = f"(persist:true,kid:{ROOT},isroot:true)"
    leaf = f"(persist:true,kid:{FIRST},rootid:{ROOT})"
    run("acquire", "--url", f"{server.url}?cfg={root}", "--kid", ROOT)
    run("acquire", "--url", f"{server.url}?cfg={leaf}", "--kid", FIRST)
    bound = {each["kid"]: each["bound_to"] for each in listed(run)}
    assert bound == {
        text(ROOT): {"kind": "device"},
        text(FIRST): {"kind": "root", "root_kid": text(ROOT)},
    }
    assert json.loads(run("open", FIRST, "--json"))["content_key"] == test_keys[FIRST]


def test_an_exported_licence_opens_on_its_own_device_only(
    server: Server, run: Run, device: Path, tmp_path: Path
) -> None:
    file = tmp_path / "shared" / "license.xmr"
    run("acquire", "--url", f"{server.url}?cfg=(persist:true)", "--kid", FIRST)
    assert run("export", FIRST, str(file)) == (f"The licence for KID {text(FIRST)} is in {file}.\n")
    opened = run("open", FIRST)
    assert run("open", str(file)) == opened
    (stored,) = (device / "licenses").rglob("*.xmr")
    assert stored.read_bytes() == file.read_bytes()
    stored.unlink()
    assert run("import", str(file)) == f"The device stores the licence for KID {text(FIRST)}.\n"
    assert run("open", FIRST) == opened
    other = make_device(server.data, tmp_path / "other")
    for name in ("open", "import"):
        assert "bound to another device's key" in str(other.invoke(name, str(file)).exception)
    assert not (other.folder / "licenses").exists()


def test_a_failure_to_keep_a_licence_is_acknowledged_as_such(
    server: Server, run: Run, device: Path
) -> None:
    (device / "licenses").write_bytes(b"")
    tid = TransactionId(system_random(16)).text
    url = f"{server.url}?cfg=(persist:true,tid:{tid})"
    told = json.loads(run("acquire", "--url", url, "--kid", FIRST, "--json"))
    assert told["acknowledged"] == [{"kid": text(FIRST), "result": "0x80004005"}]


@pytest.mark.parametrize("what", ["nonsense", "/nowhere/license.xmr"])
def test_an_argument_that_is_neither_kid_nor_file_is_refused(run: Run, what: str) -> None:
    with pytest.raises(Refusal, match="is neither a KID nor a file"):
        run("open", what)


def test_leaf_licences_in_the_media_open_with_a_stored_root(
    server: Server, run: Run, command: Command, tmp_path: Path
) -> None:
    rotate = ("content", "rotate", "--data", str(server.data), "--periods", "0-1", "--root")
    named = ("--url", server.url, "--keys", "--json", "a rotated channel")
    rotated = command(*rotate, *named, **server.environment).json
    box = tmp_path / "leaves.pssh"
    box.write_bytes(b"".join(base64.b64decode(each["pssh"]) for each in rotated["periods"]))
    with pytest.raises(Refusal, match="needs the root licence"):
        run("open", str(box))
    url = f"{server.url}?cfg=(isroot:true,persist:true)"
    run("acquire", "--url", url, "--pssh", rotated["root"]["pssh"])
    opened = json.loads(run("open", str(box), "--json"))
    keys = [(each["kid"], each["key"]) for each in rotated["periods"]]
    assert [(each["kid"], each["content_key"]) for each in opened] == keys
    (tmp_path / "root.pssh").write_bytes(base64.b64decode(rotated["root"]["pssh"]))
    with pytest.raises(Refusal, match="the file has no licence, and its PSSH boxes have none"):
        run("open", str(tmp_path / "root.pssh"))
