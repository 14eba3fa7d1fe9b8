"""The pytest plugin, in runs of pytest in this process, over a server that runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.testing import server, sharing

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.testing.server import Launch, Running, Server

TESTS = """
import pytest

def test_a_world(rightsmanager):
    assert not rightsmanager.seed

@pytest.mark.rightsmanager(seed=42)
def test_a_world_with_options(rightsmanager):
    assert rightsmanager.seed == 42

def test_that_fails(rightsmanager):
    rightsmanager.device().acquire(kid="6f651ae1-dbe4-4434-bcb4-690d1564c41c")
    raise ValueError

def test_whose_world_is_away(rightsmanager):
    rightsmanager.delete()
    raise ValueError
"""
INI = """
[pytest]
rightsmanager_data = kept
rightsmanager_settings =
    license.acknowledge = persistent
    domain.max_members = 2
"""
# The plugin is loaded by its module, and not once more by the entry point where it is installed.
PLUGINS = ("no:rightsmanager", "rightsmanager.testing.plugin", "no:cacheprovider", "no:randomly")
OPTIONS = tuple(word for plugin in PLUGINS for word in ("-p", plugin))


@pytest.fixture
def launched(lab: Server, monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """Let the plugin find the server of this run; the list has what it would start."""
    found: list[Launch] = []

    def start(given: Launch) -> Running:
        found.append(given)
        return lab.running

    monkeypatch.setattr(server, "launch", start)
    monkeypatch.setattr(server, "stop", lambda _: None)
    monkeypatch.setattr(sharing, "launch", start)
    monkeypatch.setattr(sharing, "stop", lambda _: None)
    return found


@pytest.mark.parametrize("mode", ["shared", "own"])
def test_tests_have_worlds_and_failed_ones_their_journal(
    pytester: pytest.Pytester, launched: list[Launch], mode: str
) -> None:
    pytester.makepyfile(TESTS)
    ran = pytester.runpytest_inprocess(*OPTIONS, f"--rightsmanager-server={mode}")
    ran.assert_outcomes(passed=2, failed=2)
    ran.stdout.fnmatch_lines(["*AcquireLicense  ok  6f651ae1-dbe4-4434-bcb4-690d1564c41c*"])
    ran.stdout.fnmatch_lines(["*the journal cannot be read: *"])
    (given,) = launched
    assert given.data.name == "data"
    assert (given.workers, given.database_url, dict(given.settings)) == (1, None, {})


def test_options_are_read_from_the_configuration(
    pytester: pytest.Pytester, launched: list[Launch]
) -> None:
    pytester.makefile(".ini", pytest=INI)
    pytester.makepyfile("def test_a_world(rightsmanager): pass")
    pytester.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1)
    (given,) = launched
    assert given.data == pytester.path / "kept"
    assert given.settings == {"license.acknowledge": "persistent", "domain.max_members": "2"}


def test_the_server_of_a_run_is_started_once(tmp_path: Path, launched: list[Launch]) -> None:
    given = server.Launch(tmp_path / "data")
    first, second = (sharing.share(tmp_path, given, owner) for owner in (1, 2))
    assert first == second
    assert [each.owner for each in launched] == [1]
    sharing.stop_shared(tmp_path)
    sharing.stop_shared(tmp_path)
