"""Metering in the store: each report once, what it said for a while, and the totals for good.

What a report costs is that of its own rows: it is found by a key, what it says is written where the
last one was, and its totals lie with those of the day.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    Dialect,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql.expression import ColumnElement

from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from rightsmanager.store.statements import INSERTS, Clause, Queries, insert_many
from rightsmanager.store.tables import (
    BATCH_ROWS,
    METERING_DEVICES,
    METERING_REPORTS,
    METERING_TOTALS,
    METERING_USAGE,
)

DAY_SECONDS: Final = 86400


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """A report as it arrived."""

    device: str
    """Base64 of the SHA-256 of the device's signing key."""
    mid: Mid
    transaction_id: TransactionId
    digest: bytes
    """SHA-256 of what it says, 32 bytes."""
    received_at: int
    """Unix seconds."""
    usage: tuple[tuple[Kid, str, int], ...]
    """KID, action and how often; each KID and action once."""

    @property
    def day(self) -> int:
        """Days from 1970-01-01, UTC, to its arrival."""
        return self.received_at // DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Period:
    """Days since 1970-01-01, UTC, the first and the last."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Total:
    """How often something was done."""

    group: Kid | int | str | None
    """The KID, day or device; None for all of them."""
    action: str
    value: int


class Metering(Queries):
    """The part of a transaction that is about reports."""

    def record(self, report: ReceivedReport, *, keep: bool) -> bytes:
        """Count a report that was not counted before; return the digest that stands recorded.

        keep: whether what it says, and which device said it, is stored beside the totals. A repeat
        changes nothing.
        """
        key = {
            "device": report.device,
            "mid": report.mid.raw,
            "transaction_id": report.transaction_id.raw,
        }
        row = {**key, "digest": report.digest, "received_at": report.received_at}
        recorded = self._run("record report", row).fetchone()
        if recorded is None:
            (digest,) = self._run("find report", key).fetchone()
            return bytes(digest)
        # Everybody locks the totals in the same order, so that no two wait for each other.
        usage = sorted((kid.raw, action, value) for kid, action, value in report.usage)
        if keep:
            self._run_many("record usage", [_usage_row(recorded[0], *each) for each in usage])
            self._run_many("add to device", list(_device_rows(report)))
        self._run_many("add to total", [_total_row(report, *each) for each in usage])
        return report.digest

    def find_totals_by_kid(self, mid: Mid, period: Period) -> list[Total]:
        """Return what each content key was used for, the most used first."""
        return [
            Total(Kid(bytes(kid)), action, int(value))
            for kid, action, value in self._run("total by kid", _key(mid, period))
        ]

    def find_totals_by_action(self, mid: Mid, period: Period) -> list[Total]:
        """Return how often each action was done, the most frequent first."""
        return [
            Total(None, action, int(value))
            for action, value in self._run("total by action", _key(mid, period))
        ]

    def find_totals_by_day(self, mid: Mid, period: Period) -> list[Total]:
        """Return what was done each day, the first day first."""
        return [
            Total(day, action, int(value))
            for day, action, value in self._run("total by day", _key(mid, period))
        ]

    def find_totals_by_device(self, mid: Mid, period: Period) -> list[Total]:
        """Return what each device did, the busiest first, of the reports that are still kept."""
        return [
            Total(device, action, int(value))
            for device, action, value in self._run("total by device", _key(mid, period))
        ]

    def remove_usage(self, before: int) -> int:
        """Remove what the oldest reports said, if they arrived before a time in Unix seconds.

        It removes BATCH_ROWS rows, and the rest of the last report of these; returns how many.
        """
        (first,) = self._run("find oldest usage").fetchone()
        if first is None:
            return 0
        row = self._run("find end of batch", {"first": first}).fetchone()
        return self._count(
            "remove usage",
            {"first": first, "last": _LAST if row is None else row[0], "end": before},
        )

    def remove_devices(self, before: int) -> int:
        """Remove what devices did on days that ended before a time in Unix seconds.

        It removes BATCH_ROWS rows at most; returns how many.
        """
        row = self._run("find old devices", {"day": before // DAY_SECONDS}).fetchone()
        return 0 if row is None else self._count("remove devices", {"mid": row[0], "day": row[1]})


_LAST: Final = 2**63 - 1


def _usage_row(report: int, kid: bytes, action: str, value: int) -> Mapping[str, object]:
    return {"report": report, "kid": kid, "action": action, "value": value}


def _total_row(report: ReceivedReport, kid: bytes, action: str, value: int) -> Mapping[str, object]:
    return {
        "mid": report.mid.raw,
        "day": report.day,
        "kid": kid,
        "action": action,
        "value": value,
    }


def _device_rows(report: ReceivedReport) -> Iterator[Mapping[str, object]]:
    values: Counter[str] = Counter()
    for _, action, value in report.usage:
        values[action] += value
    for action in sorted(values):
        yield {
            "mid": report.mid.raw,
            "day": report.day,
            "device": report.device,
            "action": action,
            "value": values[action],
        }


def _key(mid: Mid, period: Period) -> Mapping[str, object]:
    return {"mid": mid.raw, "first": period.first, "last": period.last}


_REPORT, _USAGE = METERING_REPORTS.c, METERING_USAGE.c
_DEVICE, _TOTAL = METERING_DEVICES.c, METERING_TOTALS.c


def _record_report(dialect: Dialect) -> ClauseElement:
    names = [column.name for column in METERING_REPORTS.columns if column is not _REPORT.id]
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    insert: Any = INSERTS[dialect.name](METERING_REPORTS).values(values)
    statement: ClauseElement = insert.on_conflict_do_nothing().returning(_REPORT.id)
    return statement


def _add_to(table: Table) -> Clause:
    """Return the insert of a row whose value is added to that of a row that is there."""

    def clause(dialect: Dialect) -> ClauseElement:
        insert = insert_many(table, dialect)
        statement: ClauseElement = insert.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={"value": table.c.value + insert.excluded.value},
        ).inline()
        return statement

    return clause


def _totals_by(table: Table, *columns: ColumnElement[Any]) -> Any:  # noqa: ANN401 -- a Select of any columns
    return (
        select(*columns, func.sum(table.c.value).label("total"))
        .where(
            table.c.mid == bindparam("mid"),
            table.c.day.between(bindparam("first"), bindparam("last")),
        )
        .group_by(*columns)
    )


_MAX_FIRST: Final[ColumnElement[Any]] = literal_column("total").desc()

METERING_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record report": _record_report,
    "find report": lambda _: select(_REPORT.digest).where(
        _REPORT.device == bindparam("device"),
        _REPORT.mid == bindparam("mid"),
        _REPORT.transaction_id == bindparam("transaction_id"),
    ),
    "record usage": lambda dialect: insert_many(METERING_USAGE, dialect).inline(),
    "add to device": _add_to(METERING_DEVICES),
    "add to total": _add_to(METERING_TOTALS),
    "total by kid": lambda _: _totals_by(METERING_TOTALS, _TOTAL.kid, _TOTAL.action).order_by(
        _MAX_FIRST, _TOTAL.kid, _TOTAL.action
    ),
    "total by action": lambda _: _totals_by(METERING_TOTALS, _TOTAL.action).order_by(
        _MAX_FIRST, _TOTAL.action
    ),
    "total by day": lambda _: _totals_by(METERING_TOTALS, _TOTAL.day, _TOTAL.action).order_by(
        _TOTAL.day, _TOTAL.action
    ),
    "total by device": lambda _: _totals_by(
        METERING_DEVICES, _DEVICE.device, _DEVICE.action
    ).order_by(_MAX_FIRST, _DEVICE.device, _DEVICE.action),
    "find old devices": lambda _: (
        select(_DEVICE.mid, _DEVICE.day)
        .where(_DEVICE.day < bindparam("day"))
        .limit(literal_column("1"))
        .offset(literal_column("0"))
    ),
    "remove devices": lambda _: delete(METERING_DEVICES).where(
        _DEVICE.mid == bindparam("mid"),
        _DEVICE.day == bindparam("day"),
        _DEVICE.device.in_(
            select(_DEVICE.device)
            .where(_DEVICE.mid == bindparam("mid"), _DEVICE.day == bindparam("day"))
            .limit(literal_column(str(BATCH_ROWS)))
            .offset(literal_column("0"))
        ),
    ),
    "find oldest usage": lambda _: select(func.min(_USAGE.report)),
    "find end of batch": lambda _: (
        select(_USAGE.report)
        .where(_USAGE.report >= bindparam("first"))
        .order_by(_USAGE.report, _USAGE.kid, _USAGE.action)
        .limit(literal_column("1"))
        .offset(literal_column(str(BATCH_ROWS - 1)))
    ),
    "remove usage": lambda _: delete(METERING_USAGE).where(
        _USAGE.report.between(bindparam("first"), bindparam("last")),
        _USAGE.report.in_(
            select(_REPORT.id).where(
                _REPORT.id.between(bindparam("first"), bindparam("last")),
                _REPORT.received_at < bindparam("end"),
            )
        ),
    ),
}
"""Every statement about reports, by what it does."""
