"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from rightsmanager.testing.plugin import MARKER
from rightsmanager.testing.supervise import is_alive
from tests.docs.documents import ROOT, Module, steps

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "testing.md")
PLUGIN = "rightsmanager.testing.plugin"
FAILING = """
def test_that_fails(rightsmanager):
    rightsmanager.device().acquire(kid="6f651ae1-dbe4-4434-bcb4-690d1564c41c")
    assert False
"""
ISOLATED = """
import pytest

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
names = set()


@pytest.mark.parametrize("number", range(4))
def test_a_world_is_empty(rightsmanager, number):
    assert rightsmanager.name not in names
    names.add(rightsmanager.name)
    assert rightsmanager.content.list() == ()
    rightsmanager.content.add(KID, f"{number:032x}")
    assert rightsmanager.device().acquire(kid=KID).content_key == number.to_bytes(16, "big")
    assert [each.is_ok for each in rightsmanager.journal.requests()] == [True]
"""
KILLING = """
import os, pathlib, signal

def test_that_kills_its_worker(rightsmanager, rightsmanager_server):
    pathlib.Path("server.pid").write_text(str(rightsmanager_server.pid))
    os.kill(os.getpid(), signal.SIGKILL)
"""
UNUSED = """
import sys

def test_nothing_is_imported():
    ours = {each for each in sys.modules if each.startswith("rightsmanager")}
    assert ours == {"rightsmanager", "rightsmanager.testing", "rightsmanager.testing.plugin"}
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with no other plugins than the given ones."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder with the modules of the documentation."""
    for document in DOCUMENTS:
        for step in steps(document):
            if isinstance(step, Module):
                (tmp_path / step.name).write_text(step.text)
    return tmp_path


def test_documented_tests_pass_and_a_failed_one_has_its_journal(modules: Path) -> None:
    (modules / "test_failing.py").write_text(FAILING)
    (modules / "test_isolated.py").write_text(ISOLATED)
    (modules / "test_killing.py").write_text(KILLING)
    arguments = ["-p", "xdist", "-n", "2", "--junitxml=results.xml", "-rA"]
    ran = run_pytest(modules, *arguments)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    cases = list(etree.parse(modules / "results.xml").iter("testcase"))
    failed = [case.get("name") for case in cases if len(case.findall("failure")) > 0]
    assert failed == ["test_that_fails"], ran.stdout
    assert "test_that_kills_its_worker" in ran.stdout
    assert not is_alive(int((modules / "server.pid").read_text()))
    assert len(cases) >= 9
    assert "AcquireLicense  ok  6f651ae1-dbe4-4434-bcb4-690d1564c41c" in ran.stdout
    assert "rightsmanager world" in ran.stdout


def test_the_documented_module_without_pytest_runs(modules: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "worlds.py"],
        cwd=modules,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "first 88da852ae4fa2e1e36aeb2d5c94997b1",
        "second 88da852ae4fa2e1e36aeb2d5c94997b1",
    ]


def test_a_project_that_does_not_use_the_plugin_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_unused.py").write_text(UNUSED)
    ran = run_pytest(tmp_path, "--strict-config", "--strict-markers", "-W", "error")
    assert ran.returncode == 0, ran.stdout


def test_markers_name_the_options_of_a_world(tmp_path: Path) -> None:
    assert f"@pytest.mark.{MARKER}(seed=" in run_pytest(tmp_path, "--markers").stdout
