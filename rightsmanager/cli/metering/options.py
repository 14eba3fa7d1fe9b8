"""Options of several metering commands, and what they stand for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.assembly import open_keyring
from rightsmanager.cli.options import GuidParameter, made_store_of, settings_of
from rightsmanager.crypto.random import system_random
from rightsmanager.environment import passphrase
from rightsmanager.keyring import Keyring
from rightsmanager.operations.metering_keys import MeteringIds
from rightsmanager.operations.metering_reports import MeteringReports, UsageQuestion
from rightsmanager.protocol.wire import Mid
from rightsmanager.settings import Settings
from rightsmanager.store.database import Store
from rightsmanager.store.metering import Period

Command = TypeVar("Command", bound=Callable[..., Any])
_FIRST_DAY: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class MeteringAdmin:
    """What commands about metering work on."""

    settings: Settings
    keyring: Keyring
    store: Store

    @property
    def ids(self) -> MeteringIds:
        """The metering ids, to be changed."""
        return MeteringIds(
            own=self.keyring.metering,
            storage_key=self.keyring.storage_key,
            store=self.store,
            clock=lambda: int(time.time()),
            rng=system_random,
        )

    @property
    def reports(self) -> MeteringReports:
        """What devices reported."""
        return MeteringReports(
            self.store, keeps_reports=self.settings.metering.keep_reports_days > 0
        )


def metering_admin(data: Path) -> MeteringAdmin:
    """Return settings, keyring and store of a data folder; the store is closed at the end."""
    settings = settings_of(data)
    keyring = open_keyring(settings, passphrase())
    return MeteringAdmin(settings, keyring, made_store_of(settings))


class DayParameter(click.ParamType[date]):
    """A day such as 2026-11-24."""

    name = "day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Return the day; click shows what is wrong with it."""
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(str(value))
        except ValueError:
            day = date.min
        if day < _FIRST_DAY:
            self.fail(f"{value!r} is no day, expected one such as 2026-11-24", param, ctx)
        return day


def question_options(command: Command) -> Command:
    """Add `--mid`, `--from` and `--to`."""
    for option in (
        click.option("--to", "last", type=DayParameter(), help="The last day.  [default: today]"),
        click.option(
            "--from", "first", type=DayParameter(), help="The first day.  [default: 30 days]"
        ),
        click.option(
            "--mid", type=GuidParameter(Mid), help="The metering id.  [default: the keyring's own]"
        ),
    ):
        command = option(command)
    return command


def question(
    operated: MeteringAdmin, mid: Mid | None, first: date | None, last: date | None
) -> UsageQuestion:
    """Return what options ask for; click shows what is wrong with them.

    Raises ServiceSpecific for a metering id that is not this server's.
    """
    until = last or datetime.now(UTC).date()
    since = first or until - timedelta(days=29)
    if since > until:
        raise click.UsageError(f"--from is {since}, expected a day no later than --to, {until}")
    whose = operated.keyring.metering.mid if mid is None else operated.ids.find(mid).mid
    return UsageQuestion(whose, Period(_number(since), _number(until)))


def _number(day: date) -> int:
    return (day - _FIRST_DAY).days


def day_of(number: int) -> date:
    """Return the day of a number of days since 1970-01-01."""
    return _FIRST_DAY + timedelta(days=number)
