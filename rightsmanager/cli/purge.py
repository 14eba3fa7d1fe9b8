"""`rightsmanager purge`: removes old reports, sessions and streams, and keeps the totals."""

import re
from typing import Final

import click

from rightsmanager.admin.retention import purge as purge_store
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import Parsed
from rightsmanager.cli.printing import Form, json_option, print_result

_SECONDS: Final = {"h": 3600, "d": 86400, "w": 7 * 86400}
_AGE: Final = re.compile(r"([0-9]{1,6})([hdw])")


def _parse_age(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an age, expected one such as 36h, 90d or 12w")
    return int(match[1]) * _SECONDS[match[2]]


@click.command()
@pass_operator
@click.option(
    "--older-than",
    "age",
    type=Parsed("age", _parse_age),
    help="Hours, days or weeks: 36h, 90d, 12w.  [default: metering.keep_reports_days]",
)
@json_option
def purge(operator: Operator, *, age: int | None, form: Form) -> None:
    """Remove old reports, sessions and streams.

    Metering totals and the ledger are kept. A metering report whose contents are removed is still
    counted only once if it is sent again.
    """
    if age is None:
        age = operator.settings.metering.keep_reports_days * _SECONDS["d"]
    removed = dict(purge_store(operator.store, now() - age))
    print_result(form, removed, *(f"{count} {name} removed" for name, count in removed.items()))
