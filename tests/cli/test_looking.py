"""Looking into the wrong folder is a failure that names it, and makes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
KEY = "00112233445566778899aabbccddeeff"
DIGEST = "0" * 64

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("content", "add", KID, KEY),
    ("content", "list"),
    ("content", "remove", KID),
    ("content", "export", "keys.csv"),
    ("database", "current"),
    ("database", "upgrade"),
    ("device", "new", "device"),
    ("domain", "create"),
    ("domain", "list"),
    ("keys",),
    ("ledger", "A" * 43 + "="),
    ("metering", "create"),
    ("metering", "list"),
    ("metering", "report"),
    ("metering", "royalty"),
    ("purge",),
    ("request-token",),
    ("revocations",),
    ("revoke", DIGEST),
    ("streams", "list"),
    ("unrevoke", DIGEST),
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("options", [(), ("--data", "elsewhere")], ids=["default", "given"])
def test_a_missing_data_folder_is_named_whole_and_not_made(
    run: Run, tmp_path: Path, command: tuple[str, ...], options: tuple[str, ...]
) -> None:
    ran = run(*command, *options)
    folder = tmp_path / (options[1] if options else "var")
    assert (ran.status, ran.output) == (1, "")
    assert f"the data folder {folder} does not exist" in ran.errors
    assert f"rightsmanager init --data {folder}" in ran.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each[0] not in {"keys", "request-token"}], ids=" ".join
)
def test_an_empty_data_folder_stays_empty(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "var").mkdir()
    ran = run(*command)
    assert (ran.status, ran.output) == (1, "")
    assert str(tmp_path / "var") in ran.errors or "var/keyring" in ran.errors
    assert list((tmp_path / "var").iterdir()) == []


@pytest.mark.parametrize("command", [("show", "thing"), ("explain", "cfg=(persist:true)")])
def test_a_command_that_needs_no_data_folder_makes_none(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "thing").write_bytes(b"thing")
    assert "does not exist" not in run(*command).errors
    assert [file.name for file in tmp_path.iterdir()] == ["thing"]
    refused = run(*command, "--data", "elsewhere")
    assert refused.status in {1, 2}
    assert f"the data folder {tmp_path / 'elsewhere'} does not exist" in refused.errors
