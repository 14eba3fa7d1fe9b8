"""`/api/v1/journal` over HTTP, on each kind of database, against its description."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from rightsmanager.journal.journal import open_journal
from rightsmanager.web.api.routes import BASE
from tests.e2e.test_api_e2e import Api
from tests.e2e.test_api_nouns import NO_TOKEN, in_url, pages

if TYPE_CHECKING:
    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

KID = "4Rplb+TbNES8tGkNFWTEHA=="
ENTRIES = "/journal/entries"


@pytest.fixture(scope="module")
def managed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    # Entries of one worker are in the order of their requests.
    return start(tmp_path_factory.mktemp("managed") / "data", "--workers", "1")


@pytest.fixture(scope="module")
def api(managed: Server) -> Api:
    answer = managed.call("GET", f"{BASE}/openapi.json")
    return Api(managed, json.loads(answer.body), NO_TOKEN)


@pytest.fixture(scope="module")
def player(managed: Server, enrol: Enrol, header_of: HeaderOf) -> Client:
    """A device with a refused request, a good one, and one with a key in its URL."""
    client = enrol(managed.data)
    for query in ("cfg=(sl:3000)", "cfg=(sl:150)", f"ContentKey={KID}"):
        managed.post(client.challenge(header_of(KID)), f"/rightsmanager.asmx?{query}")
    assert open_journal(managed.data, managed.database_url).settle(30)
    return client


def of(player: Client) -> str:
    return f"{ENTRIES}?device={in_url(player.device.chain.leaf.device_id)}"


def test_entries_are_listed_in_pages_and_by_filters(api: Api, player: Client) -> None:
    listed = pages(api, of(player), "entries", 1)
    assert [each["query"] for each in listed] == ["ContentKey=***", "cfg=(sl:150)", "cfg=(sl:3000)"]
    assert listed == api("GET", of(player))["entries"]
    for more, count in (
        ("&outcome=fault", 1),
        ("&outcome=ok", 2),
        ("&outcome=0x8004c604&operation=AcquireLicense", 1),
        ("&kid=6f651ae1-dbe4-4434-bcb4-690d1564c41c", 3),
        ("&text=SECURITY%20level", 1),
        ("&kind=act", 0),
        ("&since=2001-01-01T00:00:00Z&before=2001-01-02T00:00:00Z", 0),
    ):
        assert len(api("GET", f"{of(player)}{more}")["entries"]) == count, more
    api("GET", f"{of(player)}&outcome=good", status=422)
    api("GET", f"{of(player)}&after=WyJhIl0", status=422)


def test_an_entry_is_shown_decoded(api: Api, player: Client) -> None:
    (listed,) = api("GET", f"{of(player)}&outcome=fault")["entries"]
    shown = api("GET", f"{ENTRIES}/{listed['id']}")
    assert {**shown, **listed} == shown
    assert (shown["failed"], shown["stage"]) == ("ServiceSpecific", "decide")
    assert b"<challenge" in base64.b64decode(shown["request"])
    assert b"0x8004c604" in base64.b64decode(shown["reply"])
    assert shown["decoded_request"]["name"] == "AcquireLicense challenge"
    assert shown["decoded_reply"]["name"] == "fault"
    api("GET", f"{ENTRIES}/999999999", status=404)
    api("GET", f"{ENTRIES}/x", status=422)


def test_an_entry_is_replayed_unless_it_is_masked(api: Api, player: Client) -> None:
    masked, good, bad = api("GET", of(player))["entries"]
    replayed = api("POST", f"{ENTRIES}/{bad['id']}/replay")
    assert replayed["is_alike"]
    assert replayed["after"]["outcome"] == "0x8004c604"
    assert api("POST", f"{ENTRIES}/{good['id']}/replay")["after"] == {
        "outcome": "ok",
        "reason": None,
    }
    assert "masked" in api("POST", f"{ENTRIES}/{masked['id']}/replay", status=422)["detail"]
    api("POST", f"{ENTRIES}/999999999/replay", status=404)


def test_counts_and_statistics_add_up(api: Api, player: Client, managed: Server) -> None:
    assert player
    assert open_journal(managed.data, managed.database_url).settle(30)
    counts = api("GET", "/journal/counts")
    assert counts["accepted"] == counts["written"] + counts["dropped"] + counts["waiting"]
    found = api("GET", "/journal/statistics")
    assert found["is_complete"]
    requests = sum(each["requests"] for each in found["minutes"])
    assert requests == sum(found["outcomes"].values())
    (latency,) = found["latencies"]
    assert (latency["operation"], latency["requests"]) == ("AcquireLicense", requests)
    assert sorted(latency["percentiles_ms"]) == ["p50", "p90", "p99"]
    assert api("GET", "/journal/statistics?before=2001-01-01T00:00:00Z")["minutes"] == []


def test_the_journal_is_cleared_and_says_who_did_it(
    api: Api, player: Client, managed: Server
) -> None:
    assert player
    assert api("DELETE", ENTRIES)["removed"] >= 3
    assert open_journal(managed.data, managed.database_url).settle(30)
    (act,) = api("GET", f"{ENTRIES}?kind=act&text=clear_journal")["entries"]
    assert (act["operation"], act["outcome"]) == ("clear_journal", "ok")
    assert act["actor"]
