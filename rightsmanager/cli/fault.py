"""`rightsmanager fault`: the kinds of faults that a world can inject."""

from typing import Final

import click

from rightsmanager.cli.printing import Form, form_options, print_list
from rightsmanager.lab.faults.listing import find_toxics

_COLUMNS: Final = {"kind": "kind", "effect": "effect", "client": "a correct client"}


@click.group()
def fault() -> None:
    """List the kinds of faults that a world can inject."""


@fault.command(name="list")
@form_options
def list_(*, form: Form) -> None:
    """List the kinds of faults, and how a correct client reacts.

    With --json it prints their parameters, operations and sources too. docs/faults.md has the same.
    """
    print_list(form, find_toxics(), _COLUMNS)
