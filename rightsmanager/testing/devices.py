"""A simulated device of a world: acquires, plays and reports, and goes by the world's clock."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rightsmanager.device.acquire import (
    Acknowledgement,
    Wanted,
    acknowledge,
    header_of_kids,
)
from rightsmanager.device.client import ServerClient
from rightsmanager.device.deletion import Deletion, DeletionStore, report_deletions
from rightsmanager.device.domains import HeldDomain
from rightsmanager.device.membership import Joining, Membership, join, leave
from rightsmanager.device.messages import Messages
from rightsmanager.device.metering import MeteringCertificates, report_usage
from rightsmanager.device.opening import OpenedLicense
from rightsmanager.device.playing import Playback, start
from rightsmanager.device.playing import stop as stop_cleanly
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.sessions import SessionStore, report_sessions
from rightsmanager.device.terms import refuse_unusable
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import InternalError
from rightsmanager.protocol.formats.input_forms import find_header
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.messages.metering import MeteringReport
from rightsmanager.protocol.messages.response import LicenseResponse
from rightsmanager.protocol.messages.secure_stop import SecureStopResponse
from rightsmanager.protocol.wire import AccountId, Kid, Mid, ServiceId
from rightsmanager.testing.management import Domains

Ending = Literal["clean", "crash"]
ONE_KID: Final = "expected one of kid, kids and header"


@dataclass(slots=True)
class DeviceTime:
    """A clock that stands still while the device does one thing, so that its checks agree."""

    read: Callable[[], int]
    """Returns the world's time in Unix seconds."""
    _moment: int = 0

    def update(self) -> None:
        """Take the world's time."""
        self._moment = self.read()

    def __call__(self) -> int:
        """Return the time of the last update in Unix seconds."""
        return self._moment


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Licences that passed every check."""

    licenses: tuple[OpenedLicense, ...]
    response: LicenseResponse
    acknowledged: Acknowledgement | None
    """The acknowledgement that was sent; None if the reply asked for none."""

    @property
    def license(self) -> OpenedLicense:
        """The only licence; raises InternalError if there are several."""
        if len(self.licenses) != 1:
            raise InternalError(f"the reply has {len(self.licenses)} licences, expected one")
        return self.licenses[0]

    @property
    def content_key(self) -> bytes:
        """The content key of the only licence, 16 bytes."""
        return self.license.content_key


@dataclass(slots=True)
class Device:
    """A simulated device. Texts name KIDs, accounts and metering ids as GUIDs or in base64."""

    session: DeviceSession
    url: str
    """Of its world's service."""
    time: DeviceTime = field(repr=False)
    domains: Domains | None = field(default=None, repr=False)
    """The accounts of its world, if that can be asked."""
    _in_memory: dict[Kid, OpenedLicense] = field(default_factory=dict, repr=False)
    """The licences that are not persistent."""

    def __post_init__(self) -> None:
        self.time.update()

    @property
    def id(self) -> str:
        """The device id in the server's records."""
        return self.session.opening.device.id

    @property
    def digest(self) -> bytes:
        """The digest of its certificate, 32 bytes, by which it is revoked."""
        return self.session.opening.device.chain.leaf.digest

    @property
    def messages(self) -> Messages:
        """Challenges and replies as messages, for an HTTP client of your own."""
        self.time.update()
        return Messages(self.session)

    def acquire(  # noqa: PLR0913 -- the options of a request
        self,
        kid: str | Kid | None = None,
        *,
        kids: Iterable[str | Kid] = (),
        header: bytes | str | None = None,
        query: str = "",
        custom_data: str | None = None,
        account: str | None = None,
        joins: bool = False,
        acknowledges: bool = True,
        url: str | None = None,
    ) -> Acquisition:
        """Acquire licences for a KID, for KIDs, or for a header in any form.

        query       such as `cfg=(persist:true)`
        account     the domain to ask as a member of; a renewed one is joined again
        joins       whether to join the domain that the server requires

        Raises the Refusal of a fault, and InvalidMessage for a reply that fails a check.
        """
        self.time.update()
        wanted = Wanted(_header(kid, kids, header), custom_data)
        target, client = self._url(url, query), self.session.client
        membership = Membership(self.session.domains, _account(account), joins)
        acquired = membership.acquire(target, wanted, client)
        failures = self.session.record(acquired)
        for license_ in acquired.licenses:
            if not license_.persistent:
                self._in_memory[license_.kid] = license_
        done = acknowledge(target, acquired, client, failures) if acknowledges else None
        return Acquisition(acquired.licenses, acquired.response, done)

    def open(self, kid: str | Kid) -> OpenedLicense:
        """Return the usable licence for a KID.

        Raises InvalidMessage, with the reason, if it may not be used now, and InternalError without
        a licence.
        """
        self.time.update()
        wanted = _kid(kid)
        license_ = self._in_memory.get(wanted)
        if license_ is None or self.session.licenses.find(wanted):
            return self.session.stored_licenses.open(wanted)
        refuse_unusable(wanted, license_.terms, self.session.now, None)
        return license_

    def play(self, kid: str | Kid, times: int = 1, ending: Ending = "clean") -> Playback:
        """Play content with the licence that it has; raises as `open` does.

        Plays are counted for metering, and are sessions under secure stop.
        """
        license_ = self.open(kid)
        session = self.session
        playback = start(license_, session.journal, now=session.now, rng=session.rng, times=times)
        if ending == "clean":
            stop_cleanly(playback.sessions, session.journal, session.now)
        return playback

    def report_metering(
        self, mid: str | None = None, url: str | None = None
    ) -> tuple[MeteringReport, ...]:
        """Report the plays of a metering id, or of all; returns the answered reports."""
        self.time.update()
        store, client = MeteringStore(self.session.journal), self.session.client
        certificates = MeteringCertificates(self.session.folder)
        mids = store.mids() if mid is None else (Mid.parse(mid),)
        target = self._url(url)
        return tuple(
            report
            for each in mids
            for report in report_usage(each, target, client, certificates, store)
        )

    def report_secure_stop(
        self, mid: str | None = None, url: str | None = None
    ) -> tuple[SecureStopResponse, ...]:
        """Report the sessions of a metering id, or of all; returns the answers."""
        self.time.update()
        store, client = SessionStore(self.session.journal), self.session.client
        certificates = MeteringCertificates(self.session.folder)
        mids = store.mids() if mid is None else (Mid.parse(mid),)
        target = self._url(url)
        return tuple(
            answer
            for each in mids
            for _, answer in report_sessions(each, target, client, certificates, store)
        )

    def delete(self, *kids: str | Kid, url: str | None = None) -> tuple[Deletion, ...]:
        """Delete the licences for KIDs and report it; returns the answered reports."""
        self.time.update()
        store = DeletionStore(self.session.journal, self.session.licenses)
        store.delete([_kid(each) for each in kids], self.session.rng)
        return tuple(report_deletions(self._url(url), self.session.client, store))

    def join(
        self, account: str, *, name: str | None = None, service: str | None = None
    ) -> HeldDomain:
        """Join the domain of an account and keep its keys.

        Without a service id, the world's account has to exist.
        """
        self.time.update()
        if service is None:
            if self.domains is None:
                raise InternalError("the device knows no world, expected the domain's service id")
            service = str(self.domains.show(account)["service_id"])
        joining = Joining(ServiceId.parse(service), AccountId.parse(account), name)
        joined = join(self.url, joining, self.session.client)
        self.session.domains.record(joined)
        return joined

    def leave(self, account: str) -> bool:
        """Leave the domain of an account; returns whether it was a member until now."""
        self.time.update()
        wanted = AccountId.parse(account)
        held = self.session.domains.find(wanted)
        if held is None:
            raise InternalError(f"the device has no domain of account {wanted.text}")
        was_member = leave(self.url, held, self.session.client)
        self.session.domains.remove(wanted)
        return was_member

    def client(self) -> ServerClient:
        """Return the device as a client of its server, at the world's time."""
        self.time.update()
        return self.session.client

    def forget(self, kid: str | Kid) -> None:
        """Drop the licence for a KID that is not persistent, as the end of a playback does."""
        self._in_memory.pop(_kid(kid), None)

    def close(self) -> None:
        """Close its journal."""
        self.session.close()

    def through(self, post: Callable[[str, str, bytes], bytes]) -> "Device":
        """Return the same device with another way to its server."""
        return replace(self, session=replace(self.session, post=post))

    def _url(self, url: str | None, query: str = "") -> str:
        target = url or self.url
        return f"{target}?{query.removeprefix('?')}" if query else target


def _header(kid: str | Kid | None, kids: Iterable[str | Kid], header: bytes | str | None) -> Header:
    wanted = [_kid(each) for each in kids] if kid is None else [_kid(kid)]
    if (header is None) != bool(wanted):
        raise InternalError(ONE_KID)
    if header is None:
        return header_of_kids(wanted)
    return find_header(header.encode() if isinstance(header, str) else header)


def _kid(kid: str | Kid) -> Kid:
    return kid if isinstance(kid, Kid) else Kid.parse(kid)


def _account(account: str | None) -> AccountId | None:
    return None if account is None else AccountId.parse(account)
