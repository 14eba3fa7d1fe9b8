"""`rightsmanager config`: the settings in force and their origins."""

import json
from typing import TYPE_CHECKING

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.printing import Form, json_option, print_json, printable

if TYPE_CHECKING:
    from rightsmanager.settings import Settings
    from rightsmanager.settings_loading import Loaded


@click.command()
@pass_operator
@click.option("--changed", is_flag=True, help="Print only settings that are not at their default.")
@json_option
def config(operator: Operator, *, changed: bool, form: Form) -> None:
    """Print the settings and where each comes from.

    The output is a settings file: without a file and variables, it has every default. Tokens are
    not printed. The origin is a comment: a variable or a file.

    Example: rightsmanager config > rightsmanager.toml
    """
    loaded = operator.load()
    for warning in loaded.warnings:
        click.echo(f"warning: {printable(warning)}", err=True)
    values = _values(loaded.settings)
    if changed:
        from rightsmanager.settings import Settings  # noqa: PLC0415 -- costs 60 ms of every help

        defaults = _values(Settings(data=operator.data))
        values = {name: value for name, value in values.items() if value != defaults.get(name)}
    if form == "json":
        print_json(
            {
                name: {"value": value, "origin": _origin(loaded, name) or "default"}
                for name, value in values.items()
            }
        )
        return
    section = ""
    for name, value in values.items():
        above, _, last = name.rpartition(".")
        if above != section:
            section = above
            click.echo(f"\n[{section}]")
        origin = _origin(loaded, name)
        comment = f"  # {printable(origin)}" if origin else ""
        click.echo(f"{last} = {_toml(value)}{comment}")


def _values(settings: "Settings") -> dict[str, object]:
    from rightsmanager.settings_loading import settings_in_force  # noqa: PLC0415 -- as above

    return {each.name: each.value for each in settings_in_force(settings, {})}


def _origin(loaded: "Loaded", name: str) -> str | None:
    # The data folder is given as an option to all other parts of a command.
    return None if name == "data" else loaded.origins.get(name)


def _toml(value: object) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too.
    return json.dumps(value)
