"""Royalties: a price for each play, compared with a flat price for each title.

Without metering, the holder of the rights is paid a flat price for each title of a collection,
played or not. With metering, each play has a price. Amounts are exact: whole numbers of plays and
titles times decimal prices.

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
    """The price of a play, and of a title at a flat rate."""

    per_play: Decimal
    per_title: Decimal
    currency: str
    """The printed name, such as USD."""


@dataclass(frozen=True)
class Royalty:
    """The amount due for the plays of a period, and the amount at a flat rate."""

    plays_by_kid: Mapping[Kid, int]
    titles: int
    """Titles of the collection, played or not."""
    prices: Prices

    @cached_property
    def plays(self) -> int:
        """The number of plays."""
        return sum(self.plays_by_kid.values())

    @property
    def metered(self) -> Decimal:
        """The amount due for the plays."""
        return self.due(self.plays)

    @property
    def flat(self) -> Decimal:
        """The amount due at the flat rate."""
        return self.titles * self.prices.per_title

    @property
    def saving(self) -> Decimal:
        """The saving by paying for plays; negative if they cost more."""
        return self.flat - self.metered

    def due(self, plays: int) -> Decimal:
        """Return the amount due for a number of plays."""
        return plays * self.prices.per_play


def money(amount: Decimal) -> str:
    """Return an amount with at least two decimal places."""
    normal = amount.normalize()
    exponent = normal.as_tuple().exponent
    places = max(2, -exponent if isinstance(exponent, int) else 0)
    return f"{amount:,.{places}f}"
