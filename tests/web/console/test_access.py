"""The door of the console: the sign-in page, roles, forged forms and foreign hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.admin.tokens import Role, TokenKeeper
from rightsmanager.crypto.random import system_random
from tests.databases import in_sqlite
from tests.web.console.conftest import FAR, NOW, TOKEN, Answer, Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from rightsmanager.server import Server

pytestmark = in_sqlite

CLOSE = "/console/acts/create-domain"


@pytest.fixture
def far(new_server: Callable[..., Server]) -> Browser:
    """A browser on another machine, of a server that listens everywhere."""
    return Browser(new_server(is_loopback=False, api={"token": TOKEN}), FAR)


def sign_in(browser: Browser, token: str, path: str = "/console/") -> Answer:
    shown = browser.get(path)
    (form,) = shown.page.xpath("//main//form")
    fields = {**dict(form.form_values()), "token": token}
    return browser.post("/console/sign-in", fields)


def role_token(server: Server, role: Role) -> str:
    return TokenKeeper(server.store, lambda: NOW, system_random).create("Ann", role).token


def test_loopback_needs_no_token(browser: Browser) -> None:
    assert browser.get("/console/").status == 200
    assert browser.get("/").text.count("Overview") == 1


def test_another_machine_has_to_sign_in(far: Browser) -> None:
    shown = far.get("/console/domains?after=x")
    assert (shown.status, shown.page.xpath("//h1/text()")) == (401, ["Sign in"])
    assert "Domains" not in shown.page.text_content()
    assert "Overview" not in far.get("/").page.text_content()
    signed = sign_in(far, TOKEN, "/console/domains")
    assert (signed.status, signed.location) == (303, "/console/domains")
    cookie = signed.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    shown = far.get("/console/domains")
    assert shown.status == 200
    assert "Domains" in far.get("/").page.text_content()
    assert shown.page.xpath("//header//form/@action") == ["../console/sign-out"]


def test_a_wrong_token_is_refused(far: Browser) -> None:
    shown = sign_in(far, "wrong")
    assert (shown.status, "the token is wrong" in shown.text) == (401, True)
    assert shown.page.xpath("//input[@type='password']/@value") == [""]


def test_signing_out_ends_the_session(far: Browser) -> None:
    sign_in(far, TOKEN)
    shown = far.get("/console/")
    (form,) = shown.page.xpath("//header//form")
    assert far.post("/console/sign-out", dict(form.form_values())).status == 303
    assert far.get("/console/").status == 401


@pytest.mark.parametrize(
    "address", ["//evil.example", "https://evil.example", "/rightsmanager.asmx", "../x", "\\x"]
)
def test_signing_in_leads_to_the_console_only(far: Browser, address: str) -> None:
    answer = far.post("/console/sign-in", {"token": TOKEN, "next": address})
    assert answer.location == "/console/"


def test_the_sign_in_page_comes_back_to_the_page_that_was_asked_for(far: Browser) -> None:
    path = "/console/settings?q=bind&only=changed"
    assert sign_in(far, TOKEN, path).location == path


def test_a_live_page_whose_session_ended_is_loaded_as_a_whole(far: Browser) -> None:
    answer = far.get("/console/", HTTP_HX_REQUEST="true")
    assert (answer.status, answer.headers["HX-Refresh"]) == (401, "true")


def test_a_reader_sees_and_changes_nothing(new_server: Callable[..., Server]) -> None:
    reader = Browser(new_server(is_loopback=False), FAR)
    assert sign_in(reader, role_token(reader.server, Role.READ)).status == 303
    shown = reader.get("/console/domains")
    assert shown.status == 200
    assert not any("/acts/" in each for each in shown.links)
    assert reader.get(CLOSE).status == 403
    decode = reader.submit("/console/decode", text="AAAA")
    assert decode.status == 422
    (csrf,) = reader.get("/console/decode").page.xpath("//main//input[@name='csrf_token']/@value")
    answer = reader.post(CLOSE, {"csrf_token": csrf, "name": "x"})
    assert (answer.status, "role is read" in answer.text) == (403, True)


def test_an_operator_with_a_token_acts(new_server: Callable[..., Server]) -> None:
    operator = Browser(new_server(is_loopback=False), FAR)
    sign_in(operator, role_token(operator.server, Role.OPERATE))
    done = operator.follow(operator.submit(CLOSE, name="Family"))
    assert "The account is created." in done.text


@pytest.mark.parametrize("token", ["", "0" * 64, "x"])
def test_a_form_without_its_token_changes_nothing(browser: Browser, token: str) -> None:
    answer = browser.post(CLOSE, {"csrf_token": token, "name": "Family"})
    assert (answer.status, "CSRF" in answer.text) == (403, True)
    assert "no account yet" in browser.get("/console/domains").text


@pytest.mark.parametrize("path", ["/console/", "/console/domains", CLOSE])
def test_a_host_that_another_site_points_here_is_refused(browser: Browser, path: str) -> None:
    answer = browser.get(path, HTTP_HOST="rebound.example")
    assert (answer.status, "rebound.example" in answer.text) == (403, True)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8081"])
def test_a_page_of_another_origin_cannot_post(browser: Browser, origin: str) -> None:
    (csrf,) = browser.get(CLOSE).page.xpath("//main//input[@name='csrf_token']/@value")
    answer = browser.post(CLOSE, {"csrf_token": csrf, "name": "x"}, HTTP_ORIGIN=origin)
    assert (answer.status, "another origin" in answer.text) == (403, True)


def test_pages_are_neither_kept_nor_read_by_other_sites(browser: Browser) -> None:
    headers = browser.get("/console/", HTTP_ORIGIN="http://127.0.0.1").headers
    assert headers["Cache-Control"] == "no-store"
    # With no-referrer, the browser would send the origin `null` with a form.
    assert headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert not any(name.startswith("Access-Control") for name in headers)


def test_there_is_no_console_if_access_is_off(new_server: Callable[..., Server]) -> None:
    browser = Browser(new_server(api={"access": "off"}))
    assert browser.get("/console/").status == 404
    assert "Overview" not in browser.get("/").page.text_content()


def test_a_body_that_is_too_long_is_refused(browser: Browser) -> None:
    answer = browser.post(CLOSE, {}, CONTENT_LENGTH=str(1 << 30))
    assert answer.status == 413


def test_a_body_that_ends_early_is_refused(browser: Browser) -> None:
    assert browser.post(CLOSE, {"a": "b"}, CONTENT_LENGTH="900").status == 400
