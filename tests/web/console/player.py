"""A player that talks to a server in this process, and the entries that it leaves behind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device import Device, LicenseOpener, ServerClient, Wanted, acquire
from rightsmanager.device.identity import load_server_keys
from rightsmanager.errors import Refusal
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.wire import NEVER, Kid
from rightsmanager.store.journal.entries import Filter
from rightsmanager.web.repeating import answer_here

if TYPE_CHECKING:
    from pathlib import Path

    from rightsmanager.server import Server
    from rightsmanager.store.journal.entries import Entry

URL = "http://127.0.0.1/rightsmanager.asmx"
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Player:
    """A device of the server's own PKI."""

    server: Server
    client: ServerClient
    address: str
    """Of this player alone."""

    @property
    def device(self) -> str:
        return self.client.opening.device.chain.leaf.device_id

    def acquire(self, query: str = "", custom_data: str | None = None) -> Kid:
        """Ask for a licence for a new KID, which is returned; a refusal raises nothing."""
        kid = Kid(system_random(16))
        header = Header(Version.V4_3, (HeaderKid(kid, None),))
        try:
            acquire(f"{URL}{query}", Wanted(header, custom_data), self.client)
        except Refusal:
            return kid
        return kid

    def entry(self) -> Entry:
        """Return the journal's entry of its newest request."""
        return find_entry(self.server, text=self.address)


def find_entry(server: Server, **wanted: Any) -> Entry:  # noqa: ANN401 -- fields of Filter
    """Return the newest entry that a filter lets through, once there is one."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = server.journal.find(Filter(**wanted)).entries
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("the journal has no such entry")


def make_player(
    server: Server, data: Path, now: int, *, expiry: int = NEVER, tampers: bool = False
) -> Player:
    """Return a player; `tampers` changes a character of each challenge."""
    made = certify_device(KeyFiles(data, None), system_random, expiry=expiry)
    keys = load_server_keys(data / "public")
    device = Device(made.chain, made.signing_key, made.encryption_key)
    opening = LicenseOpener(device, ChainVerifier((keys.root,)), choose_backend())
    address = "198.18." + ".".join(map(str, system_random(2)))
    send = answer_here(server.wsgi, address)

    def post(url: str, action: str, body: bytes) -> bytes:
        # The client's time is covered by the digest.
        sent = body.replace(b"<ClientTime>1", b"<ClientTime>2") if tampers else body
        return send(url, {"SOAPAction": f'"{action}"', "Content-Type": "text/xml"}, sent)

    return Player(server, ServerClient(opening, keys, now, system_random, post), address)
