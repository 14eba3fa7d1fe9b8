"""Statements compiled once for a dialect and then run on the driver's own connection.

SQLAlchemy writes the SQL and keeps the connections; going through its execution for each of the
two or three statements of a licence would cost as much as the licence's signature.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ClauseElement, Dialect, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

Clause = Callable[[Dialect], ClauseElement]
"""Makes a statement for a dialect."""

INSERTS: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Each database's own INSERT, which knows what to do about a key that is there."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL in the driver's spelling, and the order in which it takes its values."""

    sql: str
    names: tuple[str, ...] | None
    """None where the driver takes values by name."""

    def arguments(self, values: Mapping[str, object]) -> Any:  # noqa: ANN401 -- what the driver takes
        """Return the values as the driver takes them."""
        return values if self.names is None else [values[name] for name in self.names]


_NOTHING: Final[Mapping[str, object]] = {}


class Queries:
    """What runs compiled statements, by name, on one cursor."""

    def __init__(self, cursor: Any, statements: Mapping[str, Statement]) -> None:  # noqa: ANN401 -- DBAPI
        self._cursor = cursor
        self._statements = statements

    def _run(self, name: str, values: Mapping[str, object] = _NOTHING) -> Any:  # noqa: ANN401 -- DBAPI
        statement = self._statements[name]
        self._cursor.execute(statement.sql, statement.arguments(values))
        return self._cursor

    def _run_many(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run the statement of `insert_many` for rows, of which there is at least one."""
        statement = self._statements[name]
        if statement.names is not None:
            self._cursor.executemany(statement.sql, list(map(statement.arguments, rows)))
        else:
            columns = {column: [row[column] for row in rows] for column in rows[0]}
            self._cursor.execute(statement.sql, columns)

    def _count(self, name: str, values: Mapping[str, object]) -> int:
        count: int = self._run(name, values).rowcount
        return count


def compile_statement(clause: ClauseElement, dialect: Dialect) -> Statement:
    """Return the statement of a clause whose parameters are all bound by name."""
    compiled = clause.compile(dialect=dialect)
    names: Any = getattr(compiled, "positiontup", None)
    return Statement(str(compiled), None if names is None else tuple(names))


def insert_many(table: Table, dialect: Dialect) -> Any:  # noqa: ANN401 -- each dialect's own Insert
    """Return the insert of rows that are given at once, in their order.

    PostgreSQL takes each column as an array, so that many rows are one statement; SQLite, which
    has no journey to spare, runs the statement for each.
    """
    insert: Any = INSERTS[dialect.name](table)
    names = [column.name for column in table.columns]
    if dialect.name == "sqlite":
        return insert.values({name: bindparam(name) for name in names})
    arrays = (bindparam(column.name, type_=ARRAY(column.type)) for column in table.columns)
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    return insert.from_select(names, select(*(rows.c[name] for name in names)))


def insert_once(table: Table, dialect: Dialect) -> ClauseElement:
    """Return the insert of a row that leaves a row alone whose key is there."""
    values: dict[str, Any] = {column.name: bindparam(column.name) for column in table.c}
    insert: Any = INSERTS[dialect.name](table).values(values)
    statement: ClauseElement = insert.on_conflict_do_nothing().inline()
    return statement
