"""A server ends with the process that wants it, also if that is killed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rightsmanager.testing.server import stop

SECONDS = 30
SLEEP = f"import sys, time; print('ready', flush=True); time.sleep({2 * SECONDS})"


def supervise(owner: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rightsmanager.testing.supervise", str(owner)]
    process = subprocess.Popen([*command, sys.executable, "-c", SLEEP], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.fixture
def owner() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)


def test_a_command_ends_with_its_owner(owner: subprocess.Popen[bytes]) -> None:
    with supervise(owner.pid) as process:
        owner.kill()
        owner.wait(SECONDS)
        # The pipe is at its end when the command has ended too.
        assert process.communicate(timeout=SECONDS)[0] == b""
        assert process.returncode != 0


def test_a_command_is_stopped_by_the_id_of_its_supervisor() -> None:
    with supervise(os.getpid()) as process:
        stop(process.pid, process)
        assert process.communicate(timeout=SECONDS)[0] == b""


def test_stopping_an_ended_process_does_nothing(owner: subprocess.Popen[bytes]) -> None:
    owner.kill()
    owner.wait(SECONDS)
    stop(owner.pid)
