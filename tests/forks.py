"""Processes that are forked from one that has imported the project.

    python -m tests.forks SOCKET

Imports take nine tenths of the time in which a command or a server starts. A fork has the
arguments, environment, folder and streams that it is given, and parses its command line as the
program does. It is not a child of the caller, which learns its exit status over the socket.

Each connection to SOCKET is one process: a request comes as JSON with the process's streams, then
the process's id is sent back, and its exit status once it has ended.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final, NoReturn

ROOT: Final = Path(__file__).parents[1]
MAX_REQUEST: Final = 1 << 20
MAX_STREAMS: Final = 3
LIBRARIES: Final = (
    "alembic.command",
    "gunicorn.arbiter",
    "gunicorn.workers.gthread",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)
"""Imported on demand by the project or by its libraries."""
PROGRAM: Final = "rightsmanager.cli:main"
"""The command line of the project."""


@dataclass(frozen=True)
class Call:
    """A function without arguments to call in a fork."""

    target: str
    """`module:function`."""
    arguments: tuple[str, ...]
    """The arguments of the command line, the program's name first."""
    environment: Mapping[str, str]
    folder: str


# --- the caller's side ----------------------------------------------------------------------------


@dataclass
class Fork:
    """A process; it has the parts of subprocess.Popen that tests use."""

    pid: int
    stdout: IO[str] | None
    _connection: socket.socket = field(repr=False)
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._find(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once it has ended; raises subprocess.TimeoutExpired."""
        status = self._find(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def communicate(self) -> str:
        """Return its output once it has ended."""
        assert self.stdout is not None
        with self.stdout:
            printed = self.stdout.read()
        self.wait()
        return printed

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _find(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout)[0]:
            self.returncode = int(self._connection.recv(MAX_REQUEST))
            self._connection.close()
        return self.returncode


@dataclass(frozen=True)
class Forks:
    """The process that has imported the project."""

    socket: Path

    def start(
        self,
        *arguments: str,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.DEVNULL,
        target: str = PROGRAM,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> Fork:
        """Start a process, in a session of its own.

        stdout, stderr: descriptors, subprocess.PIPE (for stdout) or subprocess.DEVNULL.
        """
        call = Call(target, arguments, dict(environment or os.environ), str(folder))
        with _streams(stdout, stderr) as (streams, reader):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.connect(str(self.socket))
            socket.send_fds(connection, [json.dumps(asdict(call)).encode()], streams)
        return Fork(int(connection.recv(MAX_REQUEST)), reader, connection)


@contextmanager
def _streams(stdout: int, stderr: int) -> Iterator[tuple[list[int], IO[str] | None]]:
    """Yield the descriptors of a process's streams, and the other end of its standard output."""
    reader = None
    null = os.open(os.devnull, os.O_RDWR)
    opened = [null]
    if stdout == subprocess.PIPE:
        end, stdout = os.pipe()
        opened.append(stdout)
        reader = os.fdopen(end)
    given = [null if each == subprocess.DEVNULL else each for each in (stdout, stderr)]
    try:
        yield [null, *given], reader
    finally:
        for each in opened:
            os.close(each)


@contextmanager
def running_forks() -> Iterator[str]:
    """Yield the address of a process to fork from, which ends afterwards."""
    # Not below pytest's folder: the address of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="rm-") as folder:
        path = Path(folder) / "socket"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            # It ends when its standard input does, so that it cannot outlive this process.
            yield str(path)


# --- the side of the forks ------------------------------------------------------------------------


def preload() -> None:
    """Import everything that a process may need, and keep it out of garbage collections."""
    project = importlib.import_module("rightsmanager")
    for module in pkgutil.walk_packages(project.__path__, "rightsmanager."):
        if not re_runs(module.name):
            importlib.import_module(module.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    from tests.templates import compile_once  # noqa: PLC0415 -- the caller's side imports no Flask

    compile_once()
    gc.collect()
    gc.freeze()


def re_runs(module: str) -> bool:
    """Return whether a module does something when it is imported."""
    return module.endswith((".__main__", ".env")) or ".versions." in module


def serve(server: socket.socket) -> Call | None:
    """Fork a process for each call; returns the call in the process, and None at the end."""
    while True:
        ready, _, _ = select.select([server, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        caller, _ = server.accept()
        if os.fork() == 0:
            server.close()
            return _watch(caller)
        caller.close()
        reap()


def reap() -> None:
    """Collect the forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(caller: socket.socket) -> Call:
    """Fork the process, send its id and its exit status, and end; returns in the process."""
    request, streams, _, _ = socket.recv_fds(caller, MAX_REQUEST, MAX_STREAMS)
    call = Call(**json.loads(request))
    pid = os.fork()
    if pid == 0:
        caller.close()
        _enter(call, streams)
        return call
    for each in streams:
        os.close(each)
    # The streams of its own are those of the process that it was forked from.
    with suppress(BrokenPipeError):
        caller.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        caller.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _enter(call: Call, streams: list[int]) -> None:
    """Make this process the one that was called for."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environment)
    sys.path[:0] = [path for path in call.environment.get("PYTHONPATH", "").split(":") if path]
    sys.argv = list(call.arguments)
    from rightsmanager.monitoring.shared_cells import SHARED_CELLS  # noqa: PLC0415 -- as above

    # All forks would share the counts.
    vars(SHARED_CELLS).update(vars(type(SHARED_CELLS)()))


def run(call: Call) -> NoReturn:
    """Call the function, and exit as an interpreter does."""
    status = exit_status(partial(_call, call.target))
    # Not sys.exit: taking all modules apart takes longer than most commands.
    # It tells the threads of executors to end, which a join would wait for, and joins all.
    threading._shutdown()  # type: ignore[attr-defined] # the interpreter's own
    atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _call(target: str) -> None:
    module, _, name = target.partition(":")
    getattr(importlib.import_module(module), name)()


def exit_status(run_program: Callable[[], object]) -> int:
    """Return the exit status that an interpreter would have after this."""
    try:
        run_program()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return status & 0xFF
    except BaseException:  # noqa: BLE001 -- whatever it is, it is the process's failure
        traceback.print_exc()
        return 1
    return 0


def main(path: str) -> None:
    """Run each process that is called for over a socket at this path."""
    preload()
    # Files need not survive a crash of the machine.
    os.fsync = lambda fd: None  # noqa: ARG005 -- its name in the library
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        server.listen(128)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        call = serve(server)
    if call is not None:
        run(call)


if __name__ == "__main__":
    main(sys.argv[1])
