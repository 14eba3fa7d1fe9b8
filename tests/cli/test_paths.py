"""A path that cannot be read or written is named in one line, whatever is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from rightsmanager.cli.options import INPUT
from tests.cli.test_help import COMMANDS

if TYPE_CHECKING:
    from tests.cli.conftest import Run

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
NOWHERE = "http://127.0.0.1:1/"
KEY = f"{KID}:00112233445566778899aabbccddeeff"

WORLDS = {
    "list": (),
    "seed": ("a", "1"),
    "restore": ("a", "b"),
    "fault add": ("a", "status"),
    "fault script": ("a", "cfg=(play:true)"),
    **dict.fromkeys(
        (
            *("create", "show", "change", "reset", "delete", "clock", "snapshot", "snapshots"),
            *("fault list", "fault remove", "journal", "wait", "assert"),
        ),
        ("a",),
    ),
}
"""The arguments of the commands of worlds."""

READING: dict[tuple[str, str], tuple[str, ...]] = {
    **{
        (f"world {name}", "cafile"): ("--cafile", "{path}", *arguments)
        for name, arguments in WORLDS.items()
    },
    ("content import", "file"): ("{path}", "--data", "{data}"),
    ("show", "file"): ("{path}",),
    ("header show", "file"): ("{path}",),
    ("explain", "header_file"): ("--header", "{path}", "cfg=(play:true)"),
    ("journal replay", "cafile"): ("--cafile", "{path}", "--data", "{data}", "1"),
    ("packager", "cafile"): ("--cafile", "{path}", "--url", NOWHERE, "news"),
    ("device acquire", "header_file"): (
        *("--header", "{path}", "--device", "{device}", "--url", NOWHERE),
    ),
    ("device acquire", "cafile"): (
        *("--cafile", "{path}", "--device", "{device}", "--url", NOWHERE, "--kid", KID),
    ),
    ("device play", "header_file"): (
        *("--header", "{path}", "--device", "{device}", "--url", NOWHERE, KID),
    ),
    ("device play", "cafile"): (
        *("--cafile", "{path}", "--device", "{device}", "--url", NOWHERE, KID),
    ),
    ("device accept", "file"): ("{path}", "--device", "{device}"),
    ("device challenge", "header_file"): (
        *("--header", "{path}", "--device", "{device}", "--output", "{new}", "AcquireLicense"),
    ),
    ("device certify", "signing"): ("{path}", "{root}", "{new}", "--data", "{data}"),
    ("device certify", "encryption"): ("{root}", "{path}", "{new}", "--data", "{data}"),
    ("device import", "file"): ("{path}", "--device", "{device}"),
    ("device join", "cafile"): ("--cafile", "{path}", "--device", "{device}", "--url", NOWHERE),
    ("device leave", "cafile"): ("--cafile", "{path}", "--device", "{device}", "--account", KID),
    ("device meter", "cafile"): ("--cafile", "{path}", "--device", "{device}"),
    ("device stop", "cafile"): ("--cafile", "{path}", "--device", "{device}"),
    ("device delete", "cafile"): ("--cafile", "{path}", "--device", "{device}", "--url", NOWHERE),
    ("serve", "certfile"): ("--certfile", "{path}", "--bind", "127.0.0.1:0", "--data", "{data}"),
}
"""The rest of the command line for each parameter that reads a file."""

WRITING: dict[tuple[str, str], tuple[str, ...]] = {
    ("content export", "file"): ("{path}", "--data", "{data}"),
    ("device challenge", "output"): (
        *("--output", "{path}", "--device", "{device}", "--kid", KID, "AcquireLicense"),
    ),
    ("device certify", "chain"): ("{root}", "{root}", "{path}", "--data", "{data}"),
    ("header make", "output"): ("--output", "{path}", "--algid", "none", KEY),
    ("metering show", "chain_file"): ("--chain", "{path}", "--data", "{data}", "{mid}"),
    ("conformance run", "junit"): ("--junit", "{path}", "--world", "a", "--url", NOWHERE),
    ("conformance run", "html"): ("--html", "{path}", "--world", "a", "--url", NOWHERE),
    ("metering chart", "out"): ("--out", "{path}.png", "--data", "{data}"),
}
"""The same for each parameter that writes one."""

FOLDERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("device new", "folder"): ("{path}", "--data", "{data}"),
    ("device acquire", "save_messages"): (
        *("--save-messages", "{path}", "--device", "{device}", "--url", NOWHERE, "--kid", KID),
    ),
    ("device show", "folder"): ("--device", "{path}"),
    ("show", "folder"): ("--device", "{path}", "{file}"),
    ("keys", "data"): ("--data", "{path}"),
    ("content list", "data"): ("--data", "{path}"),
    ("request-token", "data"): ("--data", "{path}"),
    ("purge", "data"): ("--data", "{path}"),
    ("revocations", "data"): ("--data", "{path}"),
    ("database upgrade", "data"): ("--data", "{path}"),
}
"""The same for parameters that name a folder."""


@pytest.fixture
def places(run: Run, tmp_path: Path) -> dict[str, str]:
    data, device, file = tmp_path / "data", tmp_path / "device", tmp_path / "file"
    assert run("init", "--data", str(data), "--seed", "paths").status == 0
    assert run("device", "new", "--data", str(data), str(device)).status == 0
    assert run("content", "add", "--data", str(data), *KEY.split(":")).status == 0
    file.write_bytes(b"\xff\xfe\0")
    (mid,) = run("metering", "list", "--data", str(data), "--json").json
    return {
        "data": str(data),
        "device": str(device),
        "file": str(file),
        "mid": mid["mid"],
        "new": str(tmp_path / "new"),
        "root": str(data / "public" / "root.pub"),
    }


def unusable(tmp_path: Path) -> list[Path]:
    """Return paths that no file can be read from or written to."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder").mkdir()
    return [
        tmp_path / "folder",
        tmp_path / "missing" / "file",
        tmp_path / "file" / "under",
        tmp_path / ("n" * 300),
        Path(os.fsdecode(os.fsencode(tmp_path / "missing") + b"\xff/file")),
    ]


def assert_refused(run: Run, command: str, line: tuple[str, ...], values: dict[str, str]) -> None:
    ran = run(*command.split(), *(each.format(**values) for each in line))
    assert ran.status in {1, 2}, (command, values["path"], ran)
    # The usage of click comes before its error; a failure is one line.
    assert ran.errors.count("\n") == 1 or ran.errors.startswith("Usage: "), ran.errors
    assert "Traceback" not in ran.errors
    assert ran.output == ""


@pytest.mark.parametrize("key", [*READING, *WRITING], ids=" ".join)
def test_an_unusable_file_is_refused_in_a_line(
    run: Run, places: dict[str, str], tmp_path: Path, key: tuple[str, str]
) -> None:
    for path in unusable(tmp_path):
        line = (READING | WRITING)[key]
        assert_refused(run, key[0], line, {**places, "path": str(path)})


@pytest.mark.parametrize("key", FOLDERS, ids=" ".join)
def test_an_unusable_folder_is_refused_in_a_line(
    run: Run, places: dict[str, str], tmp_path: Path, key: tuple[str, str]
) -> None:
    # These make a missing folder.
    makes = key in {("device new", "folder"), ("device acquire", "save_messages")}
    for path in unusable(tmp_path)[2:4] if makes else unusable(tmp_path):
        if path.name != "folder" or key[1] == "folder":
            assert_refused(run, key[0], FOLDERS[key], {**places, "path": str(path)})


@pytest.mark.parametrize(
    "key", [key for key in WRITING if key[1] not in {"out", "junit", "html"}], ids=" ".join
)
def test_a_full_disk_is_refused_in_a_line(
    run: Run, places: dict[str, str], key: tuple[str, str]
) -> None:
    assert_refused(run, key[0], WRITING[key], {**places, "path": "/dev/full"})


def test_every_parameter_that_names_a_path_is_tried() -> None:
    found = {
        (" ".join(path), parameter.name)
        for path, command in COMMANDS.items()
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
        or parameter.type is INPUT
        or parameter.name in {"cafile", "certfile", "out"}
    }
    # All commands share one --data, and those of a device one --device and one --save-messages.
    shared = {key for key in found if key[1] in {"data", "folder", "save_messages"}}
    assert found - shared == {*READING, *WRITING} | {("device export", "file")}
    assert set(FOLDERS) <= shared
