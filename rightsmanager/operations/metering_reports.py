"""Reports for people: what was played, as totals by KID, action, day or device.

They come from totals, whose number does not grow with that of the reports. Those by device are kept
as long as the reports, all others for good.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.wire import Kid, Mid
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.metering import Period, Total


class By(Enum):
    """What totals are told apart by, beside the action."""

    KID = "kid"
    ACTION = "action"
    DAY = "day"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Whose totals of which days."""

    mid: Mid
    period: Period


_Find = Callable[[Transaction, Mid, Period], list[Total]]
_FIND: Final[Mapping[By, _Find]] = {
    By.KID: lambda found, mid, period: found.metering.find_totals_by_kid(mid, period),
    By.ACTION: lambda found, mid, period: found.metering.find_totals_by_action(mid, period),
    By.DAY: lambda found, mid, period: found.metering.find_totals_by_day(mid, period),
    By.DEVICE: lambda found, mid, period: found.metering.find_totals_by_device(mid, period),
}
"""What finds the totals of each kind."""


@dataclass(frozen=True, slots=True)
class MeteringReports:
    """What devices reported, added up."""

    store: Store
    keeps_reports: bool
    """Whether what reports say is stored beside the totals."""

    def find(self, question: UsageQuestion, by: By) -> Sequence[Total]:
        """Return the totals of a metering id, days in their order, all else the most used first.

        Raises ServiceSpecific for devices where no report is kept.
        """
        if by is By.DEVICE and not self.keeps_reports:
            raise ServiceSpecific(
                "metering.keep_reports_days is 0: only totals are kept, and nothing of devices"
            )
        with self.store.reading() as found:
            return _FIND[by](found, question.mid, question.period)

    def find_plays(self, question: UsageQuestion, action: str) -> Mapping[Kid, int]:
        """Return how often an action was done with each content key, the most used first."""
        return {
            total.group: total.value
            for total in self.find(question, By.KID)
            if total.action == action and isinstance(total.group, Kid)
        }
