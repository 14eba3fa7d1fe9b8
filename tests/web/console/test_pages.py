"""Every page of the console: empty, with things, and with an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.inspection import Check, Description, Outcome
from rightsmanager.store.database import StoreFailed
from rightsmanager.web.console import routes
from rightsmanager.web.console.blocks import (
    Act,
    Asked,
    Cell,
    Chart,
    Checks,
    Empty,
    Facts,
    Field,
    Form,
    Hierarchy,
    Node,
    Notice,
    Table,
    Text,
    Tiles,
    Tree,
    View,
    code,
    state,
)
from rightsmanager.web.console.table import MENU, PAGES
from tests.databases import in_sqlite
from tests.web.console.conftest import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from rightsmanager.server import Server
    from rightsmanager.web.console.parts import Parts

pytestmark = in_sqlite

LISTS = [path for path in PAGES if "<" not in path]
UNKNOWN = "00000000-0000-0000-0000-000000000000"
MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_page_says_what_to_do_next(browser: Browser, path: str) -> None:
    shown = browser.get(f"/console/{path}")
    assert shown.status == 200
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    (title,) = shown.page.xpath("//h1/text()")
    assert shown.page.xpath("//title/text()") == [f"{title} · RightsManager"]
    for command in shown.page.xpath("//div[@class='empty']//code/text()"):
        assert_command(command)


def assert_command(text: str) -> None:
    """Fail unless a shown command exists, with its options."""
    program, *words = text.split()
    assert program == "rightsmanager"
    names = [word for word in words if word.islower() and not word.startswith(("-", "'"))]
    depth = 2 if names[0] in {"device", "domain", "content", "metering", "token", "journal"} else 1
    ran = CliRunner().invoke(rightsmanager, [*names[:depth], "--help"])
    assert ran.exit_code == 0, text
    for option in (word for word in words if word.startswith("--")):
        assert option in ran.output, text


def test_the_menu_leads_to_every_page_that_is_not_of_one_thing(browser: Browser) -> None:
    shown = browser.get("/console/")
    entries = [entry for group in MENU for entry in group.entries]
    linked = [entry.path.removeprefix("console").strip("/") for entry in entries]
    assert set(linked) <= set(LISTS)
    for path in linked:
        page = browser.get(f"/console/{path}").page
        (current,) = page.xpath("//nav[@aria-label='Pages']//a[@aria-current]/@href")
        assert current.removeprefix("../console/") == path
    assert shown.page.xpath("//html/@lang") == ["en"]


def test_the_pages_lead_to_the_help_pages_and_back(browser: Browser) -> None:
    for path in ("/console/", "/", "/explain", "/rightsmanager.asmx"):
        found = browser.get(path).page.xpath("//nav[@aria-label='Pages']//a/text()")
        assert {"Overview", "Operations", "Parameters"} <= set(found)


@pytest.mark.parametrize(
    "path", ["nothing", "domains/x/y", "acts/nothing", "certificates/00", f"domains/{UNKNOWN}"]
)
def test_an_unknown_page_or_thing_is_not_found(browser: Browser, path: str) -> None:
    shown = browser.get(f"/console/{path}")
    assert (shown.status, shown.page.xpath("//h1/text()")) == (404, ["Not found"])
    assert shown.page.xpath("//nav[@aria-label='Pages']")


@pytest.mark.parametrize("path", LISTS)
def test_every_address_is_relative_so_that_a_proxy_may_add_a_prefix(
    browser: Browser, path: str
) -> None:
    page = browser.get(f"/console/{path}").page
    found = page.xpath("//@href | //@src | //@action")
    assert [each for each in found if not each.startswith(("../", "#", "data:"))] == []
    assert browser.get("/console").headers["Location"] == "./console/"


def test_the_path_without_its_slash_leads_to_the_console(browser: Browser) -> None:
    assert browser.get("/console").location == "/console/"


@pytest.mark.parametrize("path", ["domains?after=x", "domains/no-account"])
def test_an_invalid_value_is_refused_with_a_sentence(browser: Browser, path: str) -> None:
    assert browser.get(f"/console/{path}").status == 422


def test_a_method_that_a_page_does_not_have_is_refused(browser: Browser) -> None:
    (csrf,) = browser.get("/console/decode").page.xpath("//main//input[@name='csrf_token']/@value")
    answer = browser.post("/console/settings", {"csrf_token": csrf})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_page_without_its_database_says_so(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_parts: Parts, _asked: Asked) -> View:
        raise StoreFailed("the database cannot be opened")

    assert_failure(browser, fail, monkeypatch, 503, "The database does not answer.")


def test_a_failure_shows_nothing_of_its_cause(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_parts: Parts, _asked: Asked) -> View:
        raise RuntimeError("a secret")

    shown = assert_failure(browser, fail, monkeypatch, 500, "The server failed.")
    assert "secret" not in shown


def assert_failure(
    browser: Browser,
    page: Callable[[Parts, Asked], View],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    text: str,
) -> str:
    monkeypatch.setattr(routes, "PAGES", {"": page})
    shown = browser.get("/console/")
    assert (shown.status, text in shown.text) == (status, True)
    return shown.body.decode()


def test_markup_is_shown_as_text_in_each_part_of_a_page(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PAGES", {"": lambda _parts, _asked: view_of(MARKUP)})
    page = browser.get("/console/").page
    assert page.xpath("//main//script | //main//img | //@onerror") == []
    assert page.text_content().count(MARKUP) >= 30


def view_of(text: str) -> View:
    """Return a page that has a text in every place."""
    cells = (Cell(text), code(text, text), state(text, text), Cell(text, when=text))
    empty = Empty(text, text, Act(text, text))
    described = Description(text, text, text, checks=(Check(text, Outcome.OK, text),))
    nested = Description(text, text, text, (described,))
    fields = tuple(
        Field(text, text, text, kind, text, ((text, text),))
        for kind in ("text", "select", "area", "hidden", "fixed", "file")
    )
    return View(
        text,
        (
            Notice(text, text),
            Facts(tuple((text, each) for each in cells), text),
            Tiles(tuple((text, each) for each in cells), text),
            Table(text, (text,) * len(cells), (cells,), empty, text, text),
            Table(text, (), (), empty),
            Chart(text, (0, 86400), {text: (1, None)}, text),
            Tree(text, nested),
            Hierarchy(text, (Node(cells[0], text, cells[2], (Node(cells[1]),)),)),
            Checks(text, described.checks),
            Text(text, "name", text),
            Form(fields, text, text, "post", cancel=text, clear=text),
            Form(fields[:2], text, text),
        ),
        text,
        (Act(text, text),),
        Act(text, text),
    )


def test_settings_are_found_by_name_and_secrets_are_hidden(
    new_server: Callable[..., Server],
) -> None:
    browser = Browser(new_server(hooks={"options": {"password": "hidden-option"}}))
    shown = browser.get("/console/settings")
    assert "hidden-option" not in shown.text
    assert "server.bind" not in shown.text
    found = browser.get("/console/settings?q=bind")
    assert found.page.xpath("//table/@aria-label") == ["server"]
    assert "127.0.0.1:8080" in found.text
    assert "No setting matches" in browser.get("/console/settings?q=nothing-like-it").text
