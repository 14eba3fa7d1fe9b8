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
from datetime import UTC, datetime
from typing import Any, Final

from rightsmanager.protocol.wire import Kid, encode_base64
from rightsmanager.store.database import Store
from rightsmanager.store.ledger import DeletedKid, LedgerEntry, LicenseState

USABLE: Final = frozenset({LicenseState.ISSUED, LicenseState.ACKNOWLEDGED})
"""The states of a licence that the device presumably still has."""


def must_ask_again(entries: Iterable[LedgerEntry], now: int) -> bool:
    """Return True if a device with these licences for a KID needs a new one."""
    return all(entry.state(now) not in USABLE for entry in entries)


@dataclass(frozen=True, slots=True)
class LedgerReader:
    """Finds the persistent licences of a device."""

    store: Store
    clock: Callable[[], int]

    def find(self, device: str) -> dict[str, Any]:
        """Return the facts of a device's persistent licences, ready for JSON."""
        now = self.clock()
        with self.store.reading() as found:
            entries, deleted = found.ledger.find_all(device), found.ledger.find_deleted_kids(device)
        return {
            "device": device,
            "licenses": [_entry_facts(entry, now) for entry in entries],
            "unknown": [_deleted_facts(each) for each in deleted if not each.issued],
        }

    def ask(self, device: str, kid: Kid) -> dict[str, Any]:
        """Return the answer whether a device needs a new licence for a KID, ready for JSON."""
        now = self.clock()
        with self.store.reading() as found:
            entries = [entry for entry in found.ledger.find_all(device) if entry.kid == kid]
        return {
            "device": device,
            "kid": kid.text,
            "must_ask_again": must_ask_again(entries, now),
            "licenses": [_entry_facts(entry, now) for entry in entries],
        }


def _entry_facts(entry: LedgerEntry, now: int) -> dict[str, Any]:
    return {
        "kid": entry.kid.text,
        "state": entry.state(now).value,
        "license_id": encode_base64(entry.license_id),
        "issued_at": _date(entry.issued_at),
        "expires_at": _date(entry.expires_at),
        "deleted_at": _date(entry.deleted_at),
        "result": None if entry.result is None else f"0x{entry.result:08x}",
    }


def _deleted_facts(deleted: DeletedKid) -> dict[str, Any]:
    return {
        "kid": deleted.kid.text,
        "session_id": deleted.session_id.text,
        "deleted_at": _date(deleted.deleted_at),
    }


def _date(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
