"""Durations in the spellings of packagers; others are refused."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.durations import MAX_SECONDS, Duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P0S", 0),
        ("P90S", 90),
        ("P1.5S", 1.5),
        ("PT0S", 0),
        ("-PT0S", 0),
        ("PT10S", 10),
        ("PT10.25S", 10.25),
        ("PT1H2M3S", 3723),
        ("PT1M", 60),
        ("P1D", 86400),
        ("P1DT1S", 86401),
        ("P0Y0M0DT0H0M4S", 4),
        ("PT000010S", 10),
        (f"PT{MAX_SECONDS}S", MAX_SECONDS),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text, "Offset") == Duration(Fraction(seconds), text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "P", "PT", "P1DT", "T1S", "10", "PT1", "1S", "p0s", "PT0s", "P-1S", "PT1S "),
        *("P1H", "P1D2S", "PT1.S", "PT.5S", "PT1,5S", "PT1.5M", "PT1e3S", "P1W", "+PT1S"),
        *("PT1S2M", "PT\u0661S", "00:00:10", "forever", "PT1S\x00", "PT" + "0" * 62 + "1S"),
    ],
)
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^Offset is .*, expected a duration such as PT10S"):
        parse_duration(text, "Offset")


@pytest.mark.parametrize("text", ["P1Y", "P1M", "P0Y1M", "P1Y2M3DT4H5M6S"])
def test_a_duration_without_fixed_length_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match="years and months have no fixed length"):
        parse_duration(text, "Offset")


@pytest.mark.parametrize("text", ["-PT1S", "-P0.1S", f"PT{MAX_SECONDS}.1S", "P999999999D"])
def test_a_negative_or_too_long_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match="expected from 0 to 2147483648 seconds"):
        parse_duration(text, "Offset")


@given(st.integers(0, MAX_SECONDS * 1000 - 1))
def test_a_written_duration_is_read(milliseconds: int) -> None:
    seconds = Fraction(milliseconds, 1000)
    written = Duration.of(seconds)
    assert parse_duration(written.text, "Offset") == written


@given(st.text(alphabet="PTDHMSY-+.,0123456789 ", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidMessage):
        assert parse_duration(text, "Offset").seconds >= 0
