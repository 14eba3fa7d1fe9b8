"""Devices: those that got licences, and each one's ledger, licences, sessions and streams."""

from typing import Final

from rightsmanager.admin.domains import parse_device
from rightsmanager.admin.issued import DeviceFacts, ListedLicenseFacts, SessionFacts
from rightsmanager.admin.ledger import EntryFacts, LedgerFacts
from rightsmanager.protocol.wire import encode_base64
from rightsmanager.store.ledger import LicenseState
from rightsmanager.store.licenses import LicenseFilter
from rightsmanager.web.console.blocks import (
    BAD,
    GOOD,
    OFF,
    PLAIN,
    Act,
    Asked,
    Block,
    Cell,
    Empty,
    Facts,
    Table,
    View,
    code,
    device_path,
    link,
    number,
    short,
    state,
    time,
)
from rightsmanager.web.console.lists import MAX_ROWS, Listing, cut_of, first_cut, offset_table
from rightsmanager.web.console.parts import Parts

_NO_DEVICE: Final = Empty(
    "No device has got a licence yet. Make a simulated one, and acquire a licence with it:",
    "rightsmanager device new DEVICE",
)
_STATES: Final = {
    LicenseState.ISSUED: PLAIN,
    LicenseState.ACKNOWLEDGED: GOOD,
    LicenseState.FAILED: BAD,
    LicenseState.DELETED: OFF,
    LicenseState.EXPIRED: OFF,
}


def show_devices(parts: Parts, asked: Asked) -> View:
    """Return the page of all devices."""
    page = parts.management.issued.find_device_page(cut_of(asked))
    return View(
        "Devices",
        (_DEVICES.table(asked, page),),
        lead="Devices that got licences. A device is known by the SHA-256 of its signing key.",
    )


def show_device(parts: Parts, asked: Asked) -> View:
    """Return the page of one device."""
    device = parse_device(asked.path["device"])
    ledger = parts.management.ledger.find(device)
    return View(
        "Device",
        (
            _facts(device, parts.management.issued.find_device(device)),
            _ledger(asked, ledger),
            *_unknown(ledger),
            _licenses(parts, device),
            *_sessions(parts, device),
        ),
        acts=(
            Act("Its requests", link("journal", device=device)),
            Act("Its licences", link("licenses", device=device)),
            Act("Its sessions", link("sessions", device=device)),
            Act("Its streams", link("streams", device=device, which="all")),
        ),
        up=Act("Devices", "devices"),
    )


def _device_row(device: DeviceFacts) -> tuple[Cell, ...]:
    return (
        code(device.device, link("devices", device_path(device.device))),
        number(device.licenses),
        time(device.first_at),
        time(device.last_at),
    )


_DEVICES: Final = Listing(
    "devices", "Devices", ("Device", "Licences", "First", "Last"), _device_row, _NO_DEVICE
)


def _facts(device: str, found: DeviceFacts | None) -> Facts:
    return Facts(
        (
            ("Id", code(device)),
            ("Licences", number(0 if found is None else found.licenses)),
            ("First", time(None if found is None else found.first_at, "none")),
            ("Last", time(None if found is None else found.last_at, "none")),
        )
    )


def _ledger(asked: Asked, ledger: LedgerFacts) -> Table:
    columns = ("KID", "State", "Issued", "Expires", "Deleted", "Result", "Licence id")
    empty = Empty("The device has no persistent licence.")
    table = Table("Ledger of persistent licences", columns, (), empty)
    rows = [_entry_row(each) for each in reversed(ledger.licenses)]
    return offset_table(asked, link("devices", device_path(ledger.device)), table, rows)


def _entry_row(entry: EntryFacts) -> tuple[Cell, ...]:
    return (
        code(entry.kid.text),
        state(entry.state.value, _STATES[entry.state]),
        time(entry.issued_at),
        time(entry.expires_at, "never"),
        time(entry.deleted_at),
        code(entry.result or ""),
        short(encode_base64(entry.license_id)),
    )


def _unknown(ledger: LedgerFacts) -> tuple[Block, ...]:
    if not ledger.unknown:
        return ()
    rows = tuple(
        (code(each.kid.text), code(each.session_id.text), time(each.deleted_at))
        for each in ledger.unknown[-MAX_ROWS:]
    )
    title = "Reported as deleted, never issued"
    return (Table(title, ("KID", "Session", "Deleted"), rows, Empty("")),)


def _licenses(parts: Parts, device: str) -> Table:
    page = parts.management.issued.find_license_page(LicenseFilter(device), first_cut())
    return Table(
        "Newest licences",
        _LICENSE_COLUMNS,
        tuple(license_row(each) for each in page.items),
        Empty("No licence is recorded. A purge may have removed older ones."),
    )


_LICENSE_COLUMNS: Final = ("Issued", "Device", "KID", "Policy", "Result")


def license_row(license_: ListedLicenseFacts) -> tuple[Cell, ...]:
    """Return the row of an issued licence."""
    return (
        time(license_.issued_at),
        short(license_.device, link("devices", device_path(license_.device))),
        code(license_.kid.text),
        Cell(_policy(license_.policy)),
        code(license_.result or ""),
    )


def _policy(policy: object) -> str:
    """Return the fields of a policy that are set, in one line."""
    if isinstance(policy, dict):
        said = ((name.replace("_", " "), _policy(value)) for name, value in policy.items() if value)
        return ", ".join(name if text == _YES else f"{name} {text}" for name, text in said if text)
    if isinstance(policy, list):
        return " and ".join(map(_policy, policy))
    return _YES if policy is True else str(policy)


_YES: Final = "yes"


def _sessions(parts: Parts, device: str) -> tuple[Block, ...]:
    page = parts.management.issued.find_session_page(device, None, first_cut())
    if not page.items:
        return ()
    rows = tuple(session_row(each) for each in page.items)
    return (Table("Playback sessions", SESSION_COLUMNS, rows, Empty("")),)


SESSION_COLUMNS: Final = ("Session", "State", "Device", "KID", "Started", "Updated", "Reported")


def session_row(session: SessionFacts) -> tuple[Cell, ...]:
    """Return the row of a playback session."""
    proof = ", proven" if session.proven else ""
    stopped = state(f"stopped{proof}", GOOD) if session.stopped else state("not stopped", OFF)
    return (
        short(session.session_id.text),
        stopped,
        short(session.device, link("devices", device_path(session.device))),
        short(session.kid.text),
        time(session.started_at),
        time(session.updated_at),
        time(session.reported_at),
    )
