"""Metering in the store: each report once, what it said for a while, and the totals for good.

What a report costs is that of its own rows: it is found by a key, what it says is written where the
last one was, and its totals lie with those of the day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ClauseElement, Dialect, bindparam, delete, func, literal_column, select
from sqlalchemy.sql.expression import ColumnElement

from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from rightsmanager.store.statements import BATCH_ROWS, INSERTS, Clause, Queries, insert_once
from rightsmanager.store.tables import METERING_REPORTS, METERING_TOTALS, METERING_USAGE

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


class MeteringQueries(Queries):
    """The part of a transaction that is about reports."""

    def record_report(self, report: ReceivedReport, *, keep: bool) -> bytes:
        """Count a report that was not counted before; return the digest that stands recorded.

        keep: whether what it says is stored beside the totals. A repeat changes nothing.
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
        times = {
            "mid": mid.raw,
            "first": period.first * DAY_SECONDS,
            "end": (period.last + 1) * DAY_SECONDS,
        }
        return [
            Total(device, action, int(value))
            for device, action, value in self._run("total by device", times)
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


def _key(mid: Mid, period: Period) -> Mapping[str, object]:
    return {"mid": mid.raw, "first": period.first, "last": period.last}


_REPORT, _USAGE, _TOTAL = METERING_REPORTS.c, METERING_USAGE.c, METERING_TOTALS.c


def _record_report(dialect: Dialect) -> ClauseElement:
    names = [column.name for column in METERING_REPORTS.columns if column is not _REPORT.id]
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    insert: Any = INSERTS[dialect.name](METERING_REPORTS).values(values)
    statement: ClauseElement = insert.on_conflict_do_nothing().returning(_REPORT.id)
    return statement


def _add_to_total(dialect: Dialect) -> ClauseElement:
    values: dict[str, Any] = {each.name: bindparam(each.name) for each in METERING_TOTALS.columns}
    insert: Any = INSERTS[dialect.name](METERING_TOTALS).values(values)
    statement: ClauseElement = insert.on_conflict_do_update(
        index_elements=["mid", "day", "kid", "action"],
        set_={"value": _TOTAL.value + insert.excluded.value},
    ).inline()
    return statement


def _totals_by(*columns: ColumnElement[Any]) -> Any:  # noqa: ANN401 -- a Select of any columns
    return (
        select(*columns, func.sum(_TOTAL.value).label("total"))
        .where(
            _TOTAL.mid == bindparam("mid"),
            _TOTAL.day.between(bindparam("first"), bindparam("last")),
        )
        .group_by(*columns)
    )


_MOST_FIRST: Final[ColumnElement[Any]] = literal_column("total").desc()

METERING_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record report": _record_report,
    "find report": lambda _: select(_REPORT.digest).where(
        _REPORT.device == bindparam("device"),
        _REPORT.mid == bindparam("mid"),
        _REPORT.transaction_id == bindparam("transaction_id"),
    ),
    "record usage": lambda dialect: insert_once(METERING_USAGE, dialect),
    "add to total": _add_to_total,
    "total by kid": lambda _: _totals_by(_TOTAL.kid, _TOTAL.action).order_by(
        _MOST_FIRST, _TOTAL.kid, _TOTAL.action
    ),
    "total by action": lambda _: _totals_by(_TOTAL.action).order_by(_MOST_FIRST, _TOTAL.action),
    "total by day": lambda _: _totals_by(_TOTAL.day, _TOTAL.action).order_by(
        _TOTAL.day, _TOTAL.action
    ),
    "total by device": lambda _: (
        select(_REPORT.device, _USAGE.action, func.sum(_USAGE.value).label("total"))
        .join(METERING_USAGE, _USAGE.report == _REPORT.id)
        .where(
            _REPORT.mid == bindparam("mid"),
            _REPORT.received_at >= bindparam("first"),
            _REPORT.received_at < bindparam("end"),
        )
        .group_by(_REPORT.device, _USAGE.action)
        .order_by(_MOST_FIRST, _REPORT.device, _USAGE.action)
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
