"""`rightsmanager content list`: the KIDs with stored keys."""

from typing import Final

import click

from rightsmanager.admin.content_listing import find_keys
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.printing import Form, form_options, print_list

_COLUMNS: Final = {
    "kid": "KID",
    "kid_base64": "base64",
    "type": "type",
    "added_at": "added",
    "origin": "origin",
    "program": "program",
    "period": "period",
    "track": "track",
}


@click.command(name="list")
@pass_operator
@form_options
def list_(operator: Operator, *, form: Form) -> None:
    """List the KIDs with stored keys.

    The keys themselves are printed by `export` only.
    """
    print_list(form, find_keys(operator.store), _COLUMNS)
