"""Shows issued licences, the devices that have them, and reported playback sessions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rightsmanager.admin.times import Moment, date_of, moment_of
from rightsmanager.protocol.wire import Kid, Mid, SessionId
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import (
    IssuedLicense,
    LicensedDevice,
    LicenseFilter,
    ListedLicense,
)
from rightsmanager.store.paging import Cut, Page
from rightsmanager.store.sessions import StoredSession

PolicyFacts = Mapping[str, object]
"""The grant of a licence as JSON, without the content key; its fields are those of the policy."""


@dataclass(frozen=True)
class LicenseFacts:
    """An issued licence."""

    issued_at: datetime
    device: str
    """The device id."""
    kid: Kid
    license_id: bytes
    """16 bytes."""
    policy: PolicyFacts


@dataclass(frozen=True)
class ListedLicenseFacts(LicenseFacts):
    """An issued licence with its acknowledgement."""

    result: str | None
    """The HRESULT of the device's acknowledgement, such as `0x00000000`; None without one."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device that licences were issued to."""

    device: str
    """The device id."""
    licenses: int
    """Their count."""
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A playback session in the state of its last report."""

    device: str
    """The device id."""
    session_id: SessionId
    kid: Kid
    mid: Mid
    started_at: Moment
    """By the device's clock."""
    updated_at: Moment
    """By the device's clock."""
    stopped: bool
    """Whether it ended cleanly."""
    proven: bool
    """Whether secure stop 2 proved this state."""
    reported_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedReader:
    """Finds licences, devices and sessions."""

    store: Store

    def find_licenses(self, chosen: LicenseFilter, limit: int) -> list[LicenseFacts]:
        """Return at most `limit` licences that meet a filter, newest first."""
        with self.store.reading() as found:
            return [license_facts(each) for each in found.licenses.find_newest(chosen, limit)]

    def find_license_page(self, chosen: LicenseFilter, cut: Cut) -> Page[ListedLicenseFacts]:
        """Return a page of the licences that meet a filter, newest first."""
        with self.store.reading() as found:
            page = found.licenses.find_page(chosen, cut)
        return Page(tuple(map(_listed_facts, page.items)), page.next)

    def find_devices(self, limit: int) -> list[DeviceFacts]:
        """Return at most `limit` devices with licences, the last one first."""
        with self.store.reading() as found:
            return list(map(_device_facts, found.licenses.find_devices(limit)))

    def find_device_page(self, cut: Cut) -> Page[DeviceFacts]:
        """Return a page of the devices with licences, in the order of their ids."""
        with self.store.reading() as found:
            page = found.licenses.find_devices_page(cut)
        return Page(tuple(map(_device_facts, page.items)), page.next)

    def find_device(self, device: str) -> DeviceFacts | None:
        """Return a device with licences, or None."""
        with self.store.reading() as found:
            licensed = found.licenses.find_device(device)
        return None if licensed is None else _device_facts(licensed)

    def find_sessions(self, device: str | None, kid: Kid | None, limit: int) -> list[SessionFacts]:
        """Return at most `limit` sessions, of a device and KID where given.

        The one with the latest news is first.
        """
        with self.store.reading() as found:
            return [session_facts(each) for each in found.sessions.find_newest(device, kid, limit)]

    def find_session_page(
        self, device: str | None, kid: Kid | None, cut: Cut
    ) -> Page[SessionFacts]:
        """Return a page of the sessions, of a device and KID where given, first report first."""
        with self.store.reading() as found:
            page = found.sessions.find_page(device, kid, cut)
        return Page(tuple(map(session_facts, page.items)), page.next)


def license_facts(license_: IssuedLicense) -> LicenseFacts:
    """Return the facts of a licence."""
    return LicenseFacts(
        date_of(license_.issued_at),
        license_.device,
        license_.kid,
        license_.license_id,
        json.loads(license_.policy),
    )


def session_facts(session: StoredSession) -> SessionFacts:
    """Return the facts of a session."""
    return SessionFacts(
        device=session.device,
        session_id=session.session_id,
        kid=session.kid,
        mid=session.mid,
        started_at=moment_of(session.start_time),
        updated_at=moment_of(session.update_time),
        stopped=session.stopped,
        proven=session.proven,
        reported_at=date_of(session.reported_at),
        changed_at=date_of(session.changed_at),
    )


def result_text(result: int | None) -> str | None:
    """Return an HRESULT such as `0x8004c600`."""
    return None if result is None else f"0x{result:08x}"


def _listed_facts(listed: ListedLicense) -> ListedLicenseFacts:
    facts = license_facts(listed.license)
    return ListedLicenseFacts(
        facts.issued_at,
        facts.device,
        facts.kid,
        facts.license_id,
        facts.policy,
        result_text(listed.result),
    )


def _device_facts(device: LicensedDevice) -> DeviceFacts:
    return DeviceFacts(
        device.device, device.licenses, date_of(device.first_at), date_of(device.last_at)
    )
