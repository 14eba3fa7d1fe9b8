"""Acts of the console: asked first, performed once, shown, refused with their form."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from rightsmanager.store.journal.entries import Filter
from rightsmanager.web.console.table import ACTS
from tests.databases import in_sqlite

if TYPE_CHECKING:
    from rightsmanager.server import Server
    from tests.web.console.conftest import Browser

pytestmark = in_sqlite

CREATE = "/console/acts/create-domain"


@pytest.mark.parametrize("name", ACTS)
def test_an_act_asks_first_and_can_be_cancelled(browser: Browser, name: str) -> None:
    shown = browser.get(f"/console/acts/{name}")
    assert shown.status == 200
    (form,) = shown.page.xpath("//main//form")
    assert form.method == "POST"
    assert form.action == name or form.action.endswith(f"acts/{name}")
    (cancel,) = shown.page.xpath("//a[text()='Cancel']/@href")
    back = browser.get(urljoin(shown.path, cancel))
    assert back.status in {200, 404, 422}
    assert back.status == 200 or any(each.kind == "fixed" for each in ACTS[name].fields)
    assert ACTS[name].question in shown.text


def account(browser: Browser) -> str:
    """Return the path of a new account."""
    made = browser.submit(CREATE, name="Family", limit="3")
    return made.location.partition("?")[0]


def test_an_account_is_created_changed_closed_and_reopened(browser: Browser) -> None:
    path = account(browser)
    account_id = path.rpartition("/")[2]
    shown = browser.get(path)
    assert "0 of 3" in shown.text
    change = next(each for each in shown.links if "change-domain" in each)
    done = browser.follow(browser.submit(change, name="Neighbours", limit="7"))
    assert done.page.xpath("//h1/text()") == ["Neighbours"]
    assert "The account is changed." in done.text
    assert "0 of 7" in done.text
    done = browser.follow(browser.submit(f"/console/acts/close-domain?account={account_id}"))
    assert "closed" in done.text
    done = browser.follow(browser.submit(f"/console/acts/reopen-domain?account={account_id}"))
    assert "The account is open." in done.text
    done = browser.follow(browser.submit(f"/console/acts/renew-domain?account={account_id}"))
    assert "The domain has a new revision." in done.text
    assert "Neighbours" in browser.get("/console/domains").text


def test_a_token_is_created_shown_once_used_and_revoked(browser: Browser) -> None:
    made = browser.submit(
        "/console/acts/create-token", name="Nightly <b>", role="operate", days="7"
    )
    (token,) = made.page.xpath("//pre[@id='token']/text()")
    assert (made.status, token.startswith("rmt_")) == (200, True)
    used = browser.get("/api/v1/domains", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert used.status == 200
    shown = browser.get("/console/tokens")
    (row,) = shown.page.xpath("//tbody/tr")
    cells = [cell.text_content().strip() for cell in row]
    assert cells[0::2] == ["Nightly <b>", "operate", "2026-09-21 14:13:20", "2026-09-21 14:13:20"]
    assert (cells[3], cells[5]) == ("valid", "2026-09-28 14:13:20")
    assert token not in shown.body.decode()
    (revoke,) = [each for each in shown.links if "revoke-token" in each]
    done = browser.follow(browser.submit(revoke))
    assert "The token is revoked." in done.text
    assert "revoke-token" not in " ".join(done.links)
    refused = browser.get("/api/v1/domains", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert refused.status == 401
    again = browser.submit(revoke)
    assert (again.status, "is revoked already" in again.text) == (422, True)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": ""}, "the name has 0 characters"),
        ({"name": "x" * 65}, "the name has 65 characters"),
        ({"name": "x", "days": "0"}, "the days are 0, expected 1 to 36600"),
        ({"name": "x", "days": "9" * 15}, "expected 1 to 36600"),
        ({"name": "x", "role": "admin"}, "expected one of read, operate"),
    ],
)
def test_an_invalid_token_is_not_created(
    browser: Browser, fields: dict[str, str], problem: str
) -> None:
    refused = browser.submit("/console/acts/create-token", **fields)
    assert (refused.status, problem in refused.text) == (422, True), refused.text
    assert "There is no token" in browser.get("/console/tokens").text


def test_acts_on_tokens_are_in_the_journal_without_the_token(
    browser: Browser, server: Server
) -> None:
    made = browser.submit("/console/acts/create-token", name="Recorded")
    (token,) = made.page.xpath("//pre[@id='token']/text()")
    server.journal.settle()
    entries = server.journal.find(Filter(kind="act", text="Recorded")).entries
    assert [(each.operation, each.subject) for each in entries] == [
        ("create-token", "Name Recorded, Role read")
    ]
    assert not server.journal.find(Filter(text=token)).entries


def test_a_refusal_is_shown_above_the_form_with_the_values(browser: Browser) -> None:
    refused = browser.submit(CREATE, name="Family", url="ftp://x")
    assert (refused.status, "url is 'ftp://x', expected" in refused.text) == (422, True)
    assert refused.page.xpath("//input[@name='name']/@value") == ["Family"]
    assert "no account yet" in browser.get("/console/domains").text


@pytest.mark.parametrize("limit", ["x", "-1", "1.5", "9" * 20])
def test_a_limit_that_is_not_a_number_is_refused(browser: Browser, limit: str) -> None:
    assert browser.submit(CREATE, limit=limit).status == 422


def test_an_act_on_an_unknown_thing_is_refused(browser: Browser) -> None:
    path = f"/console/acts/close-domain?account={'0' * 8}-0000-0000-0000-{'0' * 12}"
    assert "there is no account" in browser.submit(path).text
