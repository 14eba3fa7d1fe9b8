"""Issued licences and reported playback sessions, of all devices or of one."""

from typing import Final

from rightsmanager.admin.domains import parse_device
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.licenses import LicenseFilter
from rightsmanager.web.console.blocks import Act, Asked, Empty, Field, View, filter_form
from rightsmanager.web.console.devices import SESSION_COLUMNS, license_row, session_row
from rightsmanager.web.console.lists import Listing, cut_of
from rightsmanager.web.console.parts import Parts

_LICENSES: Final = Listing(
    "licenses",
    "Licences",
    ("Issued", "Device", "KID", "Policy", "Result"),
    license_row,
    Empty(
        "No licence has been issued yet. Acquire one with a simulated device:",
        "rightsmanager device acquire --device DEVICE --url URL --kid KID",
    ),
)
_SESSIONS: Final = Listing(
    "sessions",
    "Sessions",
    SESSION_COLUMNS,
    session_row,
    Empty(
        "No playback session has been reported. Players report them for licences with secure "
        "stop; a simulated device does so with:",
        "rightsmanager device stop --device DEVICE --url URL",
    ),
)


def show_licenses(parts: Parts, asked: Asked) -> View:
    """Return the page of the issued licences."""
    device, kid = _chosen(asked)
    page = parts.management.issued.find_license_page(LicenseFilter(device, kid), cut_of(asked))
    return View(
        "Licences",
        (filter_form(asked, "licenses", _fields(asked)), _LICENSES.table(asked, page)),
        lead="Issued licences, newest first. The last column has the device's acknowledgement.",
        acts=(Act("Purge old records", "acts/purge"),),
    )


def show_sessions(parts: Parts, asked: Asked) -> View:
    """Return the page of the playback sessions."""
    page = parts.management.issued.find_session_page(*_chosen(asked), cut_of(asked))
    return View(
        "Sessions",
        (filter_form(asked, "sessions", _fields(asked)), _SESSIONS.table(asked, page)),
        lead="Playback under secure stop, as devices reported it.",
    )


def _chosen(asked: Asked) -> tuple[str | None, Kid | None]:
    device, kid = asked.get("device"), asked.get("kid")
    return parse_device(device) if device else None, Kid.parse(kid) if kid else None


def _fields(asked: Asked) -> tuple[Field, ...]:
    return (
        Field("device", "Device", asked.get("device"), hint="id, base64"),
        Field("kid", "KID", asked.get("kid"), hint="GUID or base64"),
    )
