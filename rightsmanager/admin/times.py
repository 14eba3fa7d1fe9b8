"""Times of facts: Unix seconds as dates in UTC."""

from datetime import UTC, datetime
from typing import Final, overload

Moment = datetime | int
"""A date, or Unix seconds beyond the year 9999, which a device's clock may have."""

_LAST: Final = 253402300799
"""9999-12-31T23:59:59Z."""


@overload
def date_of(seconds: int) -> datetime: ...


@overload
def date_of(seconds: None) -> None: ...


@overload
def date_of(seconds: int | None) -> datetime | None: ...


def date_of(seconds: int | None) -> datetime | None:
    """Return Unix seconds by the server's clock as a date in UTC; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def moment_of(seconds: int) -> Moment:
    """Return Unix seconds by a device's clock as a date in UTC, or as they are."""
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds <= _LAST else seconds
