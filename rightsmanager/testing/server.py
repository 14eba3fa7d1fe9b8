"""A server with worlds as a process of its own, for the duration of some tests."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from rightsmanager.errors import InternalError
from rightsmanager.testing.control import Control, HttpSend, connect
from rightsmanager.testing.home import Home
from rightsmanager.testing.world import Options, Pki, World, create_world

START_SECONDS: Final = 120
"""For the first start, which makes a test PKI, on a busy machine."""
STOP_SECONDS: Final = 30
LOG_FILE: Final = "server.log"
_TAIL: Final = 4000


@dataclass(frozen=True, slots=True)
class Launch:
    """The way to start a server."""

    data: Path
    workers: int = 1
    database_url: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    """By their dotted names, such as `{"domain.max_members": 2}`."""
    owner: int | None = None
    """The process that the server ends with; the starting one unless it is given."""

    def command(self) -> Sequence[str]:
        """Return the command line."""
        serve = [
            *(sys.executable, "-m", "rightsmanager", "serve", "--lab", "--json"),
            *("--bind", "127.0.0.1:0", "--workers", str(self.workers), "--data", str(self.data)),
        ]
        supervise = (sys.executable, "-m", "rightsmanager.testing.supervise")
        return [*supervise, str(self.owner or os.getpid()), *serve]

    def environment(self) -> dict[str, str]:
        """Return the environment: that of this process, with no settings but the given ones."""
        inherited = {name: value for name, value in os.environ.items() if not _is_setting(name)}
        given = {"server.pin_workers": False, **self.settings}
        if self.database_url is not None:
            given["database_url"] = self.database_url
        return {**inherited, **{_variable(name): _text(each) for name, each in given.items()}}


def _is_setting(name: str) -> bool:
    return name.startswith("RIGHTSMANAGER_") and name != "RIGHTSMANAGER_PASSPHRASE"


def _variable(name: str) -> str:
    return f"RIGHTSMANAGER_{name.replace('.', '__').upper()}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True, slots=True)
class Running:
    """A running server, which another process may use too."""

    url: str
    """Of its rightsmanager.asmx."""
    pid: int
    """Of the process that ends it."""
    data: Path

    def json(self) -> str:
        """Return it as text, for `parse`."""
        return json.dumps({"url": self.url, "pid": self.pid, "data": str(self.data)})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the server of a text."""
        facts = json.loads(text)
        return cls(facts["url"], facts["pid"], Path(facts["data"]))


def launch(given: Launch) -> Running:
    """Start a server and wait until it serves; raises InternalError with the end of its log."""
    given.data.mkdir(parents=True, exist_ok=True)
    log = given.data / LOG_FILE
    with log.open("ab") as stream:
        starter = subprocess.Popen(  # noqa: S603 -- this program
            given.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=given.environment(),
            # Ctrl-C is for the tests, which stop the server when they have ended.
            start_new_session=True,
        )
    with starter:
        starter.wait()
        assert starter.stdout is not None  # noqa: S101 -- it is a pipe
        pid = int(starter.stdout.readline())
        line, rest = _read_lines(starter.stdout)
    url = _read_url(line)
    if url is not None:
        return Running(url, pid, given.data)
    stop(pid)
    # A failure is on standard output too: its JSON has several lines.
    problem = (line + rest).decode("utf-8", "replace")
    tail = log.read_text("utf-8", "replace")[-_TAIL:]
    raise InternalError(f"the server did not start:\n{problem}{tail}")


def _read_lines(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Return the first line, and the rest if that is the beginning of a failure."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        line = stream.readline() if selector.select(START_SECONDS) else b""
    return line, b"" if not line or _read_url(line) else stream.read()


def _read_url(line: bytes) -> str | None:
    try:
        return str(json.loads(line)["url"])
    except (ValueError, LookupError, TypeError):
        return None


def stop(pid: int) -> None:
    """End a server by its process id, and wait for its end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not selector.select(STOP_SECONDS):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)


class Server:
    """A server with worlds; use it in a `with` statement, or call `start` and `stop`.

    data            its data folder; a temporary one, which `stop` removes, if it is missing
    workers         the number of its processes
    database_url    a PostgreSQL database; SQLite in the data folder if it is missing
    settings        by their dotted names, such as `{"license.acknowledge": "persistent"}`
    """

    def __init__(
        self,
        *,
        data: Path | str | None = None,
        workers: int = 1,
        database_url: str | None = None,
        settings: Mapping[str, object] | None = None,
        running: Running | None = None,
    ) -> None:
        self._is_temporary = data is None and running is None
        self._data = None if data is None else Path(data)
        self._workers = workers
        self._database_url = database_url
        self._settings = dict(settings or {})
        self._is_own = running is None
        self._running = running
        self._send: HttpSend | None = None

    def start(self) -> Self:
        """Start it and wait until it serves; raises InternalError with the end of its log."""
        if self._running is None:
            data = self._data or Path(tempfile.mkdtemp(prefix="rightsmanager-"))
            given = Launch(data, self._workers, self._database_url, self._settings)
            self._running = launch(given)
        return self

    def stop(self) -> None:
        """Stop it, unless another process started it."""
        self.close()
        running = self._running
        if running is None or not self._is_own:
            return
        stop(running.pid)
        self._running = None
        if self._is_temporary:
            shutil.rmtree(running.data, ignore_errors=True)

    @property
    def running(self) -> Running:
        """The process; raises InternalError before `start`."""
        if self._running is None:
            raise InternalError("the server is not running; use it in a with statement")
        return self._running

    @property
    def url(self) -> str:
        """The URL of the default world's rightsmanager.asmx."""
        return self.running.url

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.running.data

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.running.pid

    @property
    def log(self) -> str:
        """The text of its log."""
        return (self.data / LOG_FILE).read_text("utf-8", "replace")

    @property
    def control(self) -> Control:
        """Its control API."""
        if self._send is None:
            self._send = connect(self.url)
        return Control(self._send)

    def close(self) -> None:
        """Close the connection to its control API."""
        if self._send is not None:
            self._send.close()

    def world(  # noqa: PLR0913 -- the options of a world
        self,
        name: str | None = None,
        *,
        seed: int | None = None,
        clock: Mapping[str, object] | None = None,
        pki: Pki = "shared",
        settings: Mapping[str, Mapping[str, object]] | None = None,
        expires_after_seconds: int | None = None,
    ) -> World:
        """Create a world; without a name it gets a new one. Raises ControlFailed.

        seed        everything random in it follows from it, so equal requests give equal bytes
        clock       such as `{"now": "2031-01-01T00:00:00Z", "freeze": True}`
        settings    settings to override, such as `{"domain": {"max_members": 2}}`
        """
        options = Options(
            seed=seed,
            clock=clock,
            pki=pki,
            settings=settings,
            expires_after_seconds=expires_after_seconds,
        )
        return create_world(self.control, name, options, Home(self.data))

    def __enter__(self) -> Self:
        """Start the server and return it."""
        return self.start()

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()
