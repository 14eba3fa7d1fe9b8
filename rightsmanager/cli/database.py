"""`rightsmanager database`: the revision of the database's schema."""

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.printing import Form, json_option, print_result
from rightsmanager.store.schema import find_revision, newest_revision
from rightsmanager.store.schema import upgrade as upgrade_database


@click.group()
def database() -> None:
    """Show and upgrade the database's schema."""


@database.command()
@pass_operator
def upgrade(operator: Operator) -> None:
    """Upgrade the schema to the newest revision.

    `serve` and `init` do so too.
    """
    operator.refuse_missing_database()
    revision = upgrade_database(operator.settings.effective_database_url)
    click.echo(f"The database has revision {revision}.")


@database.command()
@pass_operator
@json_option
def current(operator: Operator, *, form: Form) -> None:
    """Show the revision of the schema and the newest one."""
    operator.refuse_missing_database()
    found, newest = find_revision(operator.settings.effective_database_url), newest_revision()
    has = f"The database has {f'revision {found}' if found else 'no revision'}"
    print_result(
        form,
        {"revision": found, "newest": newest},
        f"{has}, the newest." if found == newest else f"{has}; the newest is {newest}.",
    )
