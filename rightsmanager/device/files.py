"""The files of a device's folder: each is written whole or not at all, for its owner only."""

import os
import secrets
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError

PRIVATE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def read_whole(file: Path) -> bytes | None:
    """Return a file's bytes, None where there is none; raises InternalError for other troubles."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InternalError(f"{file} cannot be read: {error.strerror}") from None


def write_whole(file: Path, data: bytes) -> None:
    """Put the bytes in the place of a file, on the disk when this returns.

    Folders are made as needed. Raises InternalError, which names the file.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        try:
            _write_new(draft, data)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(file.parent)
    except OSError as error:
        raise InternalError(f"{file} cannot be written: {error.strerror}") from None


def remove_whole(file: Path) -> None:
    """Leave no such file; raises InternalError, which names it."""
    try:
        file.unlink(missing_ok=True)
        if file.parent.is_dir():
            _sync_folder(file.parent)
    except OSError as error:
        raise InternalError(f"{file} cannot be removed: {error.strerror}") from None


def _write_new(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Have the folder itself on the disk: it is what says that a file has a new name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
