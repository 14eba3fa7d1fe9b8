"""`rightsmanager streams`: listing and ending streams."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import AccountId, Guid, Kid
from rightsmanager.settings_loading import load
from rightsmanager.store.database import open_store
from rightsmanager.store.streams import EndedBy, Stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Ran, Run

DEVICE = base64.b64encode(bytes([0xFB] * 32)).decode()
ACCOUNT = AccountId(b"account id 00001")
NOW = int(time.time())
KID = Kid(bytes(range(16)))


def stream(number: int, account: AccountId | None = None, **changes: Any) -> Stream:  # noqa: ANN401
    holder = StreamHolder(account, DEVICE).name
    kid = Kid(bytes([number]) * 16)
    made = Stream(Guid(bytes([number]) * 16), holder, DEVICE, kid, NOW, NOW, NOW + 3600)
    return replace(made, **changes)


OPEN, OF_ACCOUNT = stream(1), stream(2, ACCOUNT)
STOPPED = stream(3, ended_at=NOW + 5, ended_by=EndedBy.STOP)
EXPIRED = stream(4, opened_at=NOW - 20, expires_at=NOW - 10)


class Streams:
    """The command's own commands over a data folder."""

    def __init__(self, run: Run, data: Path) -> None:
        self._run = run
        self._data = data
        self.record(OPEN, OF_ACCOUNT, STOPPED, EXPIRED)

    def record(self, *streams: Stream) -> None:
        store = open_store(load(None, data=self._data).effective_database_url)
        with store.transaction() as transaction:
            for each in streams:
                transaction.streams.record(each)
        store.close()

    def __call__(self, command: str, *arguments: str) -> Ran:
        return self._run("streams", command, "--data", str(self._data), *arguments)

    def states(self, *arguments: str) -> dict[str, str]:
        """Return the state of each stream by its id."""
        ran = self("list", "--json", *arguments)
        return {fact["stream_id"]: fact["state"] for fact in ran.json}


@pytest.fixture
def streams(run: Run, data: Path) -> Streams:
    return Streams(run, data)


def ids(*streams: Stream) -> set[str]:
    return {each.stream_id.text for each in streams}


def test_open_streams_are_listed(streams: Streams) -> None:
    assert set(streams.states()) == ids(OPEN, OF_ACCOUNT)
    head, *rows = streams("list").output.splitlines()
    assert head.split() == [
        *("stream", "state", "account", "user", "device", "KID", "opened", "expires", "ended"),
    ]
    assert sorted(row.split()[0] for row in rows) == sorted(ids(OPEN, OF_ACCOUNT))


def test_ended_streams_are_listed_with_the_reason(streams: Streams) -> None:
    assert streams.states("--all") == {
        OPEN.stream_id.text: "open",
        OF_ACCOUNT.stream_id.text: "open",
        STOPPED.stream_id.text: "stop",
        EXPIRED.stream_id.text: "expiry",
    }


def test_all_facts_of_a_stream_are_listed(streams: Streams) -> None:
    (fact,) = streams("list", "--json", "--account", ACCOUNT.text).json
    assert (fact["account"], fact["device"], fact["kid"]) == (
        ACCOUNT.text,
        DEVICE,
        OF_ACCOUNT.kid.text,
    )
    assert fact["ended_at"] is None
    assert [fact[name].endswith("+00:00") for name in ("opened_at", "expires_at")] == [True] * 2


@pytest.mark.parametrize("device", [DEVICE, "fb" * 32])
def test_streams_of_a_device_have_no_account(streams: Streams, device: str) -> None:
    assert set(streams.states("--device", device)) == ids(OPEN)


def test_a_stream_is_ended_by_its_id(streams: Streams) -> None:
    ran = streams("end", OPEN.stream_id.text)
    assert (ran.status, ran.output) == (0, "1 stream ended\n")
    assert set(streams.states()) == ids(OF_ACCOUNT)
    assert streams.states("--all")[OPEN.stream_id.text] == "operator"


def test_all_named_streams_are_ended_or_none(streams: Streams) -> None:
    ran = streams("end", OPEN.stream_id.text, STOPPED.stream_id.text)
    assert ran.status == 1
    assert f"stream {STOPPED.stream_id.text} is not open" in ran.errors
    assert set(streams.states()) == ids(OPEN, OF_ACCOUNT)
    assert streams("end", "--json", *ids(OPEN, OF_ACCOUNT)).json == {"ended": 2}
    assert streams.states() == {}


def test_all_streams_of_a_holder_are_ended(streams: Streams) -> None:
    assert streams("end", "--account", ACCOUNT.base64).output == "1 stream ended\n"
    assert streams("end", "--device", DEVICE).output == "1 stream ended\n"
    assert streams("end", "--device", DEVICE).output == "0 streams ended\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (OPEN.stream_id.text, "--device", DEVICE),
        ("--account", ACCOUNT.text, "--device", DEVICE),
        ("--user", "someone", "--device", DEVICE),
        ("no stream",),
        ("--device", "no device"),
    ],
)
def test_contradicting_options_are_a_usage_error(
    streams: Streams, arguments: tuple[str, ...]
) -> None:
    ran = streams("end", *arguments)
    assert ran.status == 2
    assert "Error" in ran.errors
    assert len(streams.states()) == 2


def test_streams_of_a_user_are_listed_and_ended(streams: Streams) -> None:
    streams.record(replace(stream(5), holder="user:someone"))
    (fact,) = streams("list", "--json", "--user", "someone").json
    assert (fact["user"], fact["account"], fact["device"]) == ("someone", None, DEVICE)
    assert streams.states("--user", "another") == {}
    assert streams("end", "--user", "someone").output == "1 stream ended\n"
    assert streams.states("--user", "someone") == {}
