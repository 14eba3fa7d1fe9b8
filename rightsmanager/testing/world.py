"""A world: a server of its own, with its clock, faults, journal and simulated devices."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
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
from rightsmanager.testing.control import API, Control, ControlFailed, connect, segment
from rightsmanager.testing.devices import Device, DeviceTime
from rightsmanager.testing.journal import Journal

WORLDS: Final = f"{API}/worlds"
Pki = Literal["shared", "own"]
Facts = Mapping[str, Any]
"""JSON of the control API or of the management API, under the names of their documentation."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of a world's clock."""

    now: datetime
    frozen: bool
    offset_seconds: float
    drift: float
    """Seconds for each second."""

    @classmethod
    def of(cls, facts: Facts) -> Self:
        """Return the state that JSON describes."""
        now = datetime.fromisoformat(str(facts["now"]))
        return cls(now, facts["frozen"], facts["offset_seconds"], facts["drift"])


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of a world; its server and its devices go by it."""

    control: Control = field(repr=False)
    path: str

    def read(self) -> Moment:
        """Return its state."""
        return Moment.of(self.control.get(self.path))

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return self.read().now

    def advance(self, seconds: float | str) -> Moment:
        """Move it forward by seconds, or by an ISO 8601 duration such as `P30D`."""
        return self._put(advance=seconds)

    def freeze(self, at: datetime | str | None = None) -> Moment:
        """Stop it, at a time if one is given."""
        return self._put(freeze=True) if at is None else self._put(now=_time(at), freeze=True)

    def unfreeze(self) -> Moment:
        """Let it run again."""
        return self._put(freeze=False)

    def set(self, at: datetime | str) -> Moment:
        """Set it to a time; it runs on unless it is frozen."""
        return self._put(now=_time(at))

    def offset(self, seconds: float) -> Moment:
        """Let it differ from the machine's clock by seconds."""
        return self._put(offset=seconds)

    def drift(self, rate: float) -> Moment:
        """Let it run at a rate, in seconds for each second."""
        return self._put(drift=rate)

    def _put(self, **change: object) -> Moment:
        return Moment.of(self.control.put(self.path, change))


def _time(at: datetime | str) -> str:
    if isinstance(at, str):
        return at
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that a world injects into its replies; docs/faults.md lists the kinds."""

    control: Control = field(repr=False)
    path: str
    """Of the world."""

    def add(self, kind: str, *, operation: str | None = None, **options: object) -> Facts:
        """Add a fault of a kind, such as `status`, and return it with its `id`.

        options: `count`, `device`, `kid`, `nth`, `rate`, `seed`, `seconds`, and the kind's own.
        """
        given = {"kind": kind, "operation": operation, **options}
        body = {name: value for name, value in given.items() if value is not None}
        added: Facts = self.control.post(f"{self.path}/faults", body)
        return added

    def answer(self, *answers: Facts) -> None:
        """Answer the next requests by these, one after the other, each once."""
        self.control.post(f"{self.path}/answers", list(answers))

    def list(self) -> tuple[Facts, ...]:
        """Return the faults and how often each was used."""
        return tuple(self.control.get(f"{self.path}/faults")["faults"])

    def remove(self, fault: Facts | str) -> None:
        """Remove a fault, given itself or its id."""
        number = fault if isinstance(fault, str) else fault["id"]
        self.control.delete(f"{self.path}/faults/{segment(str(number))}")

    def clear(self) -> None:
        """Remove all faults."""
        self.control.delete(f"{self.path}/faults")


@dataclass(frozen=True, slots=True)
class Content:
    """The content keys of a world; KIDs without one get a key from the key seed."""

    control: Control = field(repr=False)
    api: str

    def add(self, kid: str, key: bytes | str, **options: object) -> Facts:
        """Store a content key, 16 bytes, 32 hexadecimal digits or base64, for a KID.

        options: `type` (`aesctr` or `aescbc`), `program` and `period`.
        """
        text = key.hex() if isinstance(key, bytes) else key
        body = {"kid": kid, "key": text, **options}
        added: Facts = self.control.post(f"{self.api}/content-keys", body)
        return added

    def list(self, **filters: object) -> tuple[Facts, ...]:
        """Return the stored keys without their values, by `program`, `origin` or `type`."""
        return _all_pages(self.control, f"{self.api}/content-keys", "content_keys", filters)

    def remove(self, kid: str) -> None:
        """Remove a content key."""
        self.control.delete(f"{self.api}/content-keys/{segment(kid)}")


@dataclass(frozen=True, slots=True)
class Metering:
    """The metering ids of a world, and the usage that devices reported."""

    control: Control = field(repr=False)
    api: str

    @property
    def mid(self) -> str:
        """The GUID of the server's own metering id."""
        return str(self.ids()[0]["mid"])

    def ids(self) -> tuple[Facts, ...]:
        """Return the metering ids, the server's own first."""
        return tuple(self.control.get(f"{self.api}/metering/ids")["metering_ids"])

    def create(self, name: str = "", **options: object) -> Facts:
        """Create a metering id with its own certificate."""
        made: Facts = self.control.post(f"{self.api}/metering/ids", {"name": name, **options})
        return made

    def usage(self, mid: str | None = None, by: str = "kid") -> Mapping[str, int]:
        """Return the sum of reported counts, by `kid`, `action`, `day` or `device`."""
        # All days: a world's clock may be at any time.
        days = {"from": "1970-01-01", "to": "2106-02-07"}
        found = self.control.get(f"{self.api}/metering/usage", mid=mid, by=by, **days)
        counts: dict[str, int] = {}
        for each in found["totals"]:
            group = str(each["group"] or each["action"])
            counts[group] = counts.get(group, 0) + each["value"]
        return counts


@dataclass(frozen=True, slots=True)
class Domains:
    """The accounts of a world, each with its domain and members."""

    control: Control = field(repr=False)
    api: str

    def create(self, account: str | None = None, **options: object) -> Facts:
        """Create an account and return it; without an id it gets a random one.

        options: `friendly_name`, `url` and `limit`.
        """
        given = {"account_id": account, **options}
        body = {name: value for name, value in given.items() if value is not None}
        made: Facts = self.control.post(f"{self.api}/domains", body)
        return made

    def list(self) -> tuple[Facts, ...]:
        """Return the accounts."""
        return _all_pages(self.control, f"{self.api}/domains", "accounts", {})

    def show(self, account: str) -> Facts:
        """Return an account with its revisions and devices."""
        found: Facts = self.control.get(f"{self.api}/domains/{segment(account)}")
        return found

    def change(self, account: str, **options: object) -> Facts:
        """Change `friendly_name`, `url`, `limit` or `closed`."""
        changed: Facts = self.control.patch(f"{self.api}/domains/{segment(account)}", options)
        return changed

    def renew(self, account: str) -> Facts:
        """Create the next revision of a domain."""
        renewed: Facts = self.control.post(f"{self.api}/domains/{segment(account)}/renew")
        return renewed

    def remove(self, account: str, device: str) -> Facts:
        """Remove a member, by its device id, and renew the domain."""
        path = f"{self.api}/domains/{segment(account)}/members/{_url_base64(device)}"
        removed: Facts = self.control.delete(path)
        return removed


def _url_base64(device: str) -> str:
    return device.replace("+", "-").replace("/", "_").rstrip("=")


def _all_pages(
    control: Control, path: str, name: str, filters: Mapping[str, object]
) -> tuple[Facts, ...]:
    found: list[Facts] = []
    after = None
    while True:
        page = control.get(path, limit=1000, after=after, **filters)
        found += page[name]
        after = page["next"]
        if after is None:
            return tuple(found)


@dataclass(frozen=True, slots=True)
class Home:
    """The folders that a world's devices need."""

    data: Path | None
    """The server's data folder, for certificates; None if it is elsewhere."""
    passphrase: bytes | None = field(default=None, repr=False)
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)
    _made: list[Path] = field(default_factory=list, repr=False)

    def next_folder(self) -> Path:
        """Return the folder of a next device, below one that `close` removes."""
        if not self._made:
            # In the data folder, which is removed after a test process was killed too.
            parent = None if self.data is None else self.data / "devices"
            if parent is not None:
                parent.mkdir(exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="rightsmanager-", dir=parent))
            self._stack.callback(shutil.rmtree, made, ignore_errors=True)
            self._made.append(made)
        folder = self._made[0] / str(len(self._made))
        self._made.append(folder)
        return folder

    def opened(self, device: Device) -> Device:
        """Return a device, which `close` closes."""
        self._stack.callback(device.close)
        return device

    def at_close(self, close: Callable[[], None]) -> None:
        """Let `close` call this too."""
        self._stack.callback(close)

    def close(self) -> None:
        """Close the devices and remove their folders."""
        self._stack.close()
        self._made.clear()


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
        return _all_pages(self.control, f"{self.api}/licenses", "licenses", filters)

    def sessions(self, **filters: object) -> tuple[Facts, ...]:
        """Return the playback sessions under secure stop, by `device` or `kid`."""
        return _all_pages(self.control, f"{self.api}/sessions", "sessions", filters)

    def streams(self, **filters: object) -> tuple[Facts, ...]:
        """Return the open streams, by `account`, `user`, `device` or `kid`."""
        return _all_pages(self.control, f"{self.api}/streams", "streams", filters)

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
        given = {
            "seed": self.seed,
            "clock": self.clock,
            "pki": self.pki,
            "settings": self.settings,
            "expires_after_seconds": self.expires_after_seconds,
        }
        return {name: value for name, value in given.items() if value is not None}


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
