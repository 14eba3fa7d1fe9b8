"""The options of usage queries."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.metering_ids import MeteringIds
from rightsmanager.admin.usage import UsageQuery, UsageReader
from rightsmanager.cli.operator import Operator, now
from rightsmanager.cli.options import Parsed, add_options
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.wire import Mid
from rightsmanager.store.metering import Period

if TYPE_CHECKING:
    from rightsmanager.admin.metering_ids import KnownMeteringId

_FIRST_DAY: Final = date(1970, 1, 1)


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
        """Return a metering id by its GUID, base64 or name; raises ServiceSpecific."""
        try:
            return self.ids.find(Mid.parse(mid))
        except InvalidMessage:
            named = [each for each in self.ids.find_all() if each.name == mid]
        if len(named) != 1:
            count = "is not a metering id's name" if not named else "is the name of several"
            raise ServiceSpecific(
                f"{mid!r} is neither a GUID nor base64, and {count}: see metering list"
            )
        return named[0]

    def question(self, mid: str | None, first: date | None, last: date | None) -> UsageQuery:
        """Return the usage query of the options, by default of the last 30 days.

        Raises ServiceSpecific for an unknown metering id.
        """
        until = last or datetime.now(UTC).date()
        since = first or until - timedelta(days=29)
        if since > until:
            raise click.UsageError(f"--from is {since}, expected a day no later than --to, {until}")
        found = self.operator.keyring.metering.mid if mid is None else self.find(mid).mid
        return UsageQuery(found, Period(_number(since), _number(until)))


def _parse_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if day < _FIRST_DAY:
        raise ValueError(f"{text!r} is not a day, expected one such as 2026-11-24")
    return day


_DAY: Final = Parsed("day", _parse_day)
question_options: Final = add_options(
    click.option("--mid", help="The metering id, or its name.  [default: the keyring's own]"),
    click.option("--from", "first", type=_DAY, help="The first day, UTC.  [default: 30 days ago]"),
    click.option("--to", "last", type=_DAY, help="The last day, UTC.  [default: today]"),
)


def _number(day: date) -> int:
    return (day - _FIRST_DAY).days


def heading(question: UsageQuery) -> str:
    """Return the metering id and the days of a query in words."""
    first, last = day_of(question.period.first), day_of(question.period.last)
    return f"metering id {question.mid.text}, {first} to {last} (UTC)"


def day_of(number: int) -> date:
    """Return the day of a number of days since 1970-01-01."""
    return _FIRST_DAY + timedelta(days=number)
