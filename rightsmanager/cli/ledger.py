"""`rightsmanager ledger`: the persistent licences of a device and their states."""

import sys
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.ledger import LedgerReader
from rightsmanager.cli.device_parameter import DEVICE
from rightsmanager.cli.failures import report
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import KID
from rightsmanager.cli.printing import Form, json_option, print_json, print_list
from rightsmanager.errors import Refusal

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import Kid

_COLUMNS: Final = {
    "kid": "KID",
    "state": "state",
    "license_id": "licence",
    "issued_at": "issued",
    "expires_at": "expires",
    "deleted_at": "deleted",
    "result": "result",
}
_UNKNOWN_COLUMNS: Final = {
    "kid": "KID",
    "session_id": "session",
    "deleted_at": "deleted",
}
YES, NO, FAILED = 0, 1, 2
"""Exit statuses of the question, as grep has them."""


@click.command()
@pass_operator
@json_option
@click.option(
    "--kid",
    type=KID,
    help="Must the device ask again for this KID? Exit status 0: yes, 1: no, 2: failure.",
)
@click.argument("device", type=DEVICE)
def ledger(operator: Operator, *, device: str, kid: "Kid | None", form: Form) -> None:
    """Show the persistent licences of a device.

    A DEVICE is its id, its chain's file or its folder.
    """
    if kid is None:
        _show(operator, device, form)
        return
    try:
        must_ask = _ask(operator, device, kid, form)
    except Refusal as refusal:
        report(refusal, form)
        sys.exit(FAILED)
    sys.exit(YES if must_ask else NO)


def _show(operator: Operator, device: str, form: Form) -> None:
    facts = LedgerReader(operator.store, now).find(device)
    if form == "json":
        print_json(facts)
        return
    print_list(form, facts.licenses, _COLUMNS)
    if facts.unknown:
        click.echo("\nDeleted, but never issued to the device:")
        print_list(form, facts.unknown, _UNKNOWN_COLUMNS)


def _ask(operator: Operator, device: str, kid: "Kid", form: Form) -> bool:
    answer = LedgerReader(operator.store, now).ask(device, kid)
    if form == "json":
        print_json(answer)
    else:
        must = "must ask again" if answer.must_ask_again else "need not ask again"
        click.echo(f"the device {must} for KID {answer.kid.text}")
        if answer.licenses:
            print_list(form, answer.licenses, _COLUMNS)
    return answer.must_ask_again
