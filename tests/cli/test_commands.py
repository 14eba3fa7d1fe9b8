"""Common to all commands: help, the data folder, settings, and one line for a failure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rightsmanager import __version__
from rightsmanager.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


def test_help_lists_every_command(run: Run) -> None:
    for option in ("--help", "-h"):
        output = run(option).output
        assert [name for name in COMMANDS if f"  {name} " not in output] == []
    assert run("--version").output.endswith(f"{__version__}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    ran = run(name, "--help")
    assert (ran.status, ran.errors) == (0, "")
    assert f"rightsmanager {name} " in ran.output.splitlines()[0]


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("--nothing",), ("keys", "--nothing"), ("device", "sell")]
)
def test_unknown_commands_and_options_are_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.splitlines()[-1].startswith("Error: No such ")


@pytest.mark.parametrize(
    "arguments", [("init",), ("content", "list"), ("serve", "--bind", "127.0.0.1:0"), ("keys",)]
)
def test_an_invalid_setting_is_named_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_LICENSE__SIGN", "sometimes")
    ran = run(*arguments)
    assert (ran.status, ran.output, ran.errors.count("\n")) == (1, "", 1)
    assert "license.sign" in ran.errors


@pytest.mark.parametrize(
    "arguments", [("init",), ("content", "list"), ("serve", "--bind", "127.0.0.1:0"), ("keys",)]
)
def test_an_unusable_data_folder_is_named_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "data").write_text("a file")
    (tmp_path / "keyring").write_text("a file")
    assert run(*arguments, "--data", str(tmp_path / "data")).status == 2
    if "content" not in arguments:
        ran = run(*arguments, "--data", str(tmp_path))
        assert (ran.status, ran.output, ran.errors.count("\n")) == (1, "", 1)
        assert str(tmp_path / "keyring") in ran.errors


def test_the_data_folder_is_that_of_the_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_file, by_variable, by_option = (tmp_path / name for name in ("file", "variable", "option"))
    settings = tmp_path / "settings.toml"
    settings.write_text(f"data = {json.dumps(str(by_file))}")
    monkeypatch.setenv("RIGHTSMANAGER_CONFIG", str(settings))
    assert run("init").status == 0
    monkeypatch.setenv("RIGHTSMANAGER_DATA", str(by_variable))
    assert run("init").status == 0
    assert run("init", "--data", str(by_option)).status == 0
    for folder in (by_file, by_variable, by_option):
        assert (folder / "keyring" / "root.key").exists()
        assert (folder / "rightsmanager.db").exists()


def test_a_missing_settings_file_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_CONFIG", str(tmp_path / "none.toml"))
    ran = run("init", "--data", str(tmp_path / "data"))
    assert (ran.status, ran.errors.count("\n")) == (1, 1)
    assert f"the settings file {tmp_path / 'none.toml'} does not exist" in ran.errors


def test_an_unusable_database_is_reported_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for url in (
        "mysql://h/x",
        "nonsense",
        f"sqlite:///{tmp_path}/none/x.db",
        f"sqlite:///{tmp_path}",
    ):
        monkeypatch.setenv("RIGHTSMANAGER_DATABASE_URL", url)
        ran = run("content", "list", "--data", str(tmp_path / "data"))
        assert (ran.status, ran.output) == (1, ""), url
        assert ran.errors.count("\n") == 1, ran.errors
