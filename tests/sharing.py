"""Servers that the processes of one test run share: PostgreSQL, and the process to fork from.

The first process that needs one starts it and writes its address into a file; the others read
that file. Each holds a shared lock on the file as long as it uses the server, so that the first can
wait for the others before it ends the server, even if they are killed.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def shared(
    folder: Path, name: str, start: Callable[[], AbstractContextManager[str]]
) -> Iterator[str]:
    """Yield the address of a server that this process or another one of the run has started.

    folder: the folder of this process's files. start: starts the server, yields its address, and
    ends it.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with start() as reached:
            yield reached
        return
    with (folder.parent / name).open("a+") as file:
        for lock in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            fcntl.flock(file, lock)
            file.seek(0)
            reached = file.read()
            if reached:
                fcntl.flock(file, fcntl.LOCK_SH)
                yield reached
                return
        with start() as reached:
            file.write(reached)
            file.flush()
            fcntl.flock(file, fcntl.LOCK_SH)
            yield reached
            # Those who still use it hold the shared lock.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
