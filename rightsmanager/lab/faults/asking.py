"""The device and the KIDs of a request, before the operation sees it.

Faults that name neither, and leave the operation its work, need none of it. The challenge is opened
once more by the operation: only a request in a world with such faults costs that.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import Refusal
from rightsmanager.hooks.facts import Progress
from rightsmanager.operations.context import Context
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.protocol.messages.acknowledgement import open_acknowledgement
from rightsmanager.protocol.messages.challenge import open_license_challenge
from rightsmanager.protocol.messages.delete_license import open_delete_license
from rightsmanager.protocol.messages.domain import open_join, open_leave
from rightsmanager.protocol.messages.metering import open_certificate_request, open_metering_data
from rightsmanager.protocol.messages.secure_stop import open_secure_stop
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Asking:
    """A client and the content that it names."""

    device: str = ""
    """The device id; empty for a challenge that does not verify, and for a packager."""
    kids: tuple[Kid, ...] = ()
    custom_data: str | None = None

    def names(self, kid: str) -> bool:
        """Return whether it names a KID, given as a GUID in text."""
        return any(each.text == kid for each in self.kids)

    def note(self, progress: Progress) -> None:
        """Fill in the facts of a request whose operation does not run."""
        progress.device = self.device
        progress.kids = self.kids
        progress.custom_data = self.custom_data


UNKNOWN: Final = Asking()
_Opened = tuple[Chain, Iterable[Kid], str | None]
"""The chain of the signer, the KIDs, and CustomData."""


def find_asking(context: Context, operation: str, envelope: Envelope) -> Asking:
    """Return the client of a request, its chain not yet verified; UNKNOWN if it is unreadable."""
    opener = _OPENERS.get(operation)
    if opener is None:
        return UNKNOWN
    try:
        signer, kids, custom_data = opener(context, envelope)
    except Refusal:
        # The operation will refuse it, and say why.
        return UNKNOWN
    return Asking(signer.leaf.device_id, tuple(dict.fromkeys(kids)), custom_data)


def _acquire(context: Context, envelope: Envelope) -> _Opened:
    challenge = open_license_challenge(
        envelope, context.server_keys, context.backend, context.reader
    )
    kids = (entry.kid for entry in challenge.header.kids)
    return challenge.signer, kids, challenge.custom_data


def _acknowledge(context: Context, envelope: Envelope) -> _Opened:
    challenge = open_acknowledgement(
        envelope, context.server_keys, context.backend, context.verifier.parse
    )
    return challenge.signer, (result.kid for result in challenge.results), None


def _join(context: Context, envelope: Envelope) -> _Opened:
    parse = context.verifier.parse
    challenge = open_join(envelope, context.server_keys, context.backend, parse)
    return challenge.signer, (), challenge.custom_data


def _leave(context: Context, envelope: Envelope) -> _Opened:
    parse = context.verifier.parse
    return open_leave(envelope, context.server_keys, context.backend, parse).signer, (), None


def _get_certificate(context: Context, envelope: Envelope) -> _Opened:
    asked = open_certificate_request(
        envelope, context.server_keys, context.backend, context.verifier.parse
    )
    return asked.signer, (), None


def _report_plays(context: Context, envelope: Envelope) -> _Opened:
    keys, options = context.metering_keys.by_name, context.options
    challenge = open_metering_data(
        envelope, keys, context.backend, context.verifier.parse, options.max_records
    )
    return challenge.signer, (usage.kid for usage in challenge.report.usage), None


def _report_stops(context: Context, envelope: Envelope) -> _Opened:
    keys, options = context.metering_keys.by_name, context.options
    challenge = open_secure_stop(
        envelope, keys, context.backend, context.verifier.parse, options.max_sessions
    )
    return challenge.signer, (session.kid for session in challenge.sessions), None


def _delete(context: Context, envelope: Envelope) -> _Opened:
    challenge = open_delete_license(
        envelope,
        context.server_keys,
        context.backend,
        context.verifier.parse,
        context.options.max_deleted_kids,
    )
    return challenge.signer, challenge.kids, None


_OPENERS: Final[Mapping[str, Callable[[Context, Envelope], _Opened]]] = {
    "AcquireLicense": _acquire,
    "AcknowledgeLicense": _acknowledge,
    "JoinDomain": _join,
    "LeaveDomain": _leave,
    "GetMeteringCertificate": _get_certificate,
    "ProcessMeteringData": _report_plays,
    "ProcessSecureStopData": _report_stops,
    "ProcessDeleteLicenseData": _delete,
}
"""The opener of each operation of clients."""
