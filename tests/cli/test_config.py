"""`rightsmanager config`: every setting with its value and origin, as a settings file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from rightsmanager.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import Run


def test_the_output_is_a_settings_file_with_every_default(run: Run, tmp_path: Path) -> None:
    ran = run("config", "--data", str(tmp_path))
    expected = Settings(data=tmp_path).model_dump(mode="json", exclude_none=True)
    # An empty table has no line.
    expected["hooks"].pop("options")
    assert tomllib.loads(ran.output) == expected
    (tmp_path / "rightsmanager.toml").write_text(ran.output)
    again = run("config", "--data", str(tmp_path), "--changed")
    assert again.output == ""


def test_an_origin_is_a_variable_or_a_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rightsmanager.toml"
    file.write_text('[server]\nworkers = 3\nthreads = 5\n[hooks.options]\nurl = "a"\n')
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__THREADS", "6")
    monkeypatch.setenv("RIGHTSMANAGER_API__TOKEN", "a-secret-of-the-operator")
    printed = run("config", "--data", str(tmp_path), "--changed", "--json").json
    assert printed == {
        "server.workers": {"value": 3, "origin": str(file)},
        "server.threads": {"value": 6, "origin": "RIGHTSMANAGER_SERVER__THREADS"},
        "api.token": {"value": "**********", "origin": "RIGHTSMANAGER_API__TOKEN"},
        "hooks.options.url": {"value": "a", "origin": str(file)},
    }
    text = run("config", "--data", str(tmp_path)).output
    assert "threads = 6  # RIGHTSMANAGER_SERVER__THREADS" in text.splitlines()
    assert "a-secret" not in text


def test_an_old_name_is_warned_of(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_SEAM__MAKE", "module:function")
    ran = run("config", "--data", str(tmp_path), "--changed")
    assert ran.errors == (
        "warning: RIGHTSMANAGER_SEAM__MAKE: the setting seam.make is now called hooks.make\n"
    )
    assert tomllib.loads(ran.output) == {"hooks": {"make": "module:function"}}
