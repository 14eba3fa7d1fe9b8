"""Metering in the store: each report once, its usage until it is purged, and totals for good.

A report costs as much as its own rows: it is found by a key, its usage is written at the end of its
table, and its totals are next to the others of the day.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Row, Select, bindparam, delete, desc, func, select

from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from rightsmanager.store import hot
from rightsmanager.store.component import Component
from rightsmanager.store.tables import (
    BATCH_ROWS,
    METERING_DEVICES,
    METERING_REPORTS,
    METERING_TOTALS,
    METERING_USAGE,
)

DAY_SECONDS: Final = 86400
_MAX_REPORT: Final = 2**63 - 1

_REPORT: Final = METERING_REPORTS.c
_USAGE: Final = METERING_USAGE.c
_DEVICE: Final = METERING_DEVICES.c
_TOTAL: Final = METERING_TOTALS.c


def _totals_by(*columns: Column[Any]) -> Select[tuple[Any, ...]]:
    table = columns[0].table
    return (
        select(*columns, func.sum(table.c.value).label("total"))
        .where(
            table.c.mid == bindparam("mid"),
            table.c.day.between(bindparam("first"), bindparam("last")),
        )
        .group_by(*columns)
    )


_FIND: Final = select(_REPORT.digest).where(
    _REPORT.device == bindparam("device"),
    _REPORT.mid == bindparam("mid"),
    _REPORT.transaction_id == bindparam("transaction_id"),
)
_TOTALS_BY_KID: Final = _totals_by(_TOTAL.kid, _TOTAL.action).order_by(
    desc("total"), _TOTAL.kid, _TOTAL.action
)
_TOTALS_BY_ACTION: Final = _totals_by(_TOTAL.action).order_by(desc("total"), _TOTAL.action)
_TOTALS_BY_DAY: Final = _totals_by(_TOTAL.day, _TOTAL.action).order_by(_TOTAL.day, _TOTAL.action)
_TOTALS_BY_DEVICE: Final = _totals_by(_DEVICE.device, _DEVICE.action).order_by(
    desc("total"), _DEVICE.device, _DEVICE.action
)
_FIND_OLDEST_USAGE: Final = select(func.min(_USAGE.report))
_FIND_END_OF_BATCH: Final = (
    select(_USAGE.report)
    .where(_USAGE.report >= bindparam("first"))
    .order_by(_USAGE.report, _USAGE.kid, _USAGE.action)
    .limit(1)
    .offset(BATCH_ROWS - 1)
)
_REMOVE_USAGE: Final = delete(METERING_USAGE).where(
    _USAGE.report.between(bindparam("first"), bindparam("last")),
    _USAGE.report.in_(
        select(_REPORT.id).where(
            _REPORT.id.between(bindparam("first"), bindparam("last")),
            _REPORT.received_at < bindparam("before"),
        )
    ),
)
_FIND_OLD_DAY: Final = (
    select(_DEVICE.mid, _DEVICE.day).where(_DEVICE.day < bindparam("before")).limit(1)
)
_REMOVE_DEVICES: Final = delete(METERING_DEVICES).where(
    _DEVICE.mid == bindparam("mid"),
    _DEVICE.day == bindparam("day"),
    _DEVICE.device.in_(
        select(_DEVICE.device)
        .where(_DEVICE.mid == bindparam("mid"), _DEVICE.day == bindparam("day"))
        .limit(BATCH_ROWS)
    ),
)


_Usage = tuple[bytes, str, int]
"""KID, action and count."""
_Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """A report as it arrived."""

    device: str
    """The device id."""
    mid: Mid
    transaction_id: TransactionId
    digest: bytes
    """SHA-256 of the usage, 32 bytes."""
    received_at: int
    """Unix seconds."""
    usage: tuple[tuple[Kid, str, int], ...]
    """KID, action and count; each KID and action once."""

    @property
    def day(self) -> int:
        """Days from 1970-01-01, UTC, to its arrival."""
        return self.received_at // DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Period:
    """The first and last of some days, counted from 1970-01-01, UTC."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Total:
    """The count of an action."""

    group: Kid | int | str | None
    """The KID, day or device; None for all of them."""
    action: str
    value: int


class Metering(Component):
    """Reports by device, metering id and transaction id, and their totals."""

    def record(self, report: ReceivedReport, *, keep: bool) -> bytes:
        """Count a report unless it was counted before; return the digest that is recorded.

        keep: whether its usage and its device's actions are stored in addition to the totals. A
        repeat changes nothing.
        """
        key = {
            "device": report.device,
            "mid": report.mid.raw,
            "transaction_id": report.transaction_id.raw,
        }
        row = {**key, "digest": report.digest, "received_at": report.received_at}
        recorded = hot.RECORD_REPORT.execute(self._link, row).fetchone()
        if recorded is None:
            return self._find_digest(report)
        day = report.day
        usage, totals = _usage_rows(report, recorded[0], day)
        if keep:
            hot.RECORD_USAGE.execute_rows(self._link, usage)
            hot.ADD_TO_DEVICES.execute_rows(self._link, _device_rows(report, day))
        hot.ADD_TO_TOTALS.execute_rows(self._link, totals)
        return report.digest

    def find_totals_by_kid(self, mid: Mid, period: Period) -> list[Total]:
        """Return the totals of each content key, the most used first."""
        return [_total(row, row.kid) for row in self._totals(_TOTALS_BY_KID, mid, period)]

    def find_totals_by_action(self, mid: Mid, period: Period) -> list[Total]:
        """Return the total of each action, the most frequent first."""
        return [_total(row, None) for row in self._totals(_TOTALS_BY_ACTION, mid, period)]

    def find_totals_by_day(self, mid: Mid, period: Period) -> list[Total]:
        """Return the totals of each day, the first day first."""
        return [_total(row, row.day) for row in self._totals(_TOTALS_BY_DAY, mid, period)]

    def find_totals_by_device(self, mid: Mid, period: Period) -> list[Total]:
        """Return the totals of each device, the busiest first, of what is not purged."""
        return [_total(row, row.device) for row in self._totals(_TOTALS_BY_DEVICE, mid, period)]

    def remove_usage(self, before: int) -> int:
        """Remove the usage of the oldest reports that arrived before a time in Unix seconds.

        Removes BATCH_ROWS rows, and the rest of the last report of these; returns their count.
        """
        first = self._execute(_FIND_OLDEST_USAGE).scalar()
        if first is None:
            return 0
        end = self._execute(_FIND_END_OF_BATCH, {"first": first}).scalar()
        last = _MAX_REPORT if end is None else end
        return self._count(_REMOVE_USAGE, {"first": first, "last": last, "before": before})

    def remove_devices(self, before: int) -> int:
        """Remove the actions of devices on days that ended before a time in Unix seconds.

        Removes at most BATCH_ROWS devices' rows of one day; returns the count of rows.
        """
        row = self._execute(_FIND_OLD_DAY, {"before": before // DAY_SECONDS}).first()
        if row is None:
            return 0
        return self._count(_REMOVE_DEVICES, {"mid": row.mid, "day": row.day})

    def _find_digest(self, report: ReceivedReport) -> bytes:
        key = {
            "device": report.device,
            "mid": report.mid,
            "transaction_id": report.transaction_id,
        }
        digest: bytes = self._execute(_FIND, key).scalar_one()
        return digest

    def _totals(
        self, statement: Select[tuple[Any, ...]], mid: Mid, period: Period
    ) -> list[Row[Any]]:
        values = {"mid": mid, "first": period.first, "last": period.last}
        return list(self._execute(statement, values))


def _total(row: Row[Any], group: Kid | int | str | None) -> Total:
    # PostgreSQL's sum of BIGINT is a Decimal.
    return Total(group, row.action, int(row.total))


def _usage_rows(report: ReceivedReport, number: int, day: int) -> tuple[list[_Row], list[_Row]]:
    """Return the rows of a report's usage and totals, `number` its id."""
    rows: list[_Row] = []
    totals: list[_Row] = []
    mid = report.mid.raw
    # Totals are locked in a fixed order to avoid deadlock.
    for kid, action, value in sorted(
        [(kid.raw, action, value) for kid, action, value in report.usage]
    ):
        rows.append({"report": number, "kid": kid, "action": action, "value": value})
        totals.append({"mid": mid, "day": day, "kid": kid, "action": action, "value": value})
    return rows, totals


def _device_rows(report: ReceivedReport, day: int) -> list[_Row]:
    values: Counter[str] = Counter()
    for _, action, value in report.usage:
        values[action] += value
    rows: list[_Row] = []
    mid, device = report.mid.raw, report.device
    for action, value in sorted(values.items()):
        rows.append({"mid": mid, "day": day, "device": device, "action": action, "value": value})
    return rows
