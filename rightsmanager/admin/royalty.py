"""What metering saves: a price for each play, against a flat price for each title.

Without counts, whoever holds the rights is paid a flat price for each title of a collection, played
or not. With metering, each play has a price. Amounts are exact: whole numbers of plays and titles
times decimal prices.

Source: the published description of metering and its worked example, in which a subscriber keeps
10,000 songs and plays 2,000 times: at 1 cent a play 20 dollars, at 8 cents a title 800.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from rightsmanager.protocol.wire import Kid


@dataclass(frozen=True)
class Prices:
    """What a play costs, and what a title costs at a flat rate."""

    per_play: Decimal
    per_title: Decimal
    currency: str
    """As it is printed, such as USD."""


@dataclass(frozen=True)
class Royalty:
    """What is due for the plays of a period, and what a flat rate would have come to."""

    plays_by_kid: Mapping[Kid, int]
    titles: int
    """Of the collection, played or not."""
    prices: Prices

    @cached_property
    def plays(self) -> int:
        """How often anything was played."""
        return sum(self.plays_by_kid.values())

    @property
    def metered(self) -> Decimal:
        """What is due for the plays."""
        return self.due(self.plays)

    @property
    def flat(self) -> Decimal:
        """What would be due for the titles."""
        return self.titles * self.prices.per_title

    @property
    def saving(self) -> Decimal:
        """How much less the plays come to; negative if they come to more."""
        return self.flat - self.metered

    def due(self, plays: int) -> Decimal:
        """Return what is due for a number of plays."""
        return plays * self.prices.per_play


def money(amount: Decimal) -> str:
    """Return an amount with two decimal places, or as many more as it has."""
    normal = amount.normalize()
    exponent = normal.as_tuple().exponent
    places = max(2, -exponent if isinstance(exponent, int) else 0)
    return f"{amount:,.{places}f}"
