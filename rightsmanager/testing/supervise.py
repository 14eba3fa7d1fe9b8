"""Runs a server until it is stopped, or until the process that wants it has ended.

    python -m rightsmanager.testing.supervise OWNER_PID COMMAND…

A test process that is killed cannot stop its server. This one does, within a second.
"""

import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Final

_CHECK_SECONDS: Final = 1.0


def main(arguments: list[str]) -> int:
    """Run a command, and return its exit status."""
    owner, command = int(arguments[0]), arguments[1:]
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
