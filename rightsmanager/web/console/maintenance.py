"""Removal of old records."""

from typing import Final

from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import GOOD, Act, Asked, Facts, Field, Notice, View, number
from rightsmanager.web.console.parts import Parts

_DAY_SECONDS: Final = 86400

_DEFAULT: Final = "empty: metering.keep_reports_days"


def _purge(parts: Parts, asked: Asked) -> View:
    days = asked.number("days")
    removed = parts.management.purge(None if days is None else days * _DAY_SECONDS)
    return View(
        "Purged",
        (
            Notice(GOOD, "Old records are removed. Totals and the ledger are kept."),
            Facts(tuple((name, number(count)) for name, count in removed.items())),
        ),
        up=Act("Licences", "licenses"),
    )


MAINTENANCE_ACTS: Final = {
    "purge": OperatorAct(
        "Purge old records?",
        "Old licences, reports and sessions are removed for good. Metering totals and the ledger "
        "are kept, and so are the licences on devices.",
        "Purge",
        "",
        (
            Field(
                "days", "Older than days", kind="number", hint="empty: metering.keep_reports_days"
            ),
        ),
        _purge,
        lambda _: "licenses",
        is_danger=True,
    ),
}
