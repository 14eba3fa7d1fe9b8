"""xs:duration of fixed length: days, hours, minutes and seconds.

    [-]P[nD][T[nH][nM][n[.n]S]]     XML Schema Part 2, 3.2.6; at least one of them
    [-]PnS                          seconds without the T, as written by a widely used packager

Years and months have no fixed length and must be absent or 0.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from rightsmanager.errors import InvalidMessage

MAX_SECONDS: Final = 2**31
"""The longest accepted duration, about 68 years."""
_MAX_CHARACTERS: Final = 64
_NUMBER: Final = r"([0-9]+)"
_FRACTION: Final = r"([0-9]+(?:\.[0-9]+)?)"
_SCHEMA: Final = re.compile(
    rf"(-?)P(?=[0-9T])(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?"
    rf"(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_FRACTION}S)?)?"
)
_SECONDS_ALONE: Final = re.compile(rf"(-?)P(){'()' * 4}{_FRACTION}S")
_DAY, _HOUR, _MINUTE = 24 * 60 * 60, 60 * 60, 60


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration of zero or more, and its text as received."""

    seconds: Fraction
    text: str

    @classmethod
    def of(cls, seconds: Fraction) -> "Duration":
        """Return a duration in seconds, its text rounded to the microsecond."""
        rounded = f"{float(seconds):.6f}".rstrip("0").rstrip(".")
        return cls(seconds, f"PT{rounded}S")


def parse_duration(text: str, name: str) -> Duration:
    """Return the duration of a text; raises InvalidMessage that names `name`.

    Refuses years and months, negative durations, and more than 2^31 seconds.
    """
    match = _SCHEMA.fullmatch(text) or _SECONDS_ALONE.fullmatch(text)
    if match is None or len(text) > _MAX_CHARACTERS:
        raise InvalidMessage(f"{name} is {text[:32]!r}, expected a duration such as PT10S")
    sign, *numbers = match.groups()
    years, months, days, hours, minutes, seconds = (Fraction(number or 0) for number in numbers)
    if years or months:
        raise InvalidMessage(
            f"{name} is {text!r}, expected days, hours, minutes and seconds: "
            "years and months have no fixed length"
        )
    length = days * _DAY + hours * _HOUR + minutes * _MINUTE + seconds
    if (sign and length) or length > MAX_SECONDS:
        raise InvalidMessage(f"{name} is {text!r}, expected from 0 to {MAX_SECONDS} seconds")
    return Duration(length, text)
