"""The options of usage queries."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.metering_ids import MeteringIds
from rightsmanager.admin.usage import FIRST_DAY, UsageQuery, UsageReader, day_of, number_of
from rightsmanager.cli.operator import Operator, now
from rightsmanager.cli.options import Parsed, add_options
from rightsmanager.crypto.random import system_random
from rightsmanager.store.metering import Period

if TYPE_CHECKING:
    from rightsmanager.admin.metering_ids import KnownMeteringId


@dataclass(frozen=True, slots=True)
class MeteringAdmin:
    """The metering ids and reports of a data folder."""

    operator: Operator

    @property
    def ids(self) -> MeteringIds:
        """The metering ids, for reading and changes."""
        return MeteringIds(
            own=self.operator.keyring.metering,
            storage_key=self.operator.keyring.storage_key,
            store=self.operator.store,
            clock=now,
            rng=system_random,
        )

    @property
    def reports(self) -> UsageReader:
        """The usage that devices reported."""
        keeps_reports = self.operator.settings.metering.keep_reports_days > 0
        return UsageReader(self.operator.store, keeps_reports=keeps_reports)

    def find(self, mid: str) -> "KnownMeteringId":
        """Return a metering id by its GUID, base64 or name; raises NotFound."""
        return self.ids.find_named(mid)

    def question(self, mid: str | None, first: date | None, last: date | None) -> UsageQuery:
        """Return the usage query of the options, by default of the last 30 days.

        Raises NotFound for an unknown metering id.
        """
        until = last or datetime.now(UTC).date()
        since = first or until - timedelta(days=29)
        if since > until:
            raise click.UsageError(f"--from is {since}, expected a day no later than --to, {until}")
        found = self.operator.keyring.metering.mid if mid is None else self.find(mid).mid
        return UsageQuery(found, Period(number_of(since), number_of(until)))


def _parse_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if day < FIRST_DAY:
        raise ValueError(f"{text!r} is not a day, expected one such as 2026-11-24")
    return day


_DAY: Final = Parsed("day", _parse_day)
question_options: Final = add_options(
    click.option("--mid", help="The metering id, or its name.  [default: the keyring's own]"),
    click.option("--from", "first", type=_DAY, help="The first day, UTC.  [default: 30 days ago]"),
    click.option("--to", "last", type=_DAY, help="The last day, UTC.  [default: today]"),
)


def heading(question: UsageQuery) -> str:
    """Return the metering id and the days of a query in words."""
    first, last = day_of(question.period.first), day_of(question.period.last)
    return f"metering id {question.mid.text}, {first} to {last} (UTC)"
