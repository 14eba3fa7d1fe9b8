"""`rightsmanager purge`: removes what is old, and no totals."""

import json
import re
import time
from pathlib import Path
from typing import Final

import click

from rightsmanager.admin.retention import purge as purge_store
from rightsmanager.cli.options import data_option, json_option, made_store_of, settings_of

_SECONDS: Final = {"h": 3600, "d": 86400, "w": 7 * 86400}
_AGE: Final = re.compile(r"([0-9]{1,6})([hdw])")


class AgeParameter(click.ParamType[int]):
    """An age such as 90d, in seconds."""

    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the age in seconds; click shows what is wrong with it."""
        if isinstance(value, int):
            return value
        match = _AGE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no age, expected one such as 36h, 90d or 12w", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


@click.command()
@data_option
@click.option(
    "--older-than",
    "age",
    type=AgeParameter(),
    help="An age in hours, days or weeks: 36h, 90d, 12w.  [default: metering.keep_reports_days]",
)
@json_option
def purge(data: Path, age: int | None, *, as_json: bool) -> None:
    """Remove what is old: what metering reports said, playback sessions, streams that are over.

    Totals stay for good, and so does the ledger. A metering report whose content is removed still
    counts once, if it comes again.
    """
    settings = settings_of(data)
    keep = settings.metering.keep_reports_days * _SECONDS["d"] if age is None else age
    before = int(time.time()) - keep
    removed = dict(purge_store(made_store_of(settings), before))
    if as_json:
        click.echo(json.dumps(removed, indent=2))
        return
    for name, count in removed.items():
        click.echo(f"{count} {name} removed")
