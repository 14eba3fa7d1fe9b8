"""`rightsmanager metering report`: usage by KID, action, day or device."""

from typing import TYPE_CHECKING

import click

from rightsmanager.admin.usage import By, day_of, total_facts
from rightsmanager.cli.metering.options import MeteringAdmin, heading, question_options
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.printing import Form, form_options, print_json, print_list

if TYPE_CHECKING:
    from datetime import date

    from rightsmanager.store.metering import Total


@click.command()
@pass_operator
@question_options
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    default=By.KID.value,
    show_default=True,
    help="The grouping.",
)
@form_options
def report(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    mid: str | None,
    first: "date | None",
    last: "date | None",
    by: str,
    form: Form,
) -> None:
    """Report how often content was played.

    Other actions that devices reported are counted too. Days are those of UTC. By KID, action and
    device the most used come first. The totals are kept for good, but the devices only as long as
    their reports.
    """
    metering = MeteringAdmin(operator)
    question = metering.question(mid, first, last)
    rows = [_row(By(by), total) for total in metering.reports.find(question, By(by))]
    if form == "json":
        print_json(
            {
                "mid": question.mid.text,
                "from": day_of(question.period.first).isoformat(),
                "to": day_of(question.period.last).isoformat(),
                "by": by,
                "totals": rows,
            }
        )
        return
    if form is None:
        click.echo(heading(question))
    columns = ("action", "value") if by == By.ACTION.value else (by, "action", "value")
    print_list(form, rows, dict(zip(columns, columns, strict=True)))


def _row(by: By, total: "Total") -> dict[str, object]:
    facts = total_facts(total)
    row: dict[str, object] = {"action": facts.action, "value": facts.value}
    return row if by is By.ACTION else {by.value: facts.group, **row}
