"""The ledger: the persistent licences of each device, and their states.

    issued          the device has not yet reported whether it stored the licence
    acknowledged    the device reported that it stored the licence
    failed          the device reported that it could not store it
    deleted         the device reported that it deleted it
    expired         its end date has passed, and it was not reported as deleted

A device needs a new licence for a KID unless it has one that is issued or acknowledged.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rightsmanager.admin.issued import result_text
from rightsmanager.admin.times import date_of
from rightsmanager.protocol.wire import Kid, SessionId
from rightsmanager.store.database import Store
from rightsmanager.store.ledger import DeletedKid, LedgerEntry, LicenseState

USABLE: Final = frozenset({LicenseState.ISSUED, LicenseState.ACKNOWLEDGED})
"""The states of a licence that the device presumably still has."""


def must_ask_again(entries: Iterable[LedgerEntry], now: int) -> bool:
    """Return True if a device with these licences for a KID needs a new one."""
    return all(entry.state(now) not in USABLE for entry in entries)


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """A persistent licence and its state."""

    kid: Kid
    state: LicenseState
    license_id: bytes
    """16 bytes."""
    issued_at: datetime
    expires_at: datetime | None
    """None for never."""
    deleted_at: datetime | None
    result: str | None
    """The HRESULT of the device's acknowledgement, such as `0x00000000`; None without one."""


@dataclass(frozen=True, slots=True)
class DeletedFacts:
    """A KID that a device reported as deleted without ever having got a licence for it."""

    kid: Kid
    session_id: SessionId
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """The persistent licences of a device."""

    device: str
    """The device id."""
    licenses: tuple[EntryFacts, ...]
    unknown: tuple[DeletedFacts, ...]


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """The answer whether a device needs a new licence for a KID."""

    device: str
    """The device id."""
    kid: Kid
    must_ask_again: bool
    licenses: tuple[EntryFacts, ...]


@dataclass(frozen=True, slots=True)
class LedgerReader:
    """Finds the persistent licences of a device."""

    store: Store
    clock: Callable[[], int]

    def find(self, device: str) -> LedgerFacts:
        """Return a device's persistent licences."""
        now = self.clock()
        with self.store.reading() as found:
            entries, deleted = found.ledger.find_all(device), found.ledger.find_deleted_kids(device)
        return LedgerFacts(
            device,
            tuple(_entry_facts(entry, now) for entry in entries),
            tuple(_deleted_facts(each) for each in deleted if not each.issued),
        )

    def ask(self, device: str, kid: Kid) -> LedgerAnswer:
        """Return whether a device needs a new licence for a KID."""
        now = self.clock()
        with self.store.reading() as found:
            entries = [entry for entry in found.ledger.find_all(device) if entry.kid == kid]
        facts = tuple(_entry_facts(entry, now) for entry in entries)
        return LedgerAnswer(device, kid, must_ask_again(entries, now), facts)


def _entry_facts(entry: LedgerEntry, now: int) -> EntryFacts:
    return EntryFacts(
        kid=entry.kid,
        state=entry.state(now),
        license_id=entry.license_id,
        issued_at=date_of(entry.issued_at),
        expires_at=date_of(entry.expires_at),
        deleted_at=date_of(entry.deleted_at),
        result=result_text(entry.result),
    )


def _deleted_facts(deleted: DeletedKid) -> DeletedFacts:
    return DeletedFacts(deleted.kid, deleted.session_id, date_of(deleted.deleted_at))
