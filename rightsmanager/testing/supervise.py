"""Runs a server until it is stopped, or until the process that wants it has ended.

    python -m rightsmanager.testing.supervise OWNER_PID COMMAND…

Prints the id of the process that supervises the command, and ends at once: that one is no child of
the caller's. A test process that is killed cannot stop its server; the supervisor does, within a
second.
"""

import os
import signal
import subprocess
import sys
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
                if not _is_alive(owner):
                    process.terminate()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # The id belongs to another user's process by now.
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
