"""The statements of a licence and of a metering report, compiled once and run by the driver.

SQLAlchemy Core takes about 55 µs for a find, the driver's cursor 12 µs for the same SQL. These
statements run for every licence or report; all others go through Core.

Read against SQLAlchemy 2.1: `Compiled.positiontup` has the parameters' order where the driver takes
them by position. Neither values nor rows pass SQLAlchemy's types: identifiers are given as bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    ColumnElement,
    Dialect,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)

from rightsmanager.store.component import Link, insert_of
from rightsmanager.store.tables import (
    CONTENT_KEYS,
    LICENSES,
    METERING_DEVICES,
    METERING_REPORTS,
    METERING_TOTALS,
    METERING_USAGE,
    REVOCATION_LISTS,
)

_SWAPPED: Final = CONTENT_KEYS.alias("swapped_keys")


@dataclass(frozen=True, slots=True)
class _Compiled:
    """SQL of a driver, and the order in which it takes the values."""

    sql: str
    order: Callable[[Mapping[str, object]], Any] | None
    """Returns the values in the order of their positions; None if the driver takes names."""


class HotStatement:
    """A statement that is compiled at its first use in a process, once for each dialect."""

    def __init__(self, make: Callable[[Dialect], ClauseElement]) -> None:
        self._make = make
        self._compiled: dict[str, _Compiled] = {}

    def execute(self, link: Link, values: Mapping[str, object]) -> Any:  # noqa: ANN401 -- DBAPI
        """Run the statement; return the driver's cursor."""
        compiled = self._compiled.get(link.dialect) or self._compile(link)
        arguments = values if compiled.order is None else compiled.order(values)
        link.cursor.execute(compiled.sql, arguments)
        return link.cursor

    def execute_rows(self, link: Link, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a statement of `_insert_rows` for rows, at least one."""
        compiled = self._compiled.get(link.dialect) or self._compile(link)
        if compiled.order is not None:
            link.cursor.executemany(compiled.sql, list(map(compiled.order, rows)))
        else:
            columns = {column: [row[column] for row in rows] for column in rows[0]}
            link.cursor.execute(compiled.sql, columns)

    def _compile(self, link: Link) -> _Compiled:
        dialect = link.connection.dialect
        compiled = self._make(dialect).compile(dialect=dialect)
        names: Any = getattr(compiled, "positiontup", None)
        made = _Compiled(str(compiled), None if names is None else _order(names))
        # Two threads may both compile it, to the same result.
        self._compiled[link.dialect] = made
        return made


def _order(names: Sequence[str]) -> Callable[[Mapping[str, object]], Any]:
    """Return a function from values by name to a tuple of them in this order."""
    # In C: it runs once for each row of a report. Of one name it would give no tuple.
    return itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)


def _find_version(_dialect: Dialect) -> ClauseElement:
    return select(REVOCATION_LISTS.c.version).where(
        REVOCATION_LISTS.c.list_id == bindparam("list_id")
    )


def _find_version_and_keys(_dialect: Dialect) -> ClauseElement:
    version = (
        select(REVOCATION_LISTS.c.version)
        .where(REVOCATION_LISTS.c.list_id == bindparam("list_id"))
        .scalar_subquery()
    )
    return _join_keys(func.coalesce(version, literal_column("0")))


def _join_keys(*columns: ColumnElement[Any]) -> ClauseElement:
    """Return a find of one row: columns, and those of two keys, null for a missing one."""
    # From a table of one row: it is found whether or not a key exists. Two joins, each by the
    # primary key: SQLite takes 5 µs more for one join by either KID.
    one_row = select(literal_column("1").label("one")).subquery()
    own, swapped = CONTENT_KEYS.c, _SWAPPED.c
    return (
        select(
            *columns,
            *(own.ciphertext, own.key_type, own.added_at, own.track),
            *(swapped.ciphertext, swapped.key_type, swapped.added_at, swapped.track),
        )
        .select_from(one_row)
        .outerjoin(CONTENT_KEYS, own.kid == bindparam("kid"))
        .outerjoin(_SWAPPED, swapped.kid == bindparam("swapped"))
    )


def _find_keys(_dialect: Dialect) -> ClauseElement:
    return _join_keys()


def _find_key(_dialect: Dialect) -> ClauseElement:
    return select(CONTENT_KEYS).where(CONTENT_KEYS.c.kid == bindparam("kid"))


def _find_license_ids(_dialect: Dialect) -> ClauseElement:
    return select(LICENSES.c.ordinal, LICENSES.c.license_id).where(
        LICENSES.c.request == bindparam("request")
    )


def _record_license(dialect: Dialect) -> ClauseElement:
    statement: ClauseElement = _insert(LICENSES, dialect).on_conflict_do_nothing().inline()
    return statement


def _record_report(dialect: Dialect) -> ClauseElement:
    statement: ClauseElement = (
        _insert(METERING_REPORTS, dialect).on_conflict_do_nothing().returning(METERING_REPORTS.c.id)
    )
    return statement


def _record_usage(dialect: Dialect) -> ClauseElement:
    statement: ClauseElement = _insert_rows(METERING_USAGE, dialect).inline()
    return statement


def _add_to(table: Table) -> Callable[[Dialect], ClauseElement]:
    """Return the insert of rows whose values are added to those of existing rows."""

    def make(dialect: Dialect) -> ClauseElement:
        insert = _insert_rows(table, dialect)
        statement: ClauseElement = insert.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={"value": table.c.value + insert.excluded.value},
        ).inline()
        return statement

    return make


def _insert(table: Table, dialect: Dialect) -> Any:  # noqa: ANN401 -- each dialect's own Insert
    """Return the insert of a row that has every column but a counted one."""
    columns = [column for column in table.columns if column is not table.autoincrement_column]
    return insert_of(dialect.name)(table).values(
        {each.name: bindparam(each.name) for each in columns}
    )


def _insert_rows(table: Table, dialect: Dialect) -> Any:  # noqa: ANN401 -- each dialect's own Insert
    """Return the insert of several rows in their order.

    PostgreSQL takes each column as an array, one statement for all rows. SQLite runs the statement
    for each row, which costs no round trip.
    """
    if dialect.name == "sqlite":
        return _insert(table, dialect)
    names = [column.name for column in table.columns]
    arrays = (bindparam(column.name, type_=ARRAY(column.type)) for column in table.columns)
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    return insert_of(dialect.name)(table).from_select(
        names, select(*(rows.c[name] for name in names))
    )


FIND_VERSION: Final = HotStatement(_find_version)
"""`list_id`: the list's version; no row for a list that was never changed."""
FIND_VERSION_AND_KEYS: Final = HotStatement(_find_version_and_keys)
"""`list_id`, `kid`, `swapped`: one row of the list's version and FIND_KEYS."""
FIND_KEYS: Final = HotStatement(_find_keys)
"""`kid`, `swapped`: one row of ciphertext, type, date and track of each key, null for none."""
FIND_KEY: Final = HotStatement(_find_key)
"""`kid`: the columns of its content key."""
RECORD_LICENSE: Final = HotStatement(_record_license)
FIND_LICENSE_IDS: Final = HotStatement(_find_license_ids)
"""`request`: ordinal and license id of each of its licences."""
RECORD_REPORT: Final = HotStatement(_record_report)
"""Returns the new report's id; no row for a repeat."""
RECORD_USAGE: Final = HotStatement(_record_usage)
ADD_TO_DEVICES: Final = HotStatement(_add_to(METERING_DEVICES))
ADD_TO_TOTALS: Final = HotStatement(_add_to(METERING_TOTALS))
