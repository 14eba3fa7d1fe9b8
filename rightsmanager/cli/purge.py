"""`rightsmanager purge`: removes old records, and keeps the totals."""

from typing import Final

import click

from rightsmanager.admin.retention import purge as purge_store
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import AGE
from rightsmanager.cli.printing import Form, json_option, print_result

_DAY_SECONDS: Final = 86400


@click.command()
@pass_operator
@click.option(
    "--older-than",
    "age",
    type=AGE,
    help="Hours, days or weeks: 36h, 90d, 12w.  [default: metering.keep_reports_days]",
)
@json_option
def purge(operator: Operator, *, age: int | None, form: Form) -> None:
    """Remove old licences, reports and sessions.

    Metering totals and the ledger are kept. A metering report whose contents are removed is still
    counted only once if it is sent again. A licence whose record is removed stays with its device.
    """
    if age is None:
        age = operator.settings.metering.keep_reports_days * _DAY_SECONDS
    removed = dict(purge_store(operator.store, now() - age))
    print_result(form, removed, *(f"{name}: {count} removed" for name, count in removed.items()))
