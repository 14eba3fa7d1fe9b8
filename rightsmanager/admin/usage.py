"""Usage: totals of what devices reported, by KID, action, day or device.

Totals do not grow with the number of reports. Those by device are kept as long as the reports, all
others for good.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.metering import Period, Total

FIRST_DAY: Final = date(1970, 1, 1)
"""The day that numbers of days count from."""


class By(Enum):
    """The grouping of totals, in addition to the action."""

    KID = "kid"
    ACTION = "action"
    DAY = "day"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A usage query: metering id and date range."""

    mid: Mid
    period: Period


_Find = Callable[[Transaction, Mid, Period], list[Total]]
_FIND: Final[Mapping[By, _Find]] = {
    By.KID: lambda found, mid, period: found.metering.find_totals_by_kid(mid, period),
    By.ACTION: lambda found, mid, period: found.metering.find_totals_by_action(mid, period),
    By.DAY: lambda found, mid, period: found.metering.find_totals_by_day(mid, period),
    By.DEVICE: lambda found, mid, period: found.metering.find_totals_by_device(mid, period),
}


def number_of(day: date) -> int:
    """Return the number of days since 1970-01-01."""
    return (day - FIRST_DAY).days


def day_of(number: int) -> date:
    """Return the day of a number of days since 1970-01-01."""
    return FIRST_DAY + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class TotalFacts:
    """The count of an action."""

    group: str | None
    """The KID, day or device; None where totals are by action alone."""
    action: str
    value: int


def total_facts(total: Total) -> TotalFacts:
    """Return the facts of a total."""
    group = total.group
    if isinstance(group, Kid):
        return TotalFacts(group.text, total.action, total.value)
    shown = day_of(group).isoformat() if isinstance(group, int) else group
    return TotalFacts(shown, total.action, total.value)


@dataclass(frozen=True, slots=True)
class UsageReader:
    """Finds the totals of reports."""

    store: Store
    keeps_reports: bool
    """True if the content of reports is stored in addition to the totals."""

    def find(self, query: UsageQuery, by: By) -> Sequence[Total]:
        """Return the totals of a metering id: days in order, all others most used first.

        Raises ServiceSpecific for totals by device if no reports are kept.
        """
        if by is By.DEVICE and not self.keeps_reports:
            raise ServiceSpecific(
                "metering.keep_reports_days is 0: only totals are kept, and nothing of devices"
            )
        with self.store.reading() as found:
            return _FIND[by](found, query.mid, query.period)

    def find_plays(self, query: UsageQuery, action: str) -> Mapping[Kid, int]:
        """Return the number of times that each KID had an action, most used first."""
        return {
            total.group: total.value
            for total in self.find(query, By.KID)
            if total.action == action and isinstance(total.group, Kid)
        }
