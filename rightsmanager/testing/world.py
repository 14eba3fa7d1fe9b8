"""A world: a server of its own, with its clock, faults, journal and simulated devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from rightsmanager.crypto.random import Rng, seeded_random, system_random
from rightsmanager.device.identity import Device as Identity
from rightsmanager.device.identity import load_server_keys, save_device
from rightsmanager.device.session import open_device
from rightsmanager.errors import InternalError
from rightsmanager.keyring import ClientModel, certify_device
from rightsmanager.keyring.certification import DEFAULT_FEATURES, DEFAULT_LEVEL
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import Feature
from rightsmanager.protocol.wire import NEVER
from rightsmanager.testing.clock import Clock
from rightsmanager.testing.control import (
    API,
    Control,
    ControlFailed,
    Facts,
    connect,
    given,
    segment,
)
from rightsmanager.testing.devices import Device, DeviceTime
from rightsmanager.testing.faults import Faults
from rightsmanager.testing.home import Home
from rightsmanager.testing.journal import Journal
from rightsmanager.testing.management import Content, Domains, Metering

WORLDS: Final = f"{API}/worlds"
Pki = Literal["shared", "own"]


@dataclass(frozen=True, slots=True)
class World:
    """A world of a server; use it in a `with` statement, or `delete` it."""

    control: Control = field(repr=False)
    name: str
    url: str
    """Of its rightsmanager.asmx; a query may follow."""
    pki: Pki = "shared"
    seed: int | None = None
    home: Home = field(default_factory=lambda: Home(None), repr=False)

    @property
    def path(self) -> str:
        """The world's path in the control API."""
        return f"{WORLDS}/{segment(self.name)}"

    @property
    def api(self) -> str:
        """The path of the world's management API."""
        return f"/w/{segment(self.name)}{API}"

    @property
    def clock(self) -> Clock:
        """Its clock."""
        return Clock(self.control, f"{self.path}/clock")

    @property
    def faults(self) -> Faults:
        """Its faults."""
        return Faults(self.control, self.path)

    @property
    def journal(self) -> Journal:
        """The requests that it saw."""
        return Journal(self.control, self.path, self.api)

    @property
    def content(self) -> Content:
        """Its content keys."""
        return Content(self.control, self.api)

    @property
    def metering(self) -> Metering:
        """Its metering ids and usage."""
        return Metering(self.control, self.api)

    @property
    def domains(self) -> Domains:
        """Its accounts."""
        return Domains(self.control, self.api)

    def licenses(self, **filters: object) -> tuple[Facts, ...]:
        """Return the licences that it issued, newest first, by `device` or `kid`."""
        return self.control.get_all(f"{self.api}/licenses", "licenses", **filters)

    def sessions(self, **filters: object) -> tuple[Facts, ...]:
        """Return the playback sessions under secure stop, by `device` or `kid`."""
        return self.control.get_all(f"{self.api}/sessions", "sessions", **filters)

    def streams(self, **filters: object) -> tuple[Facts, ...]:
        """Return the open streams, by `account`, `user`, `device` or `kid`."""
        return self.control.get_all(f"{self.api}/streams", "streams", **filters)

    def revocations(self) -> Facts:
        """Return its revocation lists, and the certificates on them."""
        found: Facts = self.control.get(f"{self.api}/revocations")
        return found

    def revoke(self, digest: bytes, list_name: str = "device") -> Facts:
        """Put a certificate, by its digest of 32 bytes, on a list: `device`, `pc`, `application`.

        `Device.digest` is that of a device's certificate.
        """
        body = {"digest": digest.hex(), "list": list_name}
        revoked: Facts = self.control.post(f"{self.api}/revocations", body)
        return revoked

    def device(  # noqa: PLR0913 -- the contents of a certificate
        self,
        *,
        security_level: int = DEFAULT_LEVEL,
        features: Sequence[Feature] = DEFAULT_FEATURES,
        expiry: int = NEVER,
        manufacturer: str = ClientModel().manufacturer,
        model_name: str = ClientModel().model_name,
        model_number: str = ClientModel().model_number,
        platform: int | None = None,
    ) -> Device:
        """Return a new simulated device, whose certificate has these contents.

        Raises InternalError unless the server's data folder is known.
        """
        if self.home.data is None:
            raise InternalError(
                f"world {self.name} has no data folder to certify devices with; open one of your "
                "own by open_device"
            )
        folder = self.home.next_folder()
        rng = self._rng(folder.name)
        files = KeyFiles(self._key_folder(self.home.data), self.home.passphrase)
        made = certify_device(
            files,
            rng,
            security_level=security_level,
            features=features,
            expiry=expiry,
            model=ClientModel(manufacturer, model_name, model_number, platform),
        )
        identity = Identity(made.chain, made.signing_key, made.encryption_key)
        save_device(folder, identity, load_server_keys(files.public))
        return self.open_device(folder, rng)

    def _key_folder(self, data: Path) -> Path:
        if self.pki == "shared":
            return data
        # A world makes its keys when it is used first.
        self.control.get(f"{self.api}/certificates")
        return data / "worlds" / self.name

    def open_device(self, folder: Path | str, rng: Rng = system_random) -> Device:
        """Return the device of a folder, which goes by the world's clock."""
        time = DeviceTime(lambda: int(self.clock.now.timestamp()))
        session = open_device(folder, rng=rng, clock=time)
        return self.home.opened(Device(session, self.url, time, self.domains))

    def _rng(self, number: str) -> Rng:
        if self.seed is None:
            return system_random
        return seeded_random(f"device {number} of seed {self.seed}".encode())

    def reset(self, *parts: str) -> None:
        """Remove everything, or the parts that are named, such as `journal` and `clock`."""
        self.control.post(f"{self.path}/reset", {"parts": list(parts)} if parts else {})

    def snapshot(self, name: str) -> None:
        """Keep its present state under a name."""
        self.control.post(f"{self.path}/snapshots", {"name": name})

    def restore(self, name: str) -> None:
        """Return to a kept state."""
        self.control.post(f"{self.path}/snapshots/{segment(name)}/restore")

    def close(self) -> None:
        """Close the devices and remove their folders; the world stays."""
        self.home.close()

    def delete(self) -> None:
        """Close the devices and delete the world."""
        try:
            self.control.delete(self.path)
        except ControlFailed as error:
            # It may have ended by itself.
            if error.code != "not-found":
                raise
        finally:
            self.close()

    def __enter__(self) -> Self:
        """Return the world itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Delete the world."""
        self.delete()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a new world; None for the server's defaults."""

    seed: int | None = None
    clock: Mapping[str, object] | None = None
    """As `PUT …/clock` takes it, such as `{"now": "2031-01-01T00:00:00Z", "freeze": True}`."""
    pki: Pki = "shared"
    settings: Mapping[str, Mapping[str, object]] | None = None
    """Settings to override, by section, such as `{"domain": {"max_members": 2}}`."""
    expires_after_seconds: int | None = None

    def json(self) -> dict[str, object]:
        """Return the body of a request that creates the world."""
        return given(
            {
                "seed": self.seed,
                "clock": self.clock,
                "pki": self.pki,
                "settings": self.settings,
                "expires_after_seconds": self.expires_after_seconds,
            }
        )


def create_world(control: Control, name: str | None, options: Options, home: Home) -> World:
    """Create a world; without a name the server makes one up. Raises ControlFailed."""
    named = {} if name is None else {"name": name}
    facts = control.post(WORLDS, {**named, **options.json()})
    return _world(control, facts, home)


def connect_world(url: str, name: str, *, token: str | None = None) -> World:
    """Return the world of a running server at a URL, created if it does not exist."""
    parts = urlsplit(url)
    if not parts.netloc:
        raise InternalError(f"the URL {url!r} names no server")
    send, home = connect(url, token), Home(None)
    control = Control(send)
    home.at_close(send.close)
    path = f"{WORLDS}/{segment(name)}"
    try:
        facts = control.get(path)
    except ControlFailed as error:
        if error.code != "not-found":
            raise
        facts = control.post(WORLDS, {"name": name})
    return _world(control, facts, home)


def _world(control: Control, facts: Facts, home: Home) -> World:
    return World(control, facts["name"], facts["url"], facts["pki"], facts["seed"], home)
