"""Tables and trees on the terminal; a key or digest is never cut, so that it can be copied."""

import csv
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

_WIDTH: Final = 4096
"""Wider than anything printed: the terminal wraps, rich does not cut."""


Command = TypeVar("Command", bound=Callable[..., Any])


def csv_option(command: Command) -> Command:
    """Add `--csv`."""
    return click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")(command)


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns as CSV (RFC 4180)."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    writer.writerows(rows)


def printable(text: str) -> str:
    """Return a received text without what would move the terminal's cursor or colours."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    _console().print(table)


def print_tree(tree: Tree) -> None:
    """Print a tree."""
    _console().print(tree)


def _console() -> Console:
    return Console(width=_WIDTH, highlight=False)
