"""Reads files whole, and writes them whole: privately, atomically and durably.

A file that is written here has all of its bytes on the disk before it has its name, so that neither
a crash nor a full disk leaves half of one. Every failure is an InternalError that names the file.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o666
"""Reduced by the process's umask."""
FOLDER_MODE: Final = 0o700


def read_file(file: Path, max_bytes: int | None = None) -> bytes:
    """Return a file's bytes; raises InternalError, also for more than `max_bytes`."""
    with _named(file, "read"), file.open("rb") as stream:
        data = stream.read() if max_bytes is None else stream.read(max_bytes + 1)
    if max_bytes is not None and len(data) > max_bytes:
        raise InternalError(f"{file} has more than {max_bytes} bytes")
    return data


def find_file(file: Path) -> bytes | None:
    """Return a file's bytes, or None if it is missing; raises InternalError."""
    with _named(file, "read"):
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None


def keep_file(file: Path, make: Callable[[], bytes]) -> bytes:
    """Return the file's bytes, made and written if it was missing; folders are made as needed.

    Of several processes that do so at the same moment one writes, and all return its bytes.
    """
    present = find_file(file)
    if present is not None:
        return present
    data = make()
    make_folder(file.parent)
    with _named(file, "written"):
        return data if _link(file, data) else file.read_bytes()


def create_file(file: Path, data: bytes) -> None:
    """Write a new private file in a folder that exists; raises InternalError if it exists."""
    with _named(file, "written"):
        if not _link(file, data):
            raise InternalError(f"{file} exists already, expected a new file")


def replace_file(file: Path, data: bytes) -> None:
    """Put the data in the place of a private file; folders are made as needed."""
    make_folder(file.parent)
    with _named(file, "written"):
        _replace(file, data, PRIVATE_MODE)


def write_output(file: Path, data: bytes) -> None:
    """Write a file that a command was asked for, with the usual mode, in a folder that exists."""
    with _named(file, "written"):
        target = file.resolve()
        # A pipe or a device such as /dev/stdout is written to, and never replaced.
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            _replace(target, data, PUBLIC_MODE)


def is_file(path: Path) -> bool:
    """Return whether the path is a file; False also for a name that no file can have."""
    return _is(path.is_file)


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder; False also for a name that no folder can have."""
    return _is(path.is_dir)


def remove_file(file: Path) -> None:
    """Remove a file, if it exists, so that it stays away after a crash."""
    with _named(file, "removed"):
        file.unlink(missing_ok=True)
        if file.parent.is_dir():
            _sync_folder(file.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, private to their owner."""
    with _named(folder, "made"):
        # mkdir(parents=True) would give its mode to the last one only.
        for each in (*reversed(folder.parents), folder):
            each.mkdir(mode=FOLDER_MODE, exist_ok=True)


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:
        # Such as a name that is too long, which pathlib does not answer with False.
        return False


@contextmanager
def _named(file: Path, done: str) -> Iterator[None]:
    """Turn the system's errors into an InternalError that says what cannot be done to the file."""
    try:
        yield
    except OSError as error:
        raise InternalError(f"{file} cannot be {done}: {error.strerror or error}") from None
    except ValueError as error:
        # A name that no file can have, such as one with a null character.
        raise InternalError(f"{str(file)!r} cannot be {done}: {error}") from None


def _link(file: Path, data: bytes) -> bool:
    """Return whether the file was made of the data; False if it exists already."""
    draft = _draft(file, data, PRIVATE_MODE)
    try:
        # A link, unlike a rename, never replaces an existing file.
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(file.parent)
    return True


def _replace(file: Path, data: bytes, mode: int) -> None:
    draft = _draft(file, data, mode)
    try:
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _draft(file: Path, data: bytes, mode: int) -> Path:
    """Return a new file in the same folder, with all of the data on the disk."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync_folder(folder: Path) -> None:
    # The folder's own entry is what gives the file its name after a crash.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
