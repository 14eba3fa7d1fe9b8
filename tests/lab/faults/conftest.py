"""A server with faults in this process, and devices that ask it."""

from __future__ import annotations

import io
import secrets
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.cli.serve import prepare
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device import Acquired, Device, LicenseOpener, ServerClient, Wanted, acquire
from rightsmanager.device.acquire import license_challenge
from rightsmanager.device.identity import ServerKeys, load_server_keys
from rightsmanager.hooks.exchange import INJECTED
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.lab.faults.counts import FILE as COUNTS_FILE
from rightsmanager.lab.faults.fault import Fault, parse_fault
from rightsmanager.lab.routing import WorldRouter
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid
from rightsmanager.server import Runtime, Server
from rightsmanager.settings_loading import load
from rightsmanager.worlds import BuiltWorld
from tests.building import built as serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.lab.faults.injection import Injector
from rightsmanager.lab.faults.operating import REPLIES_FOLDER

URL = "http://127.0.0.1:8080/rightsmanager.asmx"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class World:
    """A server whose faults are a list."""

    server: Server
    injector: Injector
    data: Path
    faults: list[Fault] = field(default_factory=list)
    injected: list[str] = field(default_factory=list)
    """The mark of each request."""
    query: str = ""

    def inject(self, kind: str, *, script: str = "", **fields: Any) -> Fault:  # noqa: ANN401 -- JSON
        now = self.server.context.clock()
        fault = parse_fault({"kind": kind, **fields}, secrets.token_hex(8), now, script)
        self.faults.append(fault)
        return fault

    def used(self, fault: Fault) -> int:
        return self.injector.counts.used().get(fault.id, 0)

    def environ(self, action: str, body: bytes) -> dict[str, Any]:
        """Return the environment of a request."""
        return {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/rightsmanager.asmx",
            "QUERY_STRING": self.query,
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8080",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "CONTENT_TYPE": "text/xml; charset=utf-8",
            "HTTP_SOAPACTION": f'"{action}"',
            "CONTENT_LENGTH": str(len(body)),
        }

    def ask(self, action: str, body: bytes, **environ: Any) -> Answer:  # noqa: ANN401 -- WSGI
        sent = {**self.environ(action, body), **environ}
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        try:
            pieces = self.injector.serve(
                self.faults, self.server.wsgi, sent, lambda *given: begun.append(given[:2])
            )
            try:
                body = b"".join(pieces)
            finally:
                getattr(pieces, "close", lambda: None)()
        finally:
            self.injected.append(sent.get(INJECTED, ""))
        status, headers = begun[-1]
        return Answer(int(status[:3]), dict(headers), body)

    def post(self, _url: str, action: str, body: bytes) -> bytes:
        return self.ask(action, body).body


@dataclass(frozen=True)
class Asker:
    """A device that asks a world."""

    world: World
    opening: LicenseOpener
    keys: ServerKeys

    @property
    def client(self) -> ServerClient:
        now = self.world.server.context.clock()
        return ServerClient(self.opening, self.keys, now, system_random, self.world.post)

    def challenge(self, *kids: Kid) -> bytes:
        """Return the body of a request for licences."""
        wanted = Wanted(header_of(*(kids or (new_kid(),))))
        return license_challenge(wanted, system_random(16), self.client)

    def acquire(self, *kids: Kid, header: Header | None = None) -> Acquired:
        return acquire(URL, Wanted(header or header_of(*kids)), self.client)


def header_of(*kids: Kid) -> Header:
    version = Version.V4_0 if len(kids) == 1 else Version.V4_2
    return Header(version, tuple(HeaderKid(kid, Algid.AESCTR) for kid in kids))


def new_kid() -> Kid:
    return Kid(secrets.token_bytes(16))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = load(None, data=tmp_path_factory.mktemp("faults") / "data", lab={"enabled": True})
    prepare(settings)
    with serving(settings, Runtime(is_loopback=True)) as server:
        router = server.wsgi
        assert isinstance(router, WorldRouter)
        router.worlds.ensure("faults")
        with router.worlds.opened.using("faults") as opened:
            made = opened.server
            assert isinstance(made, BuiltWorld)
            yield World(made.server, made.injector, settings.data)
        router.worlds.opened.retire(opened)
        router.worlds.opened.close_retired()
        made.writer.close()


@pytest.fixture
def world(built: World) -> World:
    """The server, without faults."""
    folder = built.injector.folder
    (folder / COUNTS_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / REPLIES_FOLDER, ignore_errors=True)
    return replace(built, faults=[], injected=[], query="")


@pytest.fixture
def device(world: World) -> Asker:
    made = certify_device(KeyFiles(world.data, None), system_random)
    keys = load_server_keys(world.data / "public")
    opener = LicenseOpener(
        Device(made.chain, made.signing_key, made.encryption_key),
        ChainVerifier((keys.root,)),
        choose_backend(),
    )
    return Asker(world, opener, keys)
