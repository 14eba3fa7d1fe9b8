"""The commands of `rightsmanager world`, against a server with worlds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.errors import Refusal
from rightsmanager.protocol.formats.wrmheader import Header
from tests.databases import on_sqlite
from tests.e2e.conftest import Client, Command, Enrol, HeaderOf, Server, Start

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
KID_BASE64 = "4Rplb+TbNES8tGkNFWTEHA=="
pytestmark = on_sqlite

World = Callable[..., Any]


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start(tmp_path_factory.mktemp("worlds") / "data", "--lab")


@pytest.fixture(scope="module")
def client(server: Server, enrol: Enrol) -> Client:
    return enrol(server.data)


@pytest.fixture
def world(server: Server, command: Command) -> World:
    """Return a function that runs a command and returns its output; JSON is parsed."""
    at = server.url.rpartition("/")[0]

    def run(*arguments: str, status: int = 0) -> Any:  # noqa: ANN401 -- JSON of any shape
        ran = command("world", *arguments, "--url", at)
        assert ran.status == status, ran.output + ran.errors
        return ran.json if "--json" in arguments else ran.output + ran.errors

    return run


def url(server: Server, name: str) -> str:
    return server.url.replace("/rightsmanager.asmx", f"/w/{name}/rightsmanager.asmx")


@pytest.fixture
def header(header_of: HeaderOf) -> Header:
    return header_of(KID_BASE64)


def test_a_world_is_created_changed_and_deleted(world: World, server: Server) -> None:
    made = world("create", "made", "--seed", "42", "--set", "license.max_kids=5", "--json")
    assert (made["url"], made["seed"]) == (url(server, "made"), 42)
    assert made["settings"] == {"license": {"max_kids": 5}}
    assert "made" in world("list")
    changed = world("change", "made", "--set", "license.acknowledge=persistent", "--json")
    assert changed["settings"]["license"] == {"max_kids": 5, "acknowledge": "persistent"}
    shown = world("show", "made")
    assert "persistent" in shown
    assert "2030-01-01T00:00:00Z (frozen)" in shown
    world("delete", "made")
    assert "there is no world 'made'" in world("show", "made", status=1)


def test_the_clock_is_shown_and_changed(world: World) -> None:
    world("create", "clock", "--now", "2031-01-01T00:00:00Z", "--freeze")
    assert "2031-01-01T00:00:00Z" in world("clock", "clock")
    moved = world("clock", "clock", "--advance", "P30D", "--json")
    assert (moved["now"], moved["frozen"]) == ("2031-01-31T00:00:00Z", True)
    assert world("clock", "clock", "--run", "--offset", "-60", "--json")["offset_seconds"] == -60
    assert world("seed", "clock", "7", "--json")["seed"] == 7


def test_faults_are_added_and_removed(
    world: World, server: Server, client: Client, header: Header, tmp_path: Path
) -> None:
    world("create", "faults")
    added = world("fault", "add", "faults", "status", "status=0x8004c600", "count=1", "--json")
    with pytest.raises(Refusal, match="a fault of the kind status was injected"):
        client.acquire(url(server, "faults"), header)
    assert client.acquire(url(server, "faults"), header).licenses
    [listed] = world("fault", "list", "faults", "--json")
    assert (listed["id"], listed["used"]) == (added["id"], 1)
    assert "count=1 status=0x8004c600" in world("fault", "list", "faults")
    world("fault", "remove", "faults", listed["id"])
    world("clock", "faults", "--now", "2031-01-01T00:00:00Z", "--freeze")
    shown = world("fault", "add", "faults", "latency", "milliseconds=1")
    assert "created at    2031-01-01T00:00:00+00:00" in shown
    world("fault", "remove", "faults")
    scripted = tmp_path / "answers.json"
    scripted.write_text('[{"kind": "status", "status": "0x8004c600"}, {"query": "PlayRight=1"}]')
    assert "query=PlayRight=1" in world("fault", "script", "faults", str(scripted))
    with pytest.raises(Refusal):
        client.acquire(url(server, "faults"), header)
    assert client.acquire(url(server, "faults"), header).licenses
    world("fault", "remove", "faults")
    assert world("fault", "list", "faults", "--json") == []


def test_the_journal_is_listed_awaited_and_counted(
    world: World, server: Server, client: Client, header: Header
) -> None:
    client.acquire(url(server, "journal"), header)
    [entry] = world("wait", "journal", "--operation", "AcquireLicense", "--json")
    assert entry["kids"] == [KID]
    assert KID in world("journal", "journal", "--outcome", "ok")
    assert "1 request as expected" in world("assert", "journal", "--kid", KID, "--count", "1")
    said = world("assert", "journal", "--at-least", "2", status=1)
    assert "1 entry matches, expected" in said
    late = ("--since", str(entry["id"]), "--timeout", "0.1")
    assert "0 entries match" in world("wait", "journal", *late, status=1)


def test_a_part_or_everything_is_reset(
    world: World, server: Server, client: Client, header: Header
) -> None:
    client.acquire(url(server, "parts"), header)
    world("fault", "add", "parts", "latency", "milliseconds=1")
    world("reset", "parts", "--part", "journal")
    assert world("assert", "parts", "--count", "0")
    assert len(world("fault", "list", "parts", "--json")) == 1
    world("reset", "parts")
    assert world("fault", "list", "parts", "--json") == []


def test_a_snapshot_is_kept_and_restored(world: World) -> None:
    world("create", "kept", "--seed", "1")
    world("snapshot", "kept", "before")
    world("seed", "kept", "2")
    assert "before" in world("snapshots", "kept")
    world("restore", "kept", "before")
    assert world("show", "kept", "--json")["seed"] == 1
    world("delete", "kept", "--snapshot", "before")
    assert "before" not in world("snapshots", "kept")


def test_wrong_usage_says_what_is_expected(world: World) -> None:
    world("create", "usage")
    for arguments, text in (
        (("change", "usage"), "Name a setting or a lifetime"),
        (("change", "usage", "--set", "max_kids=5"), "expected SECTION.NAME=VALUE"),
        (("change", "usage", "--set", "license"), "NAME=VALUE"),
        (("wait", "usage", "--timeout", "99"), "--timeout"),
    ):
        assert text in world(*arguments, status=2)


def test_a_server_without_worlds_says_so(command: Command, start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data")
    ran = command("world", "list", "--url", server.url)
    assert ran.status == 1
    assert "--lab" in ran.errors
