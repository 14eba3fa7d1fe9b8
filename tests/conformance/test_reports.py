"""A report in its forms."""

from __future__ import annotations

import json

import pytest
from lxml import etree, html

from rightsmanager.conformance import checks
from rightsmanager.conformance.checks import Finding, Outcome
from rightsmanager.conformance.reports import as_html, as_junit, report_facts
from rightsmanager.conformance.running import Report, Result, Verdict
from rightsmanager.conformance.scenarios import FIRST, REVOKED

FOUND = 'two <nonces> & "one" more'


@pytest.fixture
def report() -> Report:
    first = (
        Verdict(checks.NONCE, Finding(Outcome.PASSED, FOUND, (1, 2))),
        Verdict(checks.DIGEST, Finding(Outcome.NOT_SEEN, "no challenge")),
    )
    second = (Verdict(checks.C065, Finding(Outcome.FAILED, "it asked again", (3,))),)
    results = (Result(FIRST, first, 0.25), Result(REVOKED, second, 0.5))
    return Report("<a&b>", "http://server.test/w/a/rightsmanager.asmx", results)


def test_json_has_each_verdict_with_its_source_and_entries(report: Report) -> None:
    facts = json.loads(json.dumps(report_facts(report)))
    assert (facts["passed"], facts["failed"], facts["not_seen"]) == (1, 1, 1)
    assert facts["verdicts"][0] == {
        "scenario": "first-licence",
        "check": "nonce-fresh",
        "outcome": "passed",
        "expected": checks.NONCE.expected,
        "found": FOUND,
        "entries": [1, 2],
        "source": checks.NONCE.source.title,
        "source_url": checks.NONCE.source.url,
    }


def test_junit_has_a_suite_for_each_scenario_and_a_test_for_each_check(report: Report) -> None:
    root = etree.fromstring(as_junit(report).encode())
    assert [dict(each.attrib) for each in root] == [
        {
            "name": "first-licence",
            "tests": "2",
            "failures": "0",
            "skipped": "1",
            "errors": "0",
            "time": "0.250",
        },
        {
            "name": "revoked",
            "tests": "1",
            "failures": "1",
            "skipped": "0",
            "errors": "0",
            "time": "0.500",
        },
    ]
    passed, not_seen, failed = root.iter("testcase")
    assert passed.find("failure") is None
    assert FOUND in (passed.findtext("system-out") or "")
    assert not_seen.find("skipped") is not None
    text = failed.findtext("failure") or ""
    assert "journal entries: 3" in text
    assert checks.C065.source.url in text


def test_html_names_everything_and_links_the_journal(report: Report) -> None:
    page = html.fromstring(as_html(report))
    cells = [row.text_content() for row in page.iter("tr")]
    assert FOUND in cells[1]
    assert "it asked again" in cells[3]
    links = {str(each.get("href")) for each in page.iter("a")}
    assert "http://server.test/w/a/console/journal/3" in links
    assert checks.C065.source.url in links
    assert "<a&b>" in str(page.findtext(".//h1"))


def test_a_run_has_passed_only_if_every_check_passed(report: Report) -> None:
    assert not report.has_passed
    assert Report("a", "b", report.results[:1]).has_passed is False
    assert Report("a", "b", (Result(FIRST, report.verdicts[:1], 0),)).has_passed
