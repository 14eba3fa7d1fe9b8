"""Runs a server until it is stopped, or until the process that wants it has ended.

    python -m rightsmanager.testing.supervise OWNER_PID COMMAND…

Prints the id of the process that supervises the command, and ends at once, so that the supervisor
is not a child of the caller. A test process that is killed cannot stop its server; the supervisor
does, within a second.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Final

_CHECK_SECONDS: Final = 1.0


def main(arguments: list[str]) -> int:
    """Start the supervisor of a command, print its process id, and return 0."""
    pid = os.fork()
    if pid == 0:
        os._exit(supervise(int(arguments[0]), arguments[1:]) & 0xFF)
    sys.stdout.write(f"{pid}\n")
    return 0


def supervise(owner: int, command: list[str]) -> int:
    """Run a command until it ends, or its owner has ended; returns its exit status."""
    with subprocess.Popen(command) as process:  # noqa: S603 -- the caller's own command

        def forward(number: int, _frame: FrameType | None) -> None:
            process.send_signal(number)

        signal.signal(signal.SIGTERM, forward)
        signal.signal(signal.SIGINT, forward)
        while True:
            try:
                return process.wait(_CHECK_SECONDS)
            except subprocess.TimeoutExpired:
                if not is_alive(owner):
                    process.terminate()


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    # A process that has ended stays as a zombie until its parent collects it.
    return status.rpartition(") ")[2][:1] not in {"Z", "X"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
