"""`rightsmanager device challenge` and `accept`: messages for other HTTP and SOAP clients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rightsmanager.cli.device.acquire import license_facts, print_opened
from rightsmanager.cli.device.content import Content, content_options, kid_option
from rightsmanager.cli.device.session import (
    account_option,
    custom_data_option,
    device_option,
    open_session,
    reply_notes,
)
from rightsmanager.cli.options import INPUT, MID, SERVICE
from rightsmanager.cli.printing import Form, json_option, print_facts, print_json
from rightsmanager.device.acquire import Acknowledgement, Acquired
from rightsmanager.device.deletion import Deletion
from rightsmanager.device.domains import HeldDomain
from rightsmanager.device.membership import Joining
from rightsmanager.device.messages import Accepted, Challenge, Messages, Wrapping
from rightsmanager.files import write_output
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.messages.metering import MeteringCertificate, MeteringReport
from rightsmanager.protocol.messages.packaging import StreamInformation
from rightsmanager.protocol.messages.secure_stop import SecureStopResponse

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import AccountId, Kid, Mid, ServiceId


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a challenge; None or empty for those that are not given."""

    kids: "tuple[Kid, ...]"
    content: Content
    custom_data: str | None
    account_id: "AccountId | None"
    service_id: "ServiceId | None"
    friendly_name: str | None
    mid: "Mid | None"
    programs: tuple[str, ...]


@click.command()
@device_option
@kid_option
@content_options
@custom_data_option
@account_option
@click.option("--service", "service_id", type=SERVICE, help="DomainServiceID, for JoinDomain.")
@click.option("--friendly-name", help="The device's name in the domain, for JoinDomain.")
@click.option("--mid", type=MID, help="The metering id, for the operations of metering.")
@click.option(
    "--program",
    "programs",
    multiple=True,
    help="A ProgramIdentifier, for AcquirePackagingData; repeat it for more.",
)
@click.option(
    "--soap11", "wrapping", flag_value="soap11", help="Put a SOAP 1.1 envelope around it."
)
@click.option(
    "--soap12", "wrapping", flag_value="soap12", help="Put a SOAP 1.2 envelope around it."
)
@click.option(
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="The file to write, - for standard output.",
)
@click.argument("operation", metavar="OPERATION")
def challenge(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    kids: "tuple[Kid, ...]",
    custom_data: str | None,
    account_id: "AccountId | None",
    service_id: "ServiceId | None",
    friendly_name: str | None,
    mid: "Mid | None",
    programs: tuple[str, ...],
    wrapping: str | None,
    output: Path,
    operation: str,
    **content: Any,  # noqa: ANN401 -- the fields of Content
) -> None:
    """Write the challenge of an operation.

    The file is for your own HTTP or SOAP client. Without --soap11 or --soap12 it is the bare
    element that a SOAP client takes as argument. Give the reply to `accept`, which takes one reply
    for each challenge.

    Example: rightsmanager device challenge AcquireLicense --device players/one --kid KID
    --soap11 --output challenge.xml
    """
    make = _CHALLENGES.get(operation)
    if make is None:
        raise click.UsageError(
            f"OPERATION is {operation!r}, expected one of {', '.join(_CHALLENGES)}"
        )
    request = Request(
        kids, Content(**content), custom_data, account_id, service_id, friendly_name, mid, programs
    )
    _refuse_other_options(operation)
    made = make(Messages(open_session(folder)), request)
    text = made.text(Wrapping(wrapping or "bare"))
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        write_output(output, text)
        click.echo(f"The challenge is in {output}.")


@click.command()
@device_option
@json_option
@click.argument("file", type=INPUT)
def accept(folder: Path, *, form: Form, file: bytes) -> None:
    """Verify a reply and store what it brings.

    FILE (- for standard input) is the reply to a challenge that `challenge` wrote: a SOAP envelope,
    the operation's element, or the Response in it. A fault is reported as by `acquire`.
    """
    session = open_session(folder)
    accepted = Messages(session).accept(file)
    facts = _facts(accepted, session.now)
    if form == "json":
        custom_data = reply_notes().custom_data
        print_json({"operation": accepted.operation, **facts, "custom_data": custom_data})
    elif isinstance(accepted.result, Acquired):
        print_opened(accepted.result.licenses, session.now)
    else:
        print_facts(None, {"operation": accepted.operation, **facts})


# --- challenges -----------------------------------------------------------------------------------


def _acquire(messages: Messages, request: Request) -> Challenge:
    header = request.content.header(request.kids)
    return messages.acquire_license(header, request.custom_data, request.account_id)


def _join(messages: Messages, request: Request) -> Challenge:
    if request.service_id is None:
        raise click.UsageError("JoinDomain needs --service")
    joining = Joining(
        request.service_id, request.account_id, request.friendly_name, request.custom_data
    )
    return messages.join_domain(joining)


def _leave(messages: Messages, request: Request) -> Challenge:
    if request.account_id is None:
        raise click.UsageError("LeaveDomain needs --account")
    return messages.leave_domain(request.account_id)


def _certificate(messages: Messages, request: Request) -> Challenge:
    if request.mid is None:
        raise click.UsageError("GetMeteringCertificate needs --mid")
    return messages.get_metering_certificate(request.mid)


def _packaging(messages: Messages, request: Request) -> Challenge:
    if not request.programs:
        raise click.UsageError("AcquirePackagingData needs --program")
    start = parse_duration("PT0S", "offset")
    return messages.acquire_packaging_data(
        [StreamInformation(program, start) for program in request.programs]
    )


_CHALLENGES: Final[Mapping[str, Callable[[Messages, Request], Challenge]]] = {
    "AcquireLicense": _acquire,
    "AcknowledgeLicense": lambda messages, _: messages.acknowledge_license(),
    "JoinDomain": _join,
    "LeaveDomain": _leave,
    "GetMeteringCertificate": _certificate,
    "ProcessMeteringData": lambda messages, request: messages.process_metering_data(request.mid),
    "ProcessSecureStopData": lambda messages, request: messages.process_secure_stop_data(
        request.mid
    ),
    "ProcessDeleteLicenseData": lambda messages, request: messages.process_delete_license_data(
        request.kids
    ),
    "AcquirePackagingData": _packaging,
}
_CONTENT: Final = frozenset(("kids", "header_file", "pssh", "header_version", "algid"))
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "AcquireLicense": _CONTENT | {"custom_data", "account_id"},
    "AcknowledgeLicense": frozenset(),
    "JoinDomain": frozenset(("service_id", "account_id", "friendly_name", "custom_data")),
    "LeaveDomain": frozenset(("account_id",)),
    "GetMeteringCertificate": frozenset(("mid",)),
    "ProcessMeteringData": frozenset(("mid",)),
    "ProcessSecureStopData": frozenset(("mid",)),
    "ProcessDeleteLicenseData": frozenset(("kids",)),
    "AcquirePackagingData": frozenset(("programs",)),
}
"""The options of each operation, of those that belong to some."""


def _refuse_other_options(operation: str) -> None:
    """Refuse options that the operation would ignore."""
    context = click.get_current_context()
    others = frozenset[str]().union(*_OPTIONS.values()) - _OPTIONS[operation]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in others and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{operation} does not take {parameter.opts[0]}")


# --- replies --------------------------------------------------------------------------------------


def _facts(accepted: Accepted, now: int) -> dict[str, object]:
    facts: dict[str, object]
    match accepted.result:
        case Acquired() as acquired:
            transaction_id = acquired.response.transaction_id
            facts = {
                "transaction_id": None if transaction_id is None else transaction_id.text,
                "licenses": [license_facts(each, now) for each in acquired.licenses],
            }
        case Acknowledgement() as acknowledged:
            facts = {
                "transaction_id": acknowledged.transaction_id.text,
                "kids": [each.kid.text for each in acknowledged.results],
            }
        case HeldDomain() as domain:
            facts = {
                "account_id": domain.account_id.text,
                "service_id": domain.service_id.text,
                "revisions": [each.revision for each in domain.revisions],
            }
        case MeteringCertificate() as certificate:
            facts = {"metering_id": certificate.mid.text, "url": certificate.url}
        case MeteringReport() as report:
            facts = {
                "metering_id": report.mid.text,
                "transaction_id": report.transaction_id.text,
                "count": sum(each.value for each in report.usage),
            }
        case SecureStopResponse() as stopped:
            facts = {
                "metering_id": stopped.mid.text,
                "accepted": [each.text for each in stopped.accepted],
                "verified": None if stopped.verified is None else stopped.verified.text,
            }
        case Deletion() as deletion:
            facts = {
                "session_id": deletion.session_id.text,
                "kids": [kid.text for kid in deletion.kids],
            }
        case protections:
            facts = {
                "keys": [
                    {"program": each.program, "kid": each.kid.text, "content_key": each.key.hex()}
                    for each in protections
                ]
            }
    return facts
