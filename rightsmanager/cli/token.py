"""`rightsmanager token`: the bearer tokens of the management API and the console."""

from typing import Final

import click

from rightsmanager.admin.tokens import Role, TokenKeeper
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import AGE
from rightsmanager.cli.printing import (
    Form,
    form_options,
    json_option,
    print_list,
    print_result,
)
from rightsmanager.crypto.random import system_random

_COLUMNS: Final = {
    "token_id": "id",
    "name": "name",
    "role": "role",
    "state": "state",
    "created_at": "created",
    "expires_at": "expires",
    "used_at": "last used",
    "revoked_at": "revoked",
}


@click.group()
def token() -> None:
    """Manage tokens of the API and the console."""


@token.command()
@pass_operator
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.READ.value,
    show_default=True,
    help="read shows everything but secrets, operate changes things.",
)
@click.option("--lifetime", type=AGE, help="Hours, days or weeks: 36h, 90d, 12w.  [default: none]")
@json_option
@click.argument("name")
def create(operator: Operator, *, role: str, lifetime: int | None, name: str, form: Form) -> None:
    """Create a token.

    It is printed this once: the database has its SHA-256 only.
    """
    made = _keeper(operator).create(name, Role(role), lifetime)
    print_result(form, made, made.token)


@token.command(name="list")
@pass_operator
@form_options
def list_(operator: Operator, *, form: Form) -> None:
    """List all tokens, oldest first."""
    print_list(form, _keeper(operator).find_all(), _COLUMNS)


@token.command()
@pass_operator
@json_option
@click.argument("token", metavar="ID|NAME")
def revoke(operator: Operator, *, token: str, form: Form) -> None:
    """Revoke a token.

    Sessions of the console that were opened with it end too. It stays listed.
    """
    keeper = _keeper(operator)
    revoked = keeper.revoke(keeper.find_named(token).token_id)
    print_result(form, revoked, f"token {revoked.token_id} ({revoked.name}) is revoked")


def _keeper(operator: Operator) -> TokenKeeper:
    return TokenKeeper(operator.store, now, system_random)
