"""Prints facts as a table, a tree, JSON or CSV; a key or digest is never cut.

Facts are mappings, or frozen dataclasses of `rightsmanager.admin`, whose values `to_json` spells:
identifiers as GUIDs, bytes as base64, dates as ISO 8601.

Names that devices and packagers choose are part of the facts: characters that would move the
terminal's cursor, hide text or change its direction are escaped in every form.
"""

import binascii
import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

Command = TypeVar("Command", bound=Callable[..., Any])
Facts = object
"""A mapping, or a frozen dataclass, of values by name."""
Form = Literal["json", "csv"] | None
"""None for a table or sentences."""

_WIDTH: Final = 4096
"""Wider than any line: the terminal wraps, and rich does not cut."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def json_option(command: Command) -> Command:
    """Add `--json`; the command gets `form`."""
    return click.option(
        "--json", "form", flag_value="json", callback=_keep_form, help="Print JSON."
    )(command)


def form_options(command: Command) -> Command:
    """Add `--json` and `--csv`; the command gets `form`."""
    as_csv = click.option("--csv", "form", flag_value="csv", callback=_keep_form, help="Print CSV.")
    return as_csv(json_option(command))


def _keep_form(context: click.Context, _parameter: click.Parameter, form: Form) -> Form:
    # `main` reports a failure in the same form, when the context is gone.
    if context.obj is not None:
        context.obj.form = form
    return form


def print_list(
    form: Form, facts: Sequence[Facts], columns: Mapping[str, str], *, footer: str = ""
) -> None:
    """Print facts as JSON, or the columns of them: their keys and titles.

    footer: a line after the table.
    """
    shown = [_fields(fact) for fact in facts]
    if form == "json":
        print_json(shown)
    elif form == "csv":
        print_csv(tuple(columns), [[fact[name] for name in columns] for fact in shown])
    else:
        print_table(tuple(columns.values()), [[fact[name] for name in columns] for fact in shown])
        if footer:
            click.echo(footer)


def print_facts(form: Form, facts: Facts) -> None:
    """Print the facts of one thing as JSON, or one a line without the missing ones."""
    if form == "json":
        print_json(facts)
        return
    shown = {name.replace("_", " "): _cell(value) for name, value in _fields(facts).items()}
    width = max(map(len, shown))
    for name, value in shown.items():
        if value:
            click.echo(f"{name:{width}}  {value}")


def print_result(form: Form, facts: Facts, *sentences: str) -> None:
    """Print what a command did: its facts as JSON, or in sentences."""
    if form == "json":
        print_json(facts)
    else:
        click.echo("\n".join(map(printable, sentences)))


def print_json(facts: object) -> None:
    """Print JSON, in ASCII."""
    click.echo(json.dumps(to_json(facts), indent=2))


def to_json(value: object) -> object:
    """Return a value as JSON has it; a dataclass becomes an object of its fields."""
    if isinstance(value, Mapping):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    return _dataclass_to_json(value) if is_dataclass(value) else value


def _dataclass_to_json(value: object) -> object:
    from rightsmanager.protocol.wire import Guid  # noqa: PLC0415 -- help needs no protocol

    if isinstance(value, Guid):
        return value.text
    # By the names of all classes: one with slots has no __dict__.
    return {
        name: to_json(getattr(value, name)) for name in getattr(value, "__dataclass_fields__", ())
    }


def _fields(facts: Facts) -> Mapping[str, object]:
    shown = to_json(facts)
    if not isinstance(shown, Mapping):
        raise TypeError(f"{type(facts).__name__} is not a mapping or a dataclass")
    return shown


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns as CSV (RFC 4180)."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    writer.writerows([[_csv_cell(value) for value in row] for row in rows])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns."""
    from rich.markup import escape  # noqa: PLC0415 -- costs 40 ms, and few commands need it
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        # A dash for a missing value, so that a script finds as many words as there are columns.
        table.add_row(*("-" if value in (None, []) else escape(_cell(value)) for value in row))
    console = _console()
    with console.capture() as captured:
        console.print(table)
    # Each line has the table's width: a terminal would wrap the spaces at its end.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_tree(tree: "Tree") -> None:
    """Print a tree."""
    _console().print(tree)


def printable(text: str) -> str:
    """Return a text with its control, zero-width and bidirectional characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def counted(number: int, name: str, plural: str = "") -> str:
    """Return a number of things, such as `1 licence` and `2 licences`."""
    return f"{number} {name if number == 1 else plural or f'{name}s'}"


def date_text(seconds: int | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return printable(str(value))


def _csv_cell(value: object) -> str:
    cell = _cell(value)
    # A spreadsheet would run a cell that begins so as a formula. Numbers stay numbers.
    is_formula = str(value).startswith(_FORMULA) or cell.startswith(_FORMULA)
    return f"'{cell}" if is_formula and not isinstance(value, int | float) else cell


def _console() -> "Console":
    from rich.console import Console  # noqa: PLC0415 -- as above

    return Console(width=_WIDTH, highlight=False)
