"""`rightsmanager metering report`: what was played, by KID, action, day or device."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.metering.options import day_of, metering_admin, question, question_options
from rightsmanager.cli.options import data_option, json_option
from rightsmanager.cli.printing import csv_option, print_csv, print_table, printable
from rightsmanager.operations.metering_reports import By, UsageQuestion
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.store.metering import Total


@click.command()
@data_option
@question_options
@click.option("--by", type=click.Choice([by.value for by in By]), default=By.KID.value)
@csv_option
@json_option
def report(  # noqa: PLR0913 -- the options of a command
    data: Path,
    mid: Mid | None,
    first: date | None,
    last: date | None,
    by: str,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Tell how often content was played, and what else devices reported, in days of UTC.

    By kid, action and device the most used stand first. By device it tells only of the reports that
    are still kept; all else comes from the totals, which stay for good.
    """
    operated = metering_admin(data)
    asked = question(operated, mid, first, last)
    totals = operated.reports.find(asked, By(by))
    if as_json:
        click.echo(json.dumps(_facts(asked, By(by), totals), indent=2))
        return
    columns = ("action", "value") if by == By.ACTION.value else (by, "action", "value")
    rows = [[str(_row(By(by), total)[column]) for column in columns] for total in totals]
    if as_csv:
        print_csv(columns, rows)
    else:
        print_table(columns, [list(map(printable, row)) for row in rows])


def _facts(asked: UsageQuestion, by: By, totals: Sequence[Total]) -> dict[str, Any]:
    return {
        "mid": asked.mid.text,
        "from": day_of(asked.period.first).isoformat(),
        "to": day_of(asked.period.last).isoformat(),
        "by": by.value,
        "totals": [_row(by, total) for total in totals],
    }


def _row(by: By, total: Total) -> dict[str, Any]:
    counted = {"action": total.action, "value": total.value}
    return counted if by is By.ACTION else {by.value: _group(total), **counted}


def _group(total: Total) -> str:
    group = total.group
    if isinstance(group, Kid):
        return group.text
    return day_of(group).isoformat() if isinstance(group, int) else str(group)
