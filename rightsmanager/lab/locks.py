"""Locks of files, which hold between threads and processes and end with them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of a name; others that lock the same name wait.

    Names share 256 files, so that none has to be removed while another process waits for it. A
    thread holds one of them at a time.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = os.open(folder / sha256(name.encode()).hexdigest()[:2], _FLAGS, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        # Closing also unlocks.
        os.close(opened)


def share(file: Path) -> int | None:
    """Take a shared lock of a file; return its descriptor, None if the file is missing or locked.

    The lock ends when the descriptor is closed.
    """
    return _take(file, os.O_RDWR | os.O_CLOEXEC, fcntl.LOCK_SH)


def take(file: Path) -> int | None:
    """Take the only lock of a file, made if it is missing; return as `share` does."""
    return _take(file, _FLAGS, fcntl.LOCK_EX)


def _take(file: Path, flags: int, kind: int) -> int | None:
    try:
        opened = os.open(file, flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(opened, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return None
    return opened
