"""The lists of records and their acts: keys, devices, usage, streams, revocations, certificates."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.protocol.wire import (
    AccountId,
    Kid,
    Mid,
    SessionId,
    TransactionId,
    encode_base64,
)
from rightsmanager.store.domains import Member
from rightsmanager.store.metering import ReceivedReport
from rightsmanager.store.sessions import StoredSession
from rightsmanager.web.console.blocks import device_path
from rightsmanager.web.console.lists import MAX_ROWS
from tests.web.console.conftest import NOW
from tests.web.console.player import Player, make_player

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.server import Server
    from tests.web.console.conftest import Answer, Browser

KEY = "00112233445566778899aabbccddeeff"
MARKUP = '<script>alert("x")</script>'


def new_kid() -> Kid:
    return Kid(system_random(16))


@pytest.fixture
def player(server: Server, data: Path) -> Player:
    return make_player(server, data, NOW)


def rows(answer: Answer) -> list[list[str]]:
    """Return the texts of the rows of a page's first table."""
    found = answer.page.xpath("(//main//table)[1]/tbody/tr")
    return [[cell.text_content().strip() for cell in row] for row in found]


def test_a_list_has_pages_with_every_item_once(browser: Browser) -> None:
    count = 2 * MAX_ROWS + 1
    for number in range(count):
        browser.submit("/console/acts/create-domain", name=f"Account {number}")
    path, names, pages = "/console/domains", [], 0
    while path:
        shown = browser.get(path)
        names += [row[1] for row in rows(shown)]
        pages += 1
        following = shown.page.xpath("//a[@rel='next']/@href")
        assert bool(shown.page.xpath("//a[text()='First page']")) == (pages > 1)
        path = f"/console/{following[0].removeprefix('../console/')}" if following else ""
    assert (pages, len(names), len(set(names))) == (3, count, count)


def test_a_key_is_added_hidden_revealed_and_removed(browser: Browser) -> None:
    kid = new_kid()
    add = {"kid": kid.base64, "key": KEY, "program": "news", "period": "3", "track": "UHD"}
    added = browser.follow(browser.submit("/console/acts/add-key", **add))
    assert "The key is stored." in added.text
    assert KEY not in added.body.decode()
    listed = browser.get("/console/keys?program=news&origin=operator&type=aesctr")
    assert rows(listed)[0][:5] == [kid.text, "aesctr", "operator", "news", "3"]
    assert "Nothing matches" in browser.get("/console/keys?origin=packager&program=news").text
    assert rows(browser.get("/console/keys?track=uhd"))[0][0] == kid.text
    (change,) = (
        each for each in browser.get(f"/console/keys/{kid.text}").links if "set-track" in each
    )
    done = browser.follow(browser.submit(change, track="audio"))
    assert "The track is set." in done.text
    assert rows(browser.get("/console/keys?track=audio"))[0][5] == "audio"
    asked = browser.get(f"/console/acts/reveal-key?kid={kid.text}")
    assert KEY not in asked.body.decode()
    shown = browser.submit(f"/console/acts/reveal-key?kid={kid.text}")
    assert (shown.status, KEY in shown.text) == (200, True)
    assert shown.headers["Cache-Control"] == "no-store"
    browser.follow(browser.submit(f"/console/acts/remove-key?kid={kid.text}"))
    assert browser.get(f"/console/keys/{kid.text}").status == 404


def test_the_keys_of_the_next_periods_are_created(browser: Browser) -> None:
    shown = browser.submit("/console/acts/rotate-keys", program="channel", count="2")
    assert "Period 0" in shown.text
    assert "Period 1" in shown.text
    assert "Period 2" in browser.submit("/console/acts/rotate-keys", program="channel").text
    listed = browser.get("/console/keys?program=channel&origin=packager")
    assert sorted(row[4] for row in rows(listed)) == ["0", "1", "2"]
    refused = browser.submit("/console/acts/rotate-keys", program="channel", count="1000")
    assert (refused.status, "expected 1 to 999" in refused.text) == (422, True)


def test_a_key_that_is_refused_is_not_repeated(browser: Browser) -> None:
    refused = browser.submit("/console/acts/add-key", kid=new_kid().text, key=f"{KEY}0")
    assert refused.status == 422
    assert KEY not in refused.body.decode()


def test_a_list_of_keys_is_imported(browser: Browser) -> None:
    kid = new_kid()
    shown = browser.submit("/console/acts/import-keys", list=f"kid,key\n{kid.text},{KEY}\n")
    assert "1 added, 0 stored already." in shown.text
    assert "import" in rows(browser.get("/console/keys?origin=import"))[0]
    assert browser.submit("/console/acts/import-keys", list="nothing").status == 422


def test_a_device_is_shown_with_its_ledger_and_licences(browser: Browser, player: Player) -> None:
    kid = player.acquire("?cfg=(persist:true)")
    listed = browser.get("/console/devices")
    assert rows(listed)[0][:2] == [player.device, "1"]
    path = listed.links[0]
    shown = browser.get(path)
    assert rows(shown)[0][:2] == [kid.text, "issued"]
    for link in shown.links:
        assert browser.get(link).status == 200, link
    found = browser.get(f"/console/licenses?kid={kid.text}")
    assert "persistent" in rows(found)[0][3]
    assert browser.get("/console/licenses?device=x").status == 422


def test_a_stream_is_listed_and_ended(browser: Browser, player: Player) -> None:
    player.acquire("?cfg=(securestop:true)")
    shown = browser.get("/console/streams")
    (row,) = rows(shown)
    assert row[1:3] == ["open", "the device"]
    (end,) = [each for each in shown.links if "/acts/" in each]
    done = browser.follow(browser.submit(end))
    assert "The stream is ended." in done.text
    assert rows(browser.get("/console/streams?which=all"))[0][1] == "operator"
    assert browser.submit(end).status == 422
    for query in (f"account={Mid(bytes(16)).text}", "user=x", f"kid={new_kid().text}"):
        assert rows(browser.get(f"/console/streams?which=all&{query}")) == []


def test_usage_has_a_chart_totals_and_royalty(browser: Browser, server: Server) -> None:
    mid = server.keyring.metering.mid
    first, second = new_kid(), new_kid()
    usage = ((first, "Play", 7), (second, "Play", 2), (second, "Copy", 1))
    with server.store.transaction() as transaction:
        transaction.metering.record(
            ReceivedReport(
                "device", mid, TransactionId(system_random(16)), system_random(32), NOW, usage
            ),
            keep=True,
        )
    shown = browser.get("/console/metering")
    assert rows(shown)[0] != []
    assert shown.page.xpath("//*[@data-chart]")
    assert "9 at 0.01 USD" in shown.text
    assert "Saving by plays" in shown.text
    for by, expected in (("kid", first.text), ("action", "Play"), ("device", "device")):
        page = browser.get(f"/console/metering?by={by}&play=0.5&titles=3").page
        cells = page.xpath("(//main/div/table)[1]/tbody/tr[1]/td[1]")
        assert cells[0].text_content().strip() == expected
    assert "3 at 0.08 USD" in browser.get("/console/metering?titles=3").text


@pytest.mark.parametrize(
    "query", ["from=2030-01-01&to=2029-01-01", "from=x", "play=-1", "play=x", "by=x", "mid=x"]
)
def test_invalid_questions_of_usage_are_refused(browser: Browser, query: str) -> None:
    assert browser.get(f"/console/metering?{query}").status == 422


def test_a_metering_id_is_created_and_retired(browser: Browser) -> None:
    done = browser.follow(browser.submit("/console/acts/create-metering-id", name="Films"))
    row = next(each for each in rows(done) if each[1] == "Films")
    assert row[2] == "in use"
    assert any("Films" in text for text in browser.get("/console/certificates").text.split())
    done = browser.follow(browser.submit(f"/console/acts/retire-metering-id?mid={row[0]}"))
    assert next(each for each in rows(done) if each[1] == "Films")[2] == "retired"


def test_a_certificate_is_revoked_allowed_and_served_again(browser: Browser) -> None:
    digest = b64encode(system_random(32)).decode()
    done = browser.follow(browser.submit("/console/acts/revoke", digest=digest))
    assert rows(done)[0][:3] == [digest, "revoked", "device"]
    links = {each.partition("?")[0].rpartition("/")[2]: each for each in done.links}
    allowed = browser.follow(browser.submit(links["allow"]))
    assert rows(allowed)[0][1] == "allowed"
    take_off = next(each for each in allowed.links if "disallow" in each)
    assert rows(browser.follow(browser.submit(take_off)))[0][1] == "revoked"
    done = browser.follow(browser.submit(links["unrevoke"]))
    assert "No certificate is revoked." in done.text
    assert browser.submit("/console/acts/revoke", digest="x").status == 422


def test_the_tree_of_certificates_leads_to_each_one(browser: Browser) -> None:
    shown = browser.get("/console/certificates")
    names = shown.page.xpath("//ul[@class='tree']//a/text()")
    assert {"device-issuer", "license-signer", "metering", "domain-issuer"} <= set(names)
    for link in shown.links[1:]:
        page = browser.get(link)
        assert page.status == 200
        assert "failed" not in page.text


def test_a_revoked_issuer_is_marked_in_the_tree(browser: Browser) -> None:
    shown = browser.get("/console/certificates")
    digest = shown.links[1].rpartition("/")[2]
    browser.submit("/console/acts/revoke", digest=digest)
    assert "revoked" in browser.get("/console/certificates").text
    assert browser.submit(f"/console/acts/unrevoke?digest={digest}").status == 303


def test_old_records_are_purged(browser: Browser, player: Player) -> None:
    player.acquire()
    shown = browser.submit("/console/acts/purge", days="0")
    assert "Old records are removed." in shown.text
    assert "licences" in shown.text


def test_anything_is_decoded(browser: Browser, server: Server) -> None:
    chain = server.keyring.signing_chain.raw
    shown = browser.submit("/console/decode", text=b64encode(chain).decode())
    assert "BCert chain" in shown.text
    assert "Checks:" in shown.text
    assert "Paste something" in browser.submit("/console/decode", text=" ").text
    refused = browser.submit("/console/decode", text="<script>alert(1)</script>")
    assert refused.status == 422
    assert refused.page.xpath("//main//script") == []


def test_a_member_is_removed_and_allowed_again(browser: Browser, server: Server) -> None:
    made = browser.submit("/console/acts/create-domain", name="Family")
    path = made.location.partition("?")[0]
    account, device = AccountId.parse(path.rpartition("/")[2]), encode_base64(system_random(32))
    with server.store.transaction() as transaction:
        transaction.domains.reserve_seat(account)
        transaction.domains.record_member(account, Member(device, MARKUP, NOW, 1))
    shown = browser.get(path)
    (row,) = rows(shown)
    assert row[:3] == [device, MARKUP, "member"]
    assert shown.page.xpath("//main//script") == []
    remove = next(each for each in shown.links if "remove-member" in each)
    removed = browser.follow(browser.submit(remove))
    assert rows(removed)[0][2] == "removed"
    allow = next(each for each in removed.links if "allow-member" in each)
    assert rows(browser.follow(browser.submit(allow)))[0][2] == "left"


def test_sessions_and_unknown_deletions_are_shown(browser: Browser, server: Server) -> None:
    device, kid = encode_base64(system_random(32)), new_kid()
    session = StoredSession(
        *(device, SessionId(system_random(16)), kid, Mid(bytes(16)), NOW, 1 << 50),
        stopped=True,
        proven=True,
        reported_at=NOW,
        changed_at=NOW,
    )
    deletion = SessionId(system_random(16))
    with server.store.transaction() as transaction:
        transaction.sessions.record(session)
        transaction.ledger.record_deletion(device, deletion, system_random(32), NOW)
        transaction.ledger.delete(device, deletion, kid, NOW)
    (row,) = rows(browser.get(f"/console/sessions?kid={kid.text}"))
    # The device's clock is beyond all dates.
    assert (row[1], row[5]) == ("stopped, proven", str(1 << 50))
    shown = browser.get(f"/console/devices/{device_path(device)}")
    assert "Reported as deleted, never issued" in shown.text
    assert "stopped, proven" in shown.text
