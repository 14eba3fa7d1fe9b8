"""Shows issued licences and reported playback sessions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rightsmanager.protocol.wire import Kid, encode_base64
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import IssuedLicense, LicenseFilter
from rightsmanager.store.sessions import StoredSession

Facts = Mapping[str, object]
"""Facts by name, ready for JSON."""


@dataclass(frozen=True, slots=True)
class IssuedReader:
    """Finds licences and sessions."""

    store: Store

    def find_licenses(self, chosen: LicenseFilter, limit: int) -> list[Facts]:
        """Return the facts of at most `limit` licences that meet a filter, newest first."""
        with self.store.reading() as found:
            return [license_facts(each) for each in found.licenses.find_newest(chosen, limit)]

    def find_devices(self, limit: int) -> list[Facts]:
        """Return the facts of at most `limit` devices with licences, the last one first."""
        with self.store.reading() as found:
            devices = found.licenses.find_devices(limit)
        return [
            {
                "device": each.device,
                "licenses": each.licenses,
                "first_at": _date(each.first_at),
                "last_at": _date(each.last_at),
            }
            for each in devices
        ]

    def find_sessions(self, device: str | None, kid: Kid | None, limit: int) -> list[Facts]:
        """Return the facts of at most `limit` sessions, of a device and KID where given.

        The one with the latest news is first.
        """
        with self.store.reading() as found:
            return [session_facts(each) for each in found.sessions.find_newest(device, kid, limit)]


def license_facts(license_: IssuedLicense) -> Facts:
    """Return the facts of a licence."""
    return {
        "issued_at": _date(license_.issued_at),
        "device": license_.device,
        "kid": license_.kid.text,
        "license_id": encode_base64(license_.license_id),
        "policy": json.loads(license_.policy),
    }


def session_facts(session: StoredSession) -> Facts:
    """Return the facts of a session; `proven` is whether secure stop 2 proved its state."""
    return {
        "device": session.device,
        "session_id": session.session_id.text,
        "kid": session.kid.text,
        "mid": session.mid.text,
        "started_at": _date(session.start_time),
        "updated_at": _date(session.update_time),
        "stopped": session.stopped,
        "proven": session.proven,
        "reported_at": _date(session.reported_at),
        "changed_at": _date(session.changed_at),
    }


def _date(seconds: int) -> str | int:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        # A device's clock may be beyond the year 9999.
        return seconds
