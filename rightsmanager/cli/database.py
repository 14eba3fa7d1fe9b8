"""`rightsmanager database`: where the database's schema stands, and how it gets to the newest."""

import json
from pathlib import Path

import click

from rightsmanager.cli.options import data_option, json_option, settings_of
from rightsmanager.store.schema import find_revision, newest_revision, upgrade


@click.group()
def database() -> None:
    """Bring the database's schema to this version's, or say where it stands."""


@database.command("upgrade")
@data_option
def upgrade_(data: Path) -> None:
    """Bring the schema to the newest revision; `serve` and `init` do so too."""
    settings = settings_of(data)
    settings.data.mkdir(parents=True, exist_ok=True)
    click.echo(f"The database stands at revision {upgrade(settings.effective_database_url)}.")


@database.command()
@data_option
@json_option
def current(data: Path, *, as_json: bool) -> None:
    """Say at which revision the schema stands, and which is the newest."""
    found, newest = find_revision(settings_of(data).effective_database_url), newest_revision()
    if as_json:
        click.echo(json.dumps({"revision": found, "newest": newest}))
    elif found == newest:
        click.echo(f"The database stands at revision {found}, the newest.")
    else:
        click.echo(
            f"The database stands at {f'revision {found}' if found else 'no revision'}, "
            f"the newest is {newest}."
        )
