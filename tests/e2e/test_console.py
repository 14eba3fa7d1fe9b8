"""The console in headless Chromium: every page, filled, empty and with an error.

Each page is shown on a light desk and on a dark phone: no error of the browser's console, no
request to elsewhere, no serious finding of axe, nothing wider than the screen. Screenshots are kept
in build/screenshots, or in the folder that the variable SCREENSHOTS names.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from rightsmanager.web.console.table import ACTS, PAGES
from tests.databases import on_sqlite
from tests.e2e.browsing import DESK, SCREENSHOTS, Visitor, launch, screenshot_folder
from tests.e2e.seeding import Seeded, seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.e2e.conftest import Server, Start

pytestmark = on_sqlite

LISTS = [f"/console/{path}" for path in PAGES if "<" not in path]
HELP = ["/", "/rightsmanager.asmx", "/rightsmanager.asmx?op=AcquireLicense", "/parameters"]
EXPLAINED = "/explain?asked=(sl:3000,persist:true)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def empty(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start(tmp_path_factory.mktemp("empty") / "data")


@pytest.fixture(scope="module")
def seeded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    folder = tmp_path_factory.mktemp("seeded")
    return seed(start(folder / "data"), folder)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A page; its problems fail the test."""
    with browser.new_context(viewport=DESK, reduced_motion="reduce") as context:
        visitor = Visitor(context.new_page(), "")
        yield visitor
        assert visitor.problems == []


def things(visitor: Visitor) -> dict[str, str]:
    """Return the path of one thing of each kind, by the kind's path: a device, a key, an entry."""
    found: dict[str, str] = {}
    for path in LISTS:
        visitor.page.goto(f"{visitor.origin}{path}")
        links: list[str] = visitor.page.eval_on_selector_all(
            "main a", "all => all.map(each => new URL(each.href).pathname)"
        )
        for link in links:
            kind = link.rpartition("/")[0]
            if kind in LISTS:
                found.setdefault(kind, link)
    return found


def test_every_page_of_a_used_server_is_well_made(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    found = things(visitor)
    assert len(found) >= 5
    for path in [*LISTS, *HELP, EXPLAINED]:
        visitor.visit(path)
    for kind, path in found.items():
        # Ids differ from run to run: pictures with their names would pile up.
        visitor.visit(path, name=f"one of {kind}")


def test_every_page_of_a_new_server_says_what_to_do(visitor: Visitor, empty: Server) -> None:
    visitor.origin = empty.url.rpartition("/")[0]
    for path in LISTS:
        visitor.visit(path, name=f"empty {path}")


def test_every_form_of_an_act_is_well_made(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    for name in ACTS:
        visitor.visit(f"/console/acts/{name}")


def test_what_is_folded_is_well_made_too(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    visitor.visit("/console/journal?outcome=fault", name="faults")
    visitor.page.click("main td a")
    visitor.page.eval_on_selector_all(
        "main details", "all => all.forEach(each => { each.open = true; })"
    )
    visitor.check("entry unfolded")


def test_errors_are_pages_too(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    for path, status in (
        ("/console/none", 404),
        ("/console/journal/99999999", 404),
        ("/console/journal?kid=x", 422),
    ):
        visitor.visit(path, status=status)


def test_a_picture_of_each_look_is_kept(
    visitor: Visitor, empty: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visitor.folder == Path(os.environ.get("SCREENSHOTS", SCREENSHOTS))
    monkeypatch.setenv("SCREENSHOTS", str(tmp_path / "kept"))
    visitor.folder, visitor.origin = screenshot_folder(), empty.url.rpartition("/")[0]
    visitor.visit("/console/keys?q=None")
    pictures = {each.name: each.read_bytes()[:3] for each in (tmp_path / "kept").iterdir()}
    jpeg = b"\xff\xd8\xff"
    assert pictures == {f"console-keys-q-none-{look}.jpg": jpeg for look in ("light", "dark")}


def test_a_browser_signs_in_with_a_token_and_out_again(
    start: Start, visitor: Visitor, tmp_path: Path
) -> None:
    token = "the-token-of-the-settings"
    server = start(
        tmp_path / "data", RIGHTSMANAGER_API__ACCESS="token", RIGHTSMANAGER_API__TOKEN=token
    )
    visitor.origin = server.url.rpartition("/")[0]
    page = visitor.page
    visitor.visit("/console/settings?q=bind", status=401, name="sign in")
    page.fill("#f-token", "wrong")
    page.click("main button")
    visitor.check("sign in refused")
    assert "the token is wrong" in page.inner_text("main")
    page.fill("#f-token", token)
    page.click("main button")
    page.wait_for_url("**/console/settings?q=bind")
    visitor.check("signed in")
    page.goto(f"{visitor.origin}/console/acts/create-domain")
    page.fill("#f-name", "Signed in")
    page.click("main button")
    assert "The account is created." in page.inner_text("main")
    page.click("text=Sign out")
    assert page.inner_text("h1") == "Sign in"


def test_the_console_is_used_by_keyboard_alone(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    visitor.visit("/console/")
    page = visitor.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.goto(f"{visitor.origin}/console/acts/create-domain")
    page.focus("#f-name")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/domains/*")
    assert "The account is created." in page.inner_text("main")


def test_the_journal_shows_new_requests_by_itself(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    visitor.visit("/console/journal?operation=AcquireLicense")
    page = visitor.page
    page.fill("#f-text", "typed")
    before = page.inner_text("tbody tr:first-child")
    seeded.phone.run("acquire", "--url", f"{seeded.url}?cfg=(sl:150)", "--kid", seeded.kids[1])
    page.wait_for_function(
        "before => document.querySelector('tbody tr').innerText !== before", arg=before
    )
    assert page.input_value("#f-text") == "typed"


def test_a_chart_is_drawn_and_its_numbers_are_a_table(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    visitor.visit("/console/metering")
    assert visitor.page.query_selector(".chart canvas") is not None
    visitor.page.click("text=Numbers")
    assert "Play" in visitor.page.inner_text("details[open] table")


def test_the_console_works_without_script(browser: Browser, seeded: Seeded) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{seeded.origin}/console/acts/create-domain")
        page.fill("#f-name", "Without script")
        page.click("main button")
        assert "The account is created." in page.inner_text("main")
        page.click("text=Close")
        page.click("main button")
        assert "The account is closed." in page.inner_text("main")


def test_a_key_is_shown_by_an_act_alone(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    visitor.visit(f"/console/keys/{seeded.kids[0]}", name="key not revealed")
    assert seeded.key not in visitor.page.content()
    visitor.page.click("text=Reveal the key")
    visitor.page.click("main button")
    assert seeded.key in visitor.page.inner_text("main")


@pytest.mark.parametrize("case", ["level", "digest", "parameter", "expired"])
def test_a_failing_request_is_explained_within_three_clicks(
    case: str, visitor: Visitor, seeded: Seeded
) -> None:
    reason = seeded.fail(case)
    visitor.origin = seeded.origin
    page = visitor.page
    page.goto(f"{visitor.origin}/console/")
    # One click: the newest faults are on the overview, which loads itself.
    page.locator("tr", has_text=reason).first.locator("a").first.click()
    visitor.check(f"explained {case}")
    assert reason in page.inner_text(".notice.bad")


def test_a_worker_that_is_killed_costs_a_page_nothing(visitor: Visitor, seeded: Seeded) -> None:
    visitor.origin = seeded.origin
    visitor.visit("/console/")
    for pid in seeded.server.workers():
        os.kill(pid, signal.SIGKILL)
    visitor.page.reload()
    assert visitor.page.inner_text("h1") == "Overview"
