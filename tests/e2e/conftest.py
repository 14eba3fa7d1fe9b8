"""The server as a process of its own, a client in this one, and commands as processes."""

import http.client
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from lxml import etree

from rightsmanager.cli import main
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device import (
    Acquired,
    Device,
    LicenseOpener,
    Post,
    ServerClient,
    ServerKeys,
    Wanted,
    acquire,
    post,
)
from rightsmanager.device.identity import load_server_keys
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.certification import DEFAULT_LEVEL
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.wrmheader import (
    Algid,
    Header,
    HeaderKid,
    Version,
    canonical_header,
)
from rightsmanager.protocol.messages.challenge import (
    LICENSE_VERSIONS,
    LicenseRequest,
    seal_license_challenge,
)
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import open_store
from rightsmanager.store.licenses import IssuedLicense
from tests.databases import KINDS, Emptied
from tests.forks import Fork, Forks

REPLY_SECONDS = 60
"""Seconds to wait for a process to answer or end."""
# Each server would pin its first worker to the same processor, and the tests run on all of them.
_UNPINNED = {"RIGHTSMANAGER_SERVER__PIN_WORKERS": "false"}
PROGRAM = (sys.executable, "-m", "rightsmanager")
NAME = "rightsmanager"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return etree.fromstring(self.body).findtext(".//Exception/StatusCode")


@dataclass
class Server:
    """A server in its own process."""

    data: Path
    process: subprocess.Popen[str] | Fork
    log: Path
    announced: dict[str, Any]
    database_url: str

    @property
    def url(self) -> str:
        return str(self.announced["url"])

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command on the server's database."""
        return {"RIGHTSMANAGER_DATABASE_URL": self.database_url}

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        pid = self.process.pid
        return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def all_workers(self, count: int) -> list[int]:
        """Return the process ids of its workers once there are this many.

        A server prints its URL before it has started all of them.
        """
        deadline = time.monotonic() + REPLY_SECONDS
        while len(self.workers()) < count:
            assert time.monotonic() < deadline, f"{self.workers()} are not {count} workers"
            assert self.call("GET", "/").status == 200
        return self.workers()

    def call(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send one request; a header's underscores stand for hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REPLY_SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, named)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def post(self, body: bytes, target: str = "/rightsmanager.asmx", **headers: str) -> Answer:
        return self.call("POST", target, body, **headers)

    def issued(self) -> list[IssuedLicense]:
        """Return the licences in its database."""
        store = open_store(self.database_url)
        try:
            with store.reading() as found:
                return found.licenses.find_all()
        finally:
            store.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Return the exit status after a signal to the server's own process."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return the exit status; a server that does not end is killed with its workers."""
        try:
            return self.process.wait(REPLY_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()


Start = Callable[..., Server]
"""Starts a server on a data folder with extra arguments and, by keyword, environment."""


@dataclass
class Databases:
    """The database of each data folder: SQLite in it, or one of PostgreSQL without rows."""

    postgresql: Emptied | None
    urls: dict[Path, str] = field(default_factory=dict)

    def url(self, data: Path) -> str:
        if self.postgresql is None:
            return f"sqlite:///{data / 'rightsmanager.db'}"
        if data not in self.urls:
            # Migrations would take longer than the start of a server.
            server = self.postgresql.server
            self.urls[data] = server.url(server.create_database(self.postgresql.template))
        return self.urls[data]

    def remove(self, folder: Path) -> None:
        """Remove the databases of PostgreSQL whose data folder is below a folder."""
        for data in [each for each in self.urls if each.is_relative_to(folder)]:
            url = self.urls.pop(data)
            if self.postgresql is not None:
                self.postgresql.remove(url)

    def environment(self, data: Path) -> dict[str, str]:
        """Return the environment of a process over a data folder."""
        return {} if self.postgresql is None else {"RIGHTSMANAGER_DATABASE_URL": self.url(data)}


@pytest.fixture(scope="session", params=KINDS)
def databases(request: pytest.FixtureRequest) -> Databases:
    """Yield the databases of servers; tests that start one run once for each kind."""
    is_sqlite = request.param == "sqlite"
    return Databases(None if is_sqlite else request.getfixturevalue("_postgresql_databases"))


Spawn = Callable[[tuple[str, ...], int, dict[str, str]], "subprocess.Popen[str] | Fork"]
"""Starts a process with arguments, a descriptor for standard error, and an environment."""


def spawn_program(
    arguments: tuple[str, ...], log: int, environment: dict[str, str]
) -> "subprocess.Popen[str]":
    """Start the program as a user does."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
        start_new_session=True,
    )


def start_server(spawn: Spawn, url: str, data: Path, *arguments: str, **environment: str) -> Server:
    """Start a server and wait until it has printed its URL."""
    log = data.with_name(f"{data.name}.{time.monotonic_ns()}.log")
    given = ("serve", "--data", str(data), "--bind", "127.0.0.1:0", "--json", *arguments)
    with log.open("wb") as stream:
        process = spawn(given, stream.fileno(), {**os.environ, **_UNPINNED, **environment})
    server = Server(data, process, log, {}, url)
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        answered = selector.select(REPLY_SECONDS)
    line = process.stdout.readline() if answered else ""
    if not line:
        server.stop()
        raise AssertionError(log.read_text())
    server.announced = json.loads(line)
    return server


@dataclass
class Servers:
    """Starts servers, and ends them; each one that still runs must end well."""

    databases: Databases
    spawn: Spawn
    started: list[Server] = field(default_factory=list)

    def start(self, data: Path, *arguments: str, **environment: str) -> Server:
        """Start a server on a data folder."""
        with_database = {**self.databases.environment(data), **environment}
        url = self.databases.url(data)
        self.started.append(start_server(self.spawn, url, data, *arguments, **with_database))
        return self.started[-1]

    def end_all(self) -> None:
        """End all servers."""
        for server in list(self.started):
            self.end(server.data)

    def end(self, folder: Path) -> None:
        """End the servers whose data are below a folder."""
        ending = [server for server in self.started if server.data.is_relative_to(folder)]
        self.started = [server for server in self.started if server not in ending]
        running = [server for server in ending if server.process.poll() is None]
        for server in running:
            server.process.send_signal(signal.SIGTERM)
        assert [server.wait() for server in running] == [0] * len(running)
        assert [server.log for server in ending if "Traceback" in server.log.read_text()] == []
        self.databases.remove(folder)


def spawn_fork(forks: Forks) -> Spawn:
    """Return a function that forks the program from a process with all imports."""

    def spawn(arguments: tuple[str, ...], log: int, environment: dict[str, str]) -> Fork:
        return forks.start(NAME, *arguments, stderr=log, environment=environment)

    return spawn


@pytest.fixture(scope="module")
def _servers(databases: Databases, forks: Forks) -> Iterator[Servers]:
    servers = Servers(databases, spawn_fork(forks))
    yield servers
    servers.end_all()


@pytest.fixture(scope="module")
def _programs(databases: Databases) -> Iterator[Servers]:
    servers = Servers(databases, spawn_program)
    yield servers
    servers.end_all()


@pytest.fixture(scope="module")
def start(_servers: Servers) -> Start:
    """Return a function that starts servers, forked from a process with all imports."""
    return _servers.start


@pytest.fixture(scope="module")
def start_program(_programs: Servers) -> Start:
    """Return a function that starts servers as a user does, for tests of that."""
    return _programs.start


@pytest.fixture(autouse=True)
def _end_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the servers of a test before its folder is removed; others end with their module."""
    if {"start", "start_program"}.isdisjoint(request.fixturenames):
        yield
        return
    folder: Path = request.getfixturevalue("tmp_path")
    yield
    for name in {"_servers", "_programs"} & set(request.fixturenames):
        servers: Servers = request.getfixturevalue(name)
        servers.end(folder)


@pytest.fixture(scope="session")
def server(
    databases: Databases, forks: Forks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with two workers and its own test PKI."""
    folder = tmp_path_factory.mktemp("server")
    servers = Servers(databases, spawn_fork(forks))
    yield servers.start(folder / "data", "--workers", "2")
    servers.end(folder)


@dataclass(frozen=True)
class Client:
    """A simulated device in this process."""

    opening: LicenseOpener
    server: ServerKeys

    @property
    def device(self) -> Device:
        return self.opening.device

    def acquire(
        self, url: str, header: Header, custom_data: str | None = None, post: Post = post
    ) -> Acquired:
        return acquire(url, Wanted(header, custom_data), self.reaching(post))

    def reaching(self, post: Post = post) -> ServerClient:
        return ServerClient(self.opening, self.server, int(time.time()), system_random, post)

    def challenge(self, header: Header, /, **changes: Any) -> bytes:  # noqa: ANN401 -- fields of LicenseRequest
        """Return the body of a challenge with some fields changed."""
        parts: dict[str, Any] = {
            "header": canonical_header(header),
            "version": LICENSE_VERSIONS[header.version],
            "nonce": system_random(16),
            "client_time": int(time.time()),
            "client_version": "10.0.16384.10011",
            "chain": self.device.chain.raw,
        }
        return seal_license_challenge(
            LicenseRequest(**{**parts, **changes}),
            self.device.signing_key,
            self.server.wmrmserver,
            self.opening.backend,
            system_random,
        )


Enrol = Callable[..., Client]
"""Makes a client of the server in a data folder, optionally of another security level."""


@pytest.fixture(scope="session")
def enrol() -> Enrol:
    def one(data: Path, security_level: int = DEFAULT_LEVEL) -> Client:
        files = KeyFiles(data, None)
        made = certify_device(files, system_random, security_level=security_level)
        server = load_server_keys(data / "public")
        device = Device(made.chain, made.signing_key, made.encryption_key)
        return Client(
            LicenseOpener(device, ChainVerifier((server.root,)), choose_backend()), server
        )

    return one


@pytest.fixture(scope="session")
def client(server: Server, enrol: Enrol) -> Client:
    return enrol(server.data)


HeaderOf = Callable[..., Header]
"""Makes a header for KIDs in base64, with a version and an ALGID."""


@pytest.fixture(scope="session")
def header_of() -> HeaderOf:
    def make(*kids: str, version: str = "4.0.0.0", algid: str = "AESCTR") -> Header:
        entries = tuple(HeaderKid(Kid.from_base64(kid), Algid(algid)) for kid in kids)
        return Header(Version(version), entries)

    return make


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    status: int
    output: str
    errors: str
    json: Any = field(default=None)


Command = Callable[..., Ran]
"""Runs a command, with environment by keyword."""


def _ran(arguments: tuple[str, ...], status: int, output: str, errors: str) -> Ran:
    # A failure is JSON too; wrong usage is not.
    facts = json.loads(output) if "--json" in arguments and output else None
    return Ran(status, output, errors, facts)


def _environment(databases: Databases, arguments: tuple[str, ...]) -> dict[str, str]:
    if "--data" not in arguments:
        return {}
    return databases.environment(Path(arguments[arguments.index("--data") + 1]))


@pytest.fixture(scope="session")
def program(databases: Databases, forks: Forks) -> Command:
    """Return a function that runs a command as a process of its own."""

    def run(*arguments: str, **environment: str) -> Ran:
        named = {**os.environ, **_environment(databases, arguments), **environment}
        with tempfile.TemporaryFile("w+") as errors:
            ran = forks.start(NAME, *arguments, stderr=errors.fileno(), environment=named)
            output = ran.communicate()
            errors.seek(0)
            return _ran(arguments, ran.wait(), output, errors.read())

    return run


@pytest.fixture(scope="session")
def command(databases: Databases) -> Command:
    """Return a function that runs a command in this process, which costs no imports."""

    def run(*arguments: str, **environment: str) -> Ran:
        named = {**_environment(databases, arguments), **environment}
        with (
            CliRunner().isolation(env=named) as (output, errors, _),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "argv", ["rightsmanager", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        printed = output.getvalue().decode(), errors.getvalue().decode()
        return _ran(arguments, int(ended.value.code or 0), *printed)

    return run
