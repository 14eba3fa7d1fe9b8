"""A report for JSON, as JUnit XML and as an HTML page."""

from collections import Counter
from html import escape
from typing import Final
from xml.sax.saxutils import escape as escape_xml
from xml.sax.saxutils import quoteattr

from rightsmanager.conformance.checks import Outcome
from rightsmanager.conformance.running import Report, Result, Verdict

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .4rem .6rem; text-align: left }
td { vertical-align: top }
.passed { color: #0a6b2d } .failed { color: #b3121d } .not-seen { color: #8a5a00 }
small { color: #555 }
"""


def verdict_facts(result: Result, verdict: Verdict) -> dict[str, object]:
    """Return a verdict for JSON and for tables."""
    check, finding = verdict.check, verdict.finding
    return {
        "scenario": result.scenario.name,
        "check": check.name,
        "outcome": finding.outcome.value,
        "expected": check.expected,
        "found": finding.text,
        "entries": list(finding.entries),
        "source": check.source.title,
        "source_url": check.source.url,
    }


def report_facts(report: Report) -> dict[str, object]:
    """Return a report for JSON."""
    return {
        "world": report.world,
        "url": report.url,
        "passed": report.count(Outcome.PASSED),
        "failed": report.count(Outcome.FAILED),
        "not_seen": report.count(Outcome.NOT_SEEN),
        "verdicts": [
            verdict_facts(result, verdict)
            for result in report.results
            for verdict in result.verdicts
        ],
    }


# --- JUnit ----------------------------------------------------------------------------------------


def as_junit(report: Report) -> str:
    """Return a report as JUnit XML: a suite for each scenario, a test for each check."""
    suites = "".join(map(_suite, report.results))
    counts = _counts(report.verdicts)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<testsuites name="conformance of {escape_xml(report.world)}" {counts}>\n'
        f"{suites}</testsuites>\n"
    )


def _counts(verdicts: tuple[Verdict, ...]) -> str:
    counts = Counter(each.finding.outcome for each in verdicts)
    return (
        f'tests="{len(verdicts)}" failures="{counts[Outcome.FAILED]}" '
        f'skipped="{counts[Outcome.NOT_SEEN]}" errors="0"'
    )


def _suite(result: Result) -> str:
    cases = "".join(_case(result, each) for each in result.verdicts)
    name, counts = quoteattr(result.scenario.name), _counts(result.verdicts)
    opening = f'  <testsuite name={name} {counts} time="{result.seconds:.3f}">'
    return f"{opening}\n{cases}  </testsuite>\n"


def _case(result: Result, verdict: Verdict) -> str:
    name, group = quoteattr(verdict.check.name), quoteattr(f"conformance.{result.scenario.name}")
    inside = {
        Outcome.PASSED: "",
        Outcome.FAILED: f"<failure message={quoteattr(verdict.finding.text)}>"
        f"{escape_xml(_details(verdict))}</failure>",
        Outcome.NOT_SEEN: f"<skipped message={quoteattr(verdict.finding.text)}/>",
    }[verdict.finding.outcome]
    output = f"<system-out>{escape_xml(_details(verdict))}</system-out>"
    return f"    <testcase name={name} classname={group}>{inside}{output}</testcase>\n"


def _details(verdict: Verdict) -> str:
    return (
        f"expected: {verdict.check.expected}\n"
        f"found: {verdict.finding.text}\n"
        f"journal entries: {entries_text(verdict) or 'none'}\n"
        f"source: {verdict.check.source.text}"
    )


def entries_text(verdict: Verdict) -> str:
    """Return the ids of the journal's entries in one line."""
    return " ".join(map(str, verdict.finding.entries))


# --- HTML -----------------------------------------------------------------------------------------


def as_html(report: Report) -> str:
    """Return a report as one page that needs no other file."""
    rows = "".join(
        _row(report, result, verdict) for result in report.results for verdict in result.verdicts
    )
    world = escape(report.world)
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>Conformance in {world}</title>'
        f"<style>{_STYLE}</style></head><body><h1>Conformance in world {world}</h1>"
        f"<p>{summary(report)}. Service: {escape(report.url)}</p>"
        "<table><thead><tr><th>Scenario</th><th>Check</th><th>Outcome</th><th>Found</th>"
        f"<th>Journal</th></tr></thead><tbody>{rows}</tbody></table></body></html>\n"
    )


def _row(report: Report, result: Result, verdict: Verdict) -> str:
    check, finding = verdict.check, verdict.finding
    source = check.source
    shown = escape(source.title)
    if source.url.startswith("http"):
        shown = f'<a href="{escape(source.url)}">{shown}</a>'
    console = report.url.removesuffix("rightsmanager.asmx") + "console/journal"
    links = " ".join(
        f'<a href="{escape(console)}/{entry}">{entry}</a>' for entry in finding.entries
    )
    return (
        f"<tr><td>{escape(result.scenario.title)}</td>"
        f"<td><b>{escape(check.name)}</b><br>{escape(check.expected)}<br><small>{shown}</small></td>"
        f'<td class="{finding.outcome.value.replace(" ", "-")}">{finding.outcome.value}</td>'
        f"<td>{escape(finding.text)}</td><td>{links}</td></tr>"
    )


def summary(report: Report) -> str:
    """Return the number of checks by outcome in words."""
    return (
        f"{report.count(Outcome.PASSED)} passed, {report.count(Outcome.FAILED)} failed, "
        f"{report.count(Outcome.NOT_SEEN)} not seen"
    )
