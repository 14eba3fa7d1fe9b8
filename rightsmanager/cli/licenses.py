"""`rightsmanager licenses`: every licence that was issued."""

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.issued import IssuedReader, LicenseFacts
from rightsmanager.cli.device_parameter import DEVICE
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import AGE, KID, limit_option
from rightsmanager.cli.printing import Form, form_options, print_list
from rightsmanager.store.licenses import LicenseFilter

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import Kid

_COLUMNS: Final = {
    "issued_at": "issued",
    "device": "device",
    "kid": "KID",
    "license_id": "licence",
    "policy": "policy",
}

_DEVICE_COLUMNS: Final = {
    "device": "device",
    "licenses": "licences",
    "first_at": "first",
    "last_at": "last",
}


@click.group()
def licenses() -> None:
    """List issued licences."""


@licenses.command(name="list")
@pass_operator
@form_options
@click.option("--device", type=DEVICE, help="Licences of this device (id, chain file or folder).")
@click.option("--kid", type=KID, help="Licences for this KID.")
@click.option("--newer-than", type=AGE, help="Licences of the last hours, days or weeks: 36h, 90d.")
@click.option("--older-than", type=AGE, help="Licences issued before that.")
@limit_option
def list_(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    device: str | None,
    kid: "Kid | None",
    newer_than: int | None,
    older_than: int | None,
    limit: int,
    form: Form,
) -> None:
    """List issued licences, newest first.

    The policy is the one that the server decided on, as JSON.
    """
    at = now()
    chosen = LicenseFilter(
        device,
        kid,
        None if newer_than is None else at - newer_than,
        None if older_than is None else at - older_than,
    )
    facts = IssuedReader(operator.store).find_licenses(chosen, limit)
    # A table and CSV have the policy as text.
    shown = facts if form == "json" else [_with_text(fact) for fact in facts]
    print_list(form, shown, _COLUMNS)


def _with_text(facts: LicenseFacts) -> dict[str, object]:
    shown = {each.name: getattr(facts, each.name) for each in fields(facts)}
    return {**shown, "policy": json.dumps(facts.policy)}


@licenses.command()
@pass_operator
@form_options
@limit_option
def devices(operator: Operator, *, limit: int, form: Form) -> None:
    """List the devices with licences, the last one first."""
    print_list(form, IssuedReader(operator.store).find_devices(limit), _DEVICE_COLUMNS)
