"""/explain and /parameters: the form, its answer as HTML, and nothing that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from lxml import html

from rightsmanager.policy.parameters import PARAMETERS

if TYPE_CHECKING:
    from tests.web.conftest import Answer, ServerClient

KEY = "EjQSNBI0EjQSNBI0EjQSNw=="


@pytest.fixture(name="get")
def get_fixture(call: ServerClient) -> ServerClient:
    return call


def ask(get: ServerClient, **fields: str) -> Answer:
    return get("GET", f"/explain?{urlencode(fields)}")


def text_of(answer: Answer) -> str:
    return " ".join(html.fromstring(answer.body).text_content().split())


def test_the_form_is_sent_by_get_and_needs_no_script(get: ServerClient) -> None:
    answer = get("GET", "/explain")
    page = html.fromstring(answer.body)
    (form,) = page.forms
    assert (answer.status, form.method) == (200, "GET")
    assert set(form.fields) == {"asked", "customdata", "kids", "level"}
    assert {label.get("for") for label in page.iter("label")} == set(form.fields)
    assert page.xpath("//script | //img | //style | //@style | //@onclick") == []
    assert page.xpath("//section") == []


def test_the_answer_has_licences_warnings_and_spellings(get: ServerClient) -> None:
    answer = ask(get, asked="http://h/x.asmx?cfg=(sl:3000,enddate:20200101)&token=x", level="3000")
    page = html.fromstring(answer.body)
    assert len(page.xpath("//ul[@class='checks']/li/span[text()='warning']")) == 2
    (spellings,) = page.xpath("//summary[normalize-space()='spellings']/../ul")
    assert [item.text.split(":")[0].strip() for item in spellings.iter("li")] == [
        "cfg",
        "cfg64",
        "json",
        "legacy",
    ]
    assert "security level object 0x0034, flags 0x0001 must understand level: 3000" in text_of(
        answer
    )


def test_a_refusal_has_a_line_for_each_thing(get: ServerClient) -> None:
    answer = ask(get, asked="cfg=(sl:1,persit:true)")
    page = html.fromstring(answer.body)
    assert answer.status == 200
    assert [item.text_content() for item in page.xpath("//ul[@class='checks']/li")] == [
        "failed request: sl is '1', expected 150, 2000 or 3000",
        "failed request: 'persit' is an unknown parameter, the nearest known name is persist",
    ]
    assert "explanation refused with 0x8004c604" in text_of(answer)


def test_a_requested_fault_is_shown(get: ServerClient) -> None:
    assert "revoked answers with the fault 0x8004c065" in text_of(ask(get, asked="(revoked:true)"))


def test_custom_data_and_kids_are_asked_too(get: ServerClient) -> None:
    kid = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
    text = text_of(ask(get, customdata="json=[{'sl':2000}]", kids=kid))
    assert "level: 2000" in text
    assert f"KID: {kid}" in text


def test_the_default_policy_is_shown_for_kids_alone(get: ServerClient) -> None:
    text = text_of(ask(get, kids="6f651ae1-dbe4-4434-bcb4-690d1564c41c"))
    assert "this is the server's default policy" in text


@pytest.mark.parametrize("field", ["asked", "customdata", "kids", "level"])
@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><b onload=x>', "</textarea><i>"])
def test_what_is_asked_is_shown_and_not_run(get: ServerClient, field: str, text: str) -> None:
    answer = ask(get, **{field: text})
    page = html.fromstring(answer.body)
    assert answer.status == 200
    assert page.forms[0].fields[field] == text
    assert page.xpath("//script | //b | //i | //@onload") == []


@pytest.mark.parametrize(
    "query",
    ["asked=%ff%fe", "asked=%00", "%", "&".join(["x=1"] * 50), "asked=cfg%3D(sl:%f0)", "kids=%ff"],
)
def test_a_query_that_is_odd_is_answered(get: ServerClient, query: str) -> None:
    assert get("GET", f"/explain?{query}").status == 200


def test_a_content_key_is_shown_only_where_it_was_written(get: ServerClient) -> None:
    answer = ask(get, asked=f"cfg=(contentkey:{KEY})")
    page = html.fromstring(answer.body)
    shown = [each.text_content() for each in page.xpath("//textarea")]
    assert text_of(answer).count(KEY) == sum(text.count(KEY) for text in shown)
    assert "contentkey:***" in text_of(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_refused_key_is_not_repeated_in_the_refusal(get: ServerClient) -> None:
    page = html.fromstring(ask(get, asked=f"cfg=(keyseed:{KEY})").body)
    (line,) = page.xpath("//ul[@class='checks']/li")
    assert KEY not in line.text_content()


def test_the_list_has_every_parameter_with_an_example_to_follow(get: ServerClient) -> None:
    page = html.fromstring(get("GET", "/parameters").body)
    assert [row.get("id") for row in page.findall(".//tbody/tr")] == [
        parameter.name for parameter in PARAMETERS
    ]
    links = page.xpath("//a[@class='example']/@href")
    assert len(links) == len(PARAMETERS)
    for link in links:
        assert get("GET", link.removeprefix(".")).status == 200


@pytest.mark.parametrize(
    ("path", "prefix", "links"),
    [
        ("/rightsmanager.asmx", "", {"?", "?explain", "?parameters"}),
        ("/rightsmanager.asmx?op=JoinDomain", "", {"?", "?explain", "?parameters"}),
        ("/a/b/rightsmanager.asmx?explain", "", {"?", "?explain", "?parameters"}),
        ("/explain", "./", {"rightsmanager.asmx", "explain", "parameters"}),
        ("/", "./", {"rightsmanager.asmx", "explain", "parameters"}),
        ("/none/at/all", "../../", {"rightsmanager.asmx", "explain", "parameters"}),
    ],
)
def test_every_page_links_to_the_others_below_any_prefix_of_a_proxy(
    get: ServerClient, path: str, prefix: str, links: set[str]
) -> None:
    page = html.fromstring(get("GET", path).body)
    assert {f"{prefix}{link}" for link in links} <= set(page.xpath("//nav//a/@href"))
    assert not any(link.startswith("/") for link in page.xpath("//@href | //@src"))


@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/rightsmanager.asmx", "Operations"),
        ("/a/rightsmanager.asmx?explain&asked=x", "Explain a URL"),
        ("/rightsmanager.asmx?parameters", "Parameters"),
        ("/explain", "Explain a URL"),
        ("/parameters", "Parameters"),
    ],
)
def test_the_menu_marks_the_page_that_is_shown(get: ServerClient, path: str, current: str) -> None:
    page = html.fromstring(get("GET", path).body)
    marked = page.xpath("//nav[@aria-label='Pages']//a[@aria-current]/text()")
    assert marked == [current]


@pytest.mark.parametrize("path", ["/explain", "/parameters"])
def test_only_reading_is_allowed(get: ServerClient, path: str) -> None:
    answer = get("POST", path, b"asked=x")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert get("HEAD", path).body == b""
