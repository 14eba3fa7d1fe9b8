"""Files: read whole, written whole, private, and every failure names the file."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from rightsmanager import files
from rightsmanager.errors import InternalError

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_kept_file_is_private_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "key"
    assert files.keep_file(file, lambda: b"first") == b"first"
    assert files.keep_file(file, lambda: b"second") == b"first"
    assert (mode(file), mode(file.parent), mode(tmp_path / "a")) == (0o600, 0o700, 0o700)
    assert list(file.parent.iterdir()) == [file]


def test_of_many_writers_one_wins_and_all_return_its_bytes(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = set(
            pool.map(
                lambda number: files.keep_file(tmp_path / "key", lambda: b"%d" % number), range(50)
            )
        )
    assert kept == {(tmp_path / "key").read_bytes()}


def test_a_replaced_file_is_private_and_has_the_new_bytes(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"
    files.replace_file(file, b"first")
    files.replace_file(file, b"second")
    assert (files.read_file(file), mode(file)) == (b"second", 0o600)
    files.remove_file(file)
    files.remove_file(file)
    assert files.find_file(file) is None


def test_a_created_file_never_replaces_another(tmp_path: Path) -> None:
    file = tmp_path / "file"
    files.create_file(file, b"first")
    with pytest.raises(InternalError, match="exists already, expected a new file"):
        files.create_file(file, b"second")
    assert (file.read_bytes(), mode(file)) == (b"first", 0o600)


def test_output_has_the_usual_mode_and_goes_through_links_and_into_pipes(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    files.write_output(link, b"data")
    umask = os.umask(0)
    os.umask(umask)
    assert (link.is_symlink(), target.read_bytes()) == (True, b"data")
    assert mode(target) == 0o666 & ~umask
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        files.write_output(pipe, b"data")
        assert read.result() == b"data"
    assert pipe.is_fifo()


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    files.replace_file(file, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (files.replace_file, files.write_output):
        with pytest.raises(InternalError, match="file cannot be written: No space left on device"):
            write(file, b"second")
    with pytest.raises(InternalError, match="No space left"):
        files.create_file(tmp_path / "new", b"data")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"first", [file])


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert files.read_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(InternalError, match="has more than 4 bytes"):
        files.read_file(tmp_path / "file", 4)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "Is a directory"),
        ("file/under", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("null\0", "null"),
    ],
)
def test_every_failure_names_the_file(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    file = tmp_path / name if name != "." else tmp_path
    for act in (files.read_file, files.find_file):
        with pytest.raises(InternalError, match=f"(?s)cannot be read: .*{reason}"):
            act(file)
    for write in (files.replace_file, files.write_output, files.create_file):
        with pytest.raises(InternalError, match=str(tmp_path)):
            write(file, b"data")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="none cannot be read: No such file or directory"):
        files.read_file(tmp_path / "none")
    with pytest.raises(InternalError, match="cannot be written: No such file or directory"):
        files.write_output(tmp_path / "none" / "file", b"")
