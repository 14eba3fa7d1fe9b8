"""A server with something on every page of its console: devices, keys, reports and refusals."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device import Device, LicenseOpener
from rightsmanager.device.identity import load_server_keys
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.wire import NEVER, Kid
from tests.e2e.conftest import Client
from tests.e2e.devices import CommandedDevice, make_device

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Server

PROGRAMS: Final = ("news", "football", "<script>alert(1)</script>")
QUERIES: Final = {
    "level": ("cfg=(sl:3000)", "needs security level 3000"),
    "parameter": ("cfg=(persit:true)", "the nearest known name is persist"),
}
"""Queries that are refused, with a part of the reason."""
MARKUP: Final = "<img src=x onerror=alert(1)>"
"""A name that a page must show as text."""


def run(*arguments: str) -> str:
    """Return the output of a command; raises its exception."""
    ran = CliRunner().invoke(rightsmanager, arguments)
    if ran.exception is not None:
        raise AssertionError(ran.output) from ran.exception
    return ran.output


def new_kid() -> str:
    """Return a random KID, as a GUID."""
    return Kid(secrets.token_bytes(16)).text


@dataclass(frozen=True)
class Seeded:
    """The things that were made."""

    server: Server
    tv: CommandedDevice
    phone: CommandedDevice
    account: str
    kids: tuple[str, ...]
    key: str
    """The content key of the first KID, in hexadecimal digits."""

    @property
    def url(self) -> str:
        """The server's URL."""
        return self.server.url

    @property
    def origin(self) -> str:
        """Scheme, host and port of the server."""
        return self.url.rpartition("/")[0]

    def fail(self, case: str) -> str:
        """Send a request that fails, and return a part of its refusal's text."""
        if case in QUERIES:
            query, reason = QUERIES[case]
            self.tv.invoke("acquire", "--url", f"{self.url}?{query}", "--kid", self.kids[0])
            return reason
        expiry = int(time.time()) - 60 if case == "expired" else NEVER
        body = _challenge(self.server, expiry, self.kids[0])
        # The digest covers the client's time.
        sent = body.replace(b"<ClientTime>1", b"<ClientTime>2") if case == "digest" else body
        self.server.post(sent, Content_Type="text/xml", SOAPAction='"AcquireLicense"')
        return "expired at" if case == "expired" else "DigestValue is not the SHA-256"


def _challenge(server: Server, expiry: int, kid: str) -> bytes:
    """Return the challenge of a new device whose certificate ends then."""
    made = certify_device(KeyFiles(server.data, None), system_random, expiry=expiry)
    keys = load_server_keys(server.data / "public")
    device = Device(made.chain, made.signing_key, made.encryption_key)
    opener = LicenseOpener(device, ChainVerifier((keys.root,)), choose_backend())
    header = Header(Version.V4_3, (HeaderKid(Kid.parse(kid), None),))
    return Client(opener, keys).challenge(header)


def seed(server: Server, folder: Path) -> Seeded:
    """Return a server's devices after they have used each operation."""
    data = str(server.data)
    tv, phone = make_device(server.data, folder / "tv"), make_device(server.data, folder / "phone")
    account = run("domain", "create", "--data", data, "--name", f"Family {MARKUP}", "--json")
    kids = tuple(new_kid() for _ in range(4))
    seeded = Seeded(server, tv, phone, account_of(account), kids, secrets.token_hex(16))
    _add_keys(seeded, data)
    _make_tokens(data)
    _acquire(seeded)
    _report(seeded)
    _refuse(seeded)
    return seeded


def account_of(text: str) -> str:
    """Return the account in the output of `domain create --json`."""
    found = text.partition('"account_id": "')[2].partition('"')[0]
    assert found, text
    return found


def _add_keys(seeded: Seeded, data: str) -> None:
    for kid, program in zip(seeded.kids, PROGRAMS, strict=False):
        key = seeded.key if kid == seeded.kids[0] else secrets.token_hex(16)
        run("content", "add", "--data", data, kid, key, "--program", f"{program} {kid[:4]}")
    run("packager", "--url", seeded.url, "weather", "--interval", "PT1H")


def _make_tokens(data: str) -> None:
    run("token", "create", "--data", data, f"Monitoring {MARKUP}", "--lifetime", "90d")
    run("token", "create", "--data", data, "Nightly import", "--role", "operate")
    run("token", "revoke", "--data", data, "Nightly import")


def _acquire(seeded: Seeded) -> None:
    url, (first, second, third, fourth) = seeded.url, seeded.kids
    seeded.tv.run("acquire", "--url", f"{url}?cfg=(sl:2000,maxres:1920x1080)", "--kid", first)
    seeded.tv.run("acquire", "--url", f"{url}?cfg=(persist:true)", "--kid", second)
    seeded.tv.run("acquire", "--url", f"{url}?cfg=(securestop:true)", "--kid", third)
    seeded.phone.run("acquire", "--url", url, "--kid", fourth)
    for device, name in ((seeded.tv, f"Living room {MARKUP}"), (seeded.phone, "Phone")):
        device.run("join", "--url", url, "--account", seeded.account, "--friendly-name", name)
    seeded.phone.run(
        "acquire",
        *("--url", f"{url}?cfg=(accountid:{seeded.account})", "--account", seeded.account),
        *("--kid", first),
    )


def _report(seeded: Seeded) -> None:
    mid = run("keys", "--data", str(seeded.server.data), "--json")
    metering_id = mid.partition('"metering_id": "')[2].partition('"')[0]
    assert metering_id, mid
    url = f"{seeded.url}?cfg=(persist:true,mid:{metering_id})"
    for kid, times in zip(seeded.kids, ("5", "3", "2", "1"), strict=True):
        seeded.tv.run("play", "--url", url, "--times", times, kid)
    seeded.tv.run("meter", "--url", seeded.url)
    seeded.phone.run("play", "--url", f"{seeded.url}?cfg=(securestop:true)", seeded.kids[3])
    seeded.phone.run("stop", "--url", seeded.url)
    seeded.tv.run("delete", "--url", seeded.url, seeded.kids[3])


def _refuse(seeded: Seeded) -> None:
    kid, url = seeded.kids[0], seeded.url
    for case in ("level", "parameter", "digest", "expired"):
        seeded.fail(case)
    seeded.tv.invoke("acquire", "--url", f"{url}?cfg=(errorcode:0x8004c065)", "--kid", kid)
    custom_data = f'{MARKUP}<script>alert("CustomData")</script>'
    seeded.tv.invoke("acquire", "--url", url, "--custom-data", custom_data, "--kid", kid)
    digest = b64encode(secrets.token_bytes(32)).decode()
    run("revoke", "--data", str(seeded.server.data), digest)
