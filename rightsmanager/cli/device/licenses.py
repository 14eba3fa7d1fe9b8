"""`rightsmanager device licenses`, `open`, `export` and `import`: the stored licences."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.device.acquire import license_facts, print_opened
from rightsmanager.cli.device.session import device_option, open_session
from rightsmanager.cli.options import KID
from rightsmanager.cli.printing import (
    Form,
    counted,
    form_options,
    json_option,
    print_json,
    print_list,
)
from rightsmanager.device.embedded import find_embedded
from rightsmanager.device.session import DeviceSession
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import is_file, read_file, replace_file
from rightsmanager.inspection.licenses import MAGIC as LICENSE_MAGIC
from rightsmanager.inspection.values import time_text
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from rightsmanager.device.licenses import StoredLicense
    from rightsmanager.device.terms import Terms

_COLUMNS: Final = {
    "kid": "KID",
    "bound_to": "bound to",
    "state": "state",
    "begin": "begins",
    "end": "ends",
    "removal_date": "removal",
    "metering_id": "metering id",
    "issued": "issued",
}
_TIMES: Final = ("begin", "end", "removal_date", "issued")

file_argument: Final = click.argument("file", type=click.Path(path_type=Path))


@click.command()
@device_option
@form_options
def licenses(folder: Path, *, form: Form) -> None:
    """List the stored licences.

    They are not opened. A licence that has reached its removal date is listed as removed, and is
    deleted.
    """
    session = open_session(folder)
    stored = session.licenses.find_all()
    session.licenses.drop_removed(session.now)
    facts = [_facts(each, session) for each in stored]
    if form is None:
        facts = [_readable(each, fact) for each, fact in zip(stored, facts, strict=True)]
    print_list(form, facts, _COLUMNS, footer=counted(len(facts), "licence"))


@click.command(name="open")
@device_option
@click.argument("license_", metavar="KID|FILE")
@json_option
def open_(folder: Path, *, license_: str, form: Form) -> None:
    """Open a stored licence and print its content key.

    No server is asked. It is the best stored licence for KID, or the one in FILE, which another
    member of a domain may have exported. FILE may also be a PSSH box or a media segment with leaf
    licences. A leaf licence is opened through its stored root.
    """
    session = open_session(folder)
    stored = session.stored_licenses
    file = Path(license_)
    if is_file(file):
        opened = tuple(map(stored.open_file, _licenses_in(read_file(file))))
    else:
        opened = (stored.open(_parse_kid(license_)),)
    if form == "json":
        # An input with one licence is the usual one.
        facts = [license_facts(each, session.now) for each in opened]
        print_json(facts[0] if len(facts) == 1 else facts)
    else:
        print_opened(opened, session.now)


def _licenses_in(data: bytes) -> "tuple[bytes, ...]":
    """Return the licence that a file is, or those that are embedded in it."""
    if data.startswith(LICENSE_MAGIC):
        return (data,)
    embedded = find_embedded(data)
    if not embedded:
        raise InvalidMessage("the file has no licence, and its PSSH boxes have none")
    return embedded


@click.command()
@device_option
@click.argument("kid", type=KID)
@file_argument
def export(folder: Path, *, kid: Kid, file: Path) -> None:
    """Write a stored licence into a file.

    It is the best licence for KID, one that is bound to a domain first: other members can use it.
    A leaf licence needs its root's licence too.
    """
    opened = open_session(folder).stored_licenses.open_shared(kid)
    replace_file(file, opened.raw)
    root = opened.root_kid
    leaf = "" if root is None else f"; it is a leaf, export its root {root.text} too"
    click.echo(f"The licence for KID {kid.text} is in {file}{leaf}.")


@click.command(name="import")
@device_option
@file_argument
def import_(folder: Path, *, file: Path) -> None:
    """Store a licence from a file.

    The licence must be persistent, and the device able to open it.
    """
    session = open_session(folder)
    opened = session.stored_licenses.open_file(read_file(file))
    if not opened.persistent:
        raise InvalidMessage(f"the licence in {file} is not persistent")
    session.licenses.record(opened)
    click.echo(f"The device stores the licence for KID {opened.kid.text}.")


def _parse_kid(text: str) -> Kid:
    try:
        return Kid.parse(text)
    except InvalidMessage:
        raise InternalError(f"{text!r} is neither a KID nor a file") from None


def _facts(stored: "StoredLicense", session: DeviceSession) -> dict[str, object]:
    terms = stored.terms
    first_played = session.journal.first_played(stored.license.rights_id)
    return {
        "kid": stored.kid.text,
        "rights_id": stored.license.rights_id.hex(),
        "bound_to": _binding(terms),
        "state": terms.state(session.now, first_played).value,
        "begin": terms.begin,
        "end": terms.end_after(first_played),
        "expire_after_first_play": terms.first_play,
        "first_played": first_played,
        "removal_date": terms.removal,
        "metering_id": None if terms.metering is None else terms.metering.text,
        "issued": terms.issued,
        "file": str(stored.file),
    }


def _binding(terms: "Terms") -> dict[str, object]:
    if terms.root_kid is not None:
        return {"kind": "root", "root_kid": terms.root_kid.text}
    if terms.domain is not None:
        account_id, revision = terms.domain.account_id, terms.domain.revision
        return {"kind": "domain", "account_id": account_id.text, "revision": revision}
    return {"kind": "device"}


def _readable(stored: "StoredLicense", facts: dict[str, object]) -> dict[str, object]:
    """Return the facts with dates as text."""
    first_play = stored.terms.first_play
    readable = facts | {name: _time(facts[name]) for name in _TIMES}
    if facts["end"] is None and first_play is not None:
        readable["end"] = f"{first_play} s after its first play"
    binding = " ".join(map(str, _binding(stored.terms).values()))
    return readable | {"bound_to": binding, "metering_id": facts["metering_id"] or "-"}


def _time(seconds: object) -> str:
    return time_text(seconds) or str(seconds) if isinstance(seconds, int) else "-"
