"""A server ends with the process that wants it, also if that is killed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rightsmanager.testing.server import stop

SECONDS = 30
SLEEP = f"import sys, time; print('ready', flush=True); time.sleep({2 * SECONDS})"


def supervise(owner: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start a supervised command; returns its pipe and the supervisor's process id."""
    command = [sys.executable, "-m", "rightsmanager.testing.supervise", str(owner)]
    starter = subprocess.Popen([*command, sys.executable, "-c", SLEEP], stdout=subprocess.PIPE)
    assert starter.wait(SECONDS) == 0
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert starter.stdout.readline() == b"ready\n"
    return starter, pid


@pytest.fixture
def owner() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)


def test_a_command_ends_with_its_owner(owner: subprocess.Popen[bytes]) -> None:
    starter, _ = supervise(owner.pid)
    owner.kill()
    owner.wait(SECONDS)
    # The pipe is at its end when the command has ended too.
    assert starter.communicate(timeout=SECONDS)[0] == b""


def test_a_command_is_stopped_by_the_id_of_its_supervisor() -> None:
    starter, pid = supervise(os.getpid())
    stop(pid)
    assert starter.communicate(timeout=SECONDS)[0] == b""


def test_stopping_an_ended_process_does_nothing(owner: subprocess.Popen[bytes]) -> None:
    owner.kill()
    owner.wait(SECONDS)
    stop(owner.pid)
