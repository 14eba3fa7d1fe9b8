"""One server for all processes of a test run.

folder/lock           locked while a server is started
folder/server.json    the running server

The first process that wants the server starts it. It ends with the run's first process, the owner,
also if that or a worker of pytest-xdist is killed; the owner stops it when the run has ended.
"""

import fcntl
from dataclasses import replace
from pathlib import Path
from typing import Final

from rightsmanager.testing.server import Launch, Running, launch, stop

_LOCK: Final = "lock"
_SERVER: Final = "server.json"


def share(folder: Path, given: Launch, owner: int) -> Running:
    """Return the run's server, started now if it is not running yet."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _SERVER
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            running = launch(replace(given, owner=owner))
            file.write_text(running.json(), "utf-8")
        return Running.parse(file.read_text("utf-8"))


def stop_shared(folder: Path) -> None:
    """Stop the run's server, if it was started."""
    file = folder / _SERVER
    if file.exists():
        stop(Running.parse(file.read_text("utf-8")).pid)
        file.unlink()
