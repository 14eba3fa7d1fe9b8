"""Reports a failed command: one line or JSON, and an exit status for each kind of failure."""

from dataclasses import asdict, dataclass
from typing import Final

import click

from rightsmanager.cli.printing import Form, print_json, printable
from rightsmanager.errors import ConnectionFailed, Refusal

FAILURE: Final = 1
"""The command could not do its work; 2 is click's, for wrong usage."""
FAULT: Final = 3
"""A server answered with a fault."""
NO_CONNECTION: Final = 4
"""A server gave no answer, or none of SOAP."""


@dataclass(slots=True)
class Invocation:
    """A run of `main`: the form that the command's options ask for."""

    form: Form = None


def exit_status(refusal: Refusal) -> int:
    """Return the exit status of a command that failed with a refusal."""
    if refusal.is_received:
        return FAULT
    return NO_CONNECTION if isinstance(refusal, ConnectionFailed) else FAILURE


def failure_facts(refusal: Refusal) -> dict[str, object]:
    """Return the JSON of a failure: `fault` if a server sent it, else `error`."""
    if not refusal.is_received:
        kind = "connection" if isinstance(refusal, ConnectionFailed) else "failure"
        return {"error": {"kind": kind, "text": refusal.text}}
    return {
        "fault": {
            "status_code": refusal.status.hex,
            "text": refusal.text,
            "custom_data": refusal.custom_data,
            "domain": None if refusal.domain is None else asdict(refusal.domain),
            "redirect": refusal.redirect_url,
        }
    }


def failure_line(refusal: Refusal) -> str:
    """Return a failure in one line, with the status code of a server's fault."""
    # A local failure has none: no server has said it.
    code = f" ({refusal.status.hex})" if refusal.is_received else ""
    return f"{printable(refusal.text)}{code}"


def report(refusal: Refusal, form: Form) -> None:
    """Print a failure: JSON if the command prints JSON, else a line on standard error."""
    if form == "json":
        print_json(failure_facts(refusal))
    else:
        print_failure(refusal)


def print_failure(refusal: Refusal, about: str = "") -> None:
    """Print a failure on standard error, and the CustomData of a fault.

    about: what failed, a beginning of the line such as "metering id …: ".
    """
    click.echo(f"rightsmanager: {about}{failure_line(refusal)}", err=True)
    if refusal.custom_data:
        click.echo(f"CustomData: {printable(refusal.custom_data)}", err=True)
