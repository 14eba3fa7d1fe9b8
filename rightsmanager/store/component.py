"""The base of the store's components: runs a statement, turns dataclasses into rows and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, Row, Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Made = TypeVar("Made")
_NOTHING: Final[Mapping[str, object]] = {}


@dataclass(frozen=True, slots=True)
class Link:
    """A thread's connection to the database, as SQLAlchemy's and as the driver's.

    Both run in the same transaction of the database.
    """

    connection: Connection
    cursor: Any
    """The driver's cursor, of the connection's own DBAPI connection."""
    dialect: str
    """`sqlite` or `postgresql`."""

    def detach(self) -> None:
        """End SQLAlchemy's record of a transaction; the database's own one is not affected.

        Without, connection and record refer to each other, and the connection of a thread that
        ended would stay open until a garbage collection.
        """
        # No ROLLBACK is sent: the engine has `skip_autocommit_rollback`.
        self.connection.rollback()


class DialectInsert:
    """An INSERT with a conflict clause, for which SQLAlchemy has no dialect-neutral form."""

    def __init__(self, make: Callable[[Any], Executable]) -> None:
        # Makes the statement of a dialect's own `insert`.
        self.on = cache(lambda dialect: make(insert_of(dialect)))


class Component:
    """The part of a transaction that finds and records one kind of thing."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def _execute(
        self, statement: Executable | DialectInsert, values: Mapping[str, object] = _NOTHING
    ) -> CursorResult[Any]:
        link = self._link
        chosen = statement.on(link.dialect) if isinstance(statement, DialectInsert) else statement
        return link.connection.execute(chosen, values)

    def _count(
        self, statement: Executable | DialectInsert, values: Mapping[str, object] = _NOTHING
    ) -> int:
        """Run a statement; return the number of rows that it changed."""
        return self._execute(statement, values).rowcount


def insert_of(dialect: str) -> Any:  # noqa: ANN401 -- each dialect's own function
    """Return a dialect's function `insert`."""
    # Imported for the dialect in use only: PostgreSQL's takes 20 ms.
    return import_module(f"sqlalchemy.dialects.{dialect}").insert


def insert_once(table: Table) -> DialectInsert:
    """Return the insert of a row that leaves an existing row with the same key unchanged."""
    # `inline`: without it SQLAlchemy fetches the primary key of the new row.
    return DialectInsert(lambda insert: insert(table).on_conflict_do_nothing().inline())


def insert_or_update(table: Table, *columns: str) -> DialectInsert:
    """Return the insert of a row that sets these columns of an existing row with the same key."""

    def make(insert: Any) -> Executable:  # noqa: ANN401 -- each dialect's own function
        statement = insert(table)
        made: Executable = statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: statement.excluded[name] for name in columns},
        ).inline()
        return made

    return DialectInsert(make)


def values_of(record: "DataclassInstance") -> dict[str, object]:
    """Return the fields of a dataclass by name; the columns of its table have the same names."""
    return {name: getattr(record, name) for name in _field_names(type(record))}


def record_of(kind: Callable[..., Made], row: Row[Any]) -> Made:
    """Return the dataclass of a row whose columns are its fields."""
    return kind(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented name


@cache
def _field_names(kind: "type[DataclassInstance]") -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
