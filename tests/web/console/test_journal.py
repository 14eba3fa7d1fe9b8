"""The journal's pages: a list with filters, each request explained, replay, acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.console.conftest import NOW, Browser
from tests.web.console.player import Player, find_entry, make_player

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rightsmanager.server import Server
    from rightsmanager.store.journal.entries import Entry

MARKUP = '<script>alert("x")</script>'


@pytest.fixture
def player(server: Server, data: Path) -> Player:
    return make_player(server, data, NOW)


def acquire(player: Player, *request: str) -> Entry:
    """Return the entry of a request with a query and CustomData."""
    player.acquire(*request)
    return player.entry()


def failed_checks(browser: Browser, entry: Entry) -> list[str]:
    """Return the checks that the page of a request says have failed."""
    page = browser.get(f"/console/journal/{entry.id}").page
    found = page.xpath("//h2[text()='Checks that did not pass']/following-sibling::ul[1]/li")
    return [" ".join(each.text_content().split()) for each in found]


def test_a_request_is_listed_and_found_by_each_filter(browser: Browser, player: Player) -> None:
    kid = player.acquire("?cfg=(sl:2000)")
    entry = player.entry()
    path = f"/console/journal/{entry.id}"
    assert path in browser.get("/console/journal").links
    for query in (
        f"kid={kid.text}",
        f"operation=AcquireLicense&kid={kid.text}",
        f"outcome=ok&device={player.device.replace('+', '%2B')}",
        f"text={player.address}&kid={kid.base64.replace('+', '%2B')}",
        f"kind=request&kid={kid.text}&since=2020-01-01T00:00&until=2100-01-01T00:00",
    ):
        assert path in browser.get(f"/console/journal?{query}").links, query
    for query in ("outcome=fault", "operation=JoinDomain", "until=2020-01-01", "kind=act"):
        shown = browser.get(f"/console/journal?kid={kid.text}&{query}")
        assert "Nothing matches the filter." in shown.text, query


@pytest.mark.parametrize(
    "query", ["outcome=x", "kid=x", "device=x", "since=x", "kind=x", "after=x", "account=x"]
)
def test_an_invalid_filter_is_refused(browser: Browser, query: str) -> None:
    assert browser.get(f"/console/journal?{query}").status == 422


def test_a_list_loads_itself_until_it_is_paused(browser: Browser) -> None:
    shown = browser.get("/console/journal?outcome=fault")
    (live,) = shown.page.xpath("//*[@hx-trigger]")
    assert (live.get("id"), live.get("hx-trigger")) == ("live", "every 3s")
    # The filters stay as they are while an operator types.
    assert live.xpath(".//form") == []
    (pause,) = [each for each in shown.links if "live=off" in each]
    paused = browser.get(pause)
    assert paused.page.xpath("//*[@hx-trigger]") == []
    assert "Reload by itself" in paused.text


def test_a_request_is_shown_with_its_decision_and_its_reply(
    browser: Browser, player: Player
) -> None:
    player.acquire("?cfg=(sl:2000,persist:true)", f"told {MARKUP}")
    shown = browser.get(f"/console/journal/{player.entry().id}")
    page = shown.page
    assert "The request was answered." in shown.text
    assert MARKUP in shown.text
    assert page.xpath("//main//script") == []
    (table,) = page.xpath("//table[starts-with(@aria-label, 'Decision')]")
    rows = [[cell.text_content().strip() for cell in row] for row in table.xpath("./tbody/tr")]
    assert rows[:2] == [
        ["sl", "2000", "policy.security_level", "the query"],
        ["persist", "true", "policy.persistent", "the query"],
    ]
    assert rows[2][3] == "the server's default"
    text = shown.text
    for part in ("Request, decoded", "Reply, decoded", "security level", "As a curl command"):
        assert part in text
    assert "base64 -d | curl -sS" in text
    assert browser.get(next(each for each in shown.links if "/devices/" in each)).status == 200


def test_a_level_that_is_too_low_is_explained(browser: Browser, player: Player) -> None:
    entry = acquire(player, "?cfg=(sl:3000)")
    text = browser.get(f"/console/journal/{entry.id}").text
    assert "needs security level 3000, the device's certificate has 2000" in text
    assert "at the stage decide" in text


def test_an_unknown_parameter_is_explained(browser: Browser, player: Player) -> None:
    entry = acquire(player, "?cfg=(persit:true)")
    text = browser.get(f"/console/journal/{entry.id}").text
    assert "'persit' is an unknown parameter, the nearest known name is persist" in text


def test_a_wrong_digest_is_explained(browser: Browser, server: Server, data: Path) -> None:
    tampering = make_player(server, data, NOW, tampers=True)
    entry = acquire(tampering)
    assert any("digest" in each.lower() for each in failed_checks(browser, entry))
    assert "digest" in browser.get(f"/console/journal/{entry.id}").text.lower()


def test_an_expired_certificate_is_explained(browser: Browser, server: Server, data: Path) -> None:
    expired = make_player(server, data, NOW, expiry=NOW - 1)
    entry = acquire(expired)
    (check,) = failed_checks(browser, entry)
    assert "expiry: expired 2026-" in check
    assert "expired" in (entry.reason or "")


def test_a_request_is_replayed_with_both_outcomes(browser: Browser, player: Player) -> None:
    player.acquire("?cfg=(sl:3000)")
    entry = player.entry()
    shown = browser.submit(f"/console/acts/replay?entry={entry.id}")
    assert (shown.status, "Both outcomes are alike." in shown.text) == (200, True)
    assert shown.text.count("needs security level 3000") == 2


def test_a_masked_request_is_not_replayed(browser: Browser, player: Player) -> None:
    entry = acquire(player, "?cfg=(contentkey:AAAAAAAAAAAAAAAAAAAAAA==)")
    page = browser.get(f"/console/journal/{entry.id}")
    assert "AAAAAAAAAAAAAAAAAAAAAA" not in page.body.decode()
    assert "the decision is not shown" in page.text
    shown = browser.submit(f"/console/acts/replay?entry={entry.id}")
    assert (shown.status, "cannot be replayed" in shown.text) == (422, True)


def test_acts_of_operators_are_entries(browser: Browser, server: Server) -> None:
    browser.submit("/console/acts/create-domain", name="Recorded household")
    entry = find_entry(server, kind="act", text="Recorded household")
    assert (entry.operation, entry.actor, entry.outcome) == ("create-domain", "loopback", "ok")
    assert entry.request_id
    shown = browser.get(f"/console/journal/{entry.id}")
    assert "The act was performed." in shown.text
    browser.submit("/console/acts/create-domain", url="ftp://Refused")
    refused = find_entry(server, kind="act", text="ftp://Refused")
    assert "The act was refused" in browser.get(f"/console/journal/{refused.id}").text


def test_a_secret_of_an_act_is_not_recorded(browser: Browser, server: Server) -> None:
    kid, key = "5e1f1c1e-8e53-4a8e-9d0b-2f2f4b6f7a10", "00112233445566778899aabbccddeeff"
    browser.submit("/console/acts/add-key", kid=kid, key=key)
    entry = find_entry(server, kind="act", text=kid)
    assert key not in repr(entry)


def test_an_entry_that_was_removed_is_not_found(browser: Browser) -> None:
    for name in ("999999999999", "x", "1" * 40):
        assert browser.get(f"/console/journal/{name}").status == 404


def test_the_journal_is_cleared(browser: Browser, player: Player) -> None:
    acquire(player)
    shown = browser.follow(browser.submit("/console/acts/clear-journal"))
    assert "The journal is cleared." in shown.text


def test_the_overview_counts_requests_and_faults(browser: Browser, player: Player) -> None:
    acquire(player, "?cfg=(persit:true)")
    shown = browser.get("/console/?range=1440")
    assert shown.page.xpath("//*[@data-chart]")
    for title in ("Requests a minute", "Time of a request", "Outcomes", "Newest faults"):
        assert title in shown.text


@pytest.mark.parametrize(("record", "text"), [("off", "The journal is off"), ("faults", "refused")])
def test_pages_say_what_the_journal_does_not_have(
    new_server: Callable[..., Server], record: str, text: str
) -> None:
    client = Browser(new_server(journal={"record": record}))
    for path in ("/console/", "/console/journal"):
        assert text in client.get(path).text
