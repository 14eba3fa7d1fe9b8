"""The dashboard and the alert rules use metrics and labels that the server has."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from rightsmanager.monitoring.exposition import Sources, make_expose
from rightsmanager.monitoring.health import CheckResult
from rightsmanager.monitoring.request_counter import RequestCounter
from rightsmanager.monitoring.shared_cells import SharedCells
from rightsmanager.store.journal.entries import Accounting
from tests.docs.documents import ROOT, table
from tests.monitoring.conftest import exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = ROOT / "config"
DASHBOARD = CONFIG / "grafana" / "rightsmanager.json"
ALERTS = CONFIG / "prometheus" / "alerts.yml"
OF_PROMETHEUS = {"up", "job", "instance"}
WORD = re.compile(r"\b(?:rightsmanager|process)_[a-z_]+|\bup\b")
SELECTOR = re.compile(r"(rightsmanager_[a-z_]+)\{([^}]*)\}")


@pytest.fixture(scope="module")
def samples() -> dict[str, set[str]]:
    """Return the labels of each sample that a server shows after a request."""
    cells = SharedCells()
    RequestCounter(cells, {})(exchange())
    check = CheckResult("disk", is_ok=True, text="", ms=0.0)
    build = {"version": "1", "python": "3", "database": "sqlite"}
    text, _ = make_expose(cells, Sources(lambda: (check,), Accounting), build)("")
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        yield variable.get("definition", "")
    for rule in rules():
        yield rule["expr"]


def test_each_metric_is_shown(samples: dict[str, set[str]]) -> None:
    used = {name for text in expressions() for name in WORD.findall(text)}
    assert len(used) > 15
    assert used <= set(samples)


def test_each_label_is_shown(samples: dict[str, set[str]]) -> None:
    for text in expressions():
        for name, selector in SELECTOR.findall(text):
            labels = set(re.findall(r"(\w+)[=!]", selector)) - OF_PROMETHEUS
            assert labels <= samples[name], text


def test_panels_have_a_title_and_do_not_overlap() -> None:
    covered: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert panel["title"]
        assert not cells & covered
        assert max(x for x, _ in cells) < 24
        covered |= cells
    ids = [panel["id"] for panel in panels()]
    assert sorted(set(ids)) == sorted(ids)


def test_rules_have_a_severity_and_a_text() -> None:
    names = [rule["alert"] for rule in rules()]
    assert sorted(set(names)) == sorted(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_example_of_a_configuration_names_the_rules() -> None:
    file = CONFIG / "prometheus" / "prometheus.yml"
    loaded = yaml.safe_load(file.read_text())
    assert [(file.parent / name).resolve() for name in loaded["rule_files"]] == [ALERTS]
    assert [each["job_name"] for each in loaded["scrape_configs"]] == ["rightsmanager"]


def test_the_documented_metrics_are_those_shown(samples: dict[str, set[str]]) -> None:
    rows = table(ROOT / "docs" / "monitoring.md", "metric", "labels", "what it counts")
    documented = {name.strip("`"): set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in rows}
    del documented["process_…"]
    shown: dict[str, set[str]] = {}
    for name, labels in samples.items():
        if name.startswith("rightsmanager_"):
            metric = re.sub("_(bucket|count|sum)$", "", name)
            shown.setdefault(metric, set()).update(labels - {"le"})
    assert documented == shown
