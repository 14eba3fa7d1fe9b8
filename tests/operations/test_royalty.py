"""The cost of plays, and of a flat rate for each title."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.admin.royalty import Prices, Royalty, money
from rightsmanager.protocol.wire import Kid

KIDS = [Kid(bytes([number]) * 16) for number in range(4)]
AMOUNTS = st.decimals(0, 1000, places=4)


def test_the_published_example_saves_780_dollars() -> None:
    """10,000 songs, 2,000 plays, 8 cents a title or 1 cent a play: 20 against 800 dollars."""
    prices = Prices(Decimal("0.01"), Decimal("0.08"), "USD")
    royalty = Royalty({KIDS[0]: 1500, KIDS[1]: 500}, 10_000, prices)
    assert royalty.plays == 2000
    told = (royalty.metered, royalty.flat, royalty.saving)
    assert told == (Decimal(20), Decimal(800), Decimal(780))
    assert [royalty.due(plays) for plays in (1500, 500)] == [Decimal(15), Decimal(5)]


def test_with_many_plays_the_saving_is_negative() -> None:
    prices = Prices(Decimal("0.01"), Decimal("0.08"), "USD")
    assert Royalty({KIDS[0]: 2000}, 1, prices).saving == Decimal("-19.92")


@given(
    plays=st.lists(st.integers(0, 2**62), max_size=4),
    titles=st.integers(0, 2**40),
    per_play=AMOUNTS,
    per_title=AMOUNTS,
)
def test_amounts_are_exact(
    plays: list[int], titles: int, per_play: Decimal, per_title: Decimal
) -> None:
    by_kid = dict(zip(KIDS, plays, strict=False))
    royalty = Royalty(by_kid, titles, Prices(per_play, per_title, "EUR"))
    assert royalty.metered * 10_000 == sum(plays) * int(per_play * 10_000)
    assert royalty.flat * 10_000 == titles * int(per_title * 10_000)
    assert royalty.metered == sum(royalty.due(each) for each in plays)
    assert royalty.saving + royalty.metered == royalty.flat


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("20", "20.00"),
        ("800.000", "800.00"),
        ("1E+3", "1,000.00"),
        ("1234567.8", "1,234,567.80"),
        ("0.0125", "0.0125"),
        ("-19.92", "-19.92"),
    ],
)
def test_money_has_two_decimal_places_or_as_many_more_as_it_needs(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text
