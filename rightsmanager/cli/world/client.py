"""The API of a server with worlds, as the commands call it."""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import urlsplit

import click

from rightsmanager.cli.options import add_options
from rightsmanager.device.http import trusting_context
from rightsmanager.testing.control import API, Control, connect

Parameters = ParamSpec("Parameters")
Json = Any
"""A value of JSON."""

URL: Final = "http://127.0.0.1:8080"
WORLDS: Final = f"{API}/worlds"


def get_all(client: Control, path: str, name: str) -> list[Json]:
    """Return the items of all pages of a list."""
    found: list[Json] = []
    after: str | None = None
    while True:
        page = client.get(path, limit=1000, after=after)
        found += page[name]
        after = page["next"]
        if after is None:
            return found


def given(**values: object) -> dict[str, Json]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def parse_value(text: str) -> Json:
    """Return the JSON of a text, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_pair(text: str) -> tuple[str, Json]:
    """Return the name and the value of NAME=VALUE; raises ValueError."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"{text!r} is not of the form NAME=VALUE")
    return name, parse_value(value)


def nest(pairs: tuple[tuple[str, Json], ...]) -> Mapping[str, Mapping[str, Json]]:
    """Return settings by section and name; raises UsageError for a name without a section."""
    tree: dict[str, dict[str, Json]] = {}
    for name, value in pairs:
        section, dot, rest = name.partition(".")
        if not dot:
            raise click.UsageError(f"--set {name}: expected SECTION.NAME=VALUE")
        tree.setdefault(section, {})[rest] = value
    return tree


def _parse_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise click.UsageError(f"--url {text}: expected http://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


_OPTIONS: Final = add_options(
    click.option("--url", default=URL, show_default=True, help="The server; its path is ignored."),
    click.option(
        "--token",
        envvar="RIGHTSMANAGER_API__TOKEN",
        help="A token of the API; by default RIGHTSMANAGER_API__TOKEN.",
    ),
    click.option(
        "--cafile",
        type=click.Path(path_type=Path),
        help="The certificate that a server by https is trusted by.",
    ),
)
Command = Callable[Concatenate[Control, Parameters], None]


def client_options(command: Command[Parameters]) -> Callable[..., None]:
    """Add the options of the server; the command gets a Control first."""

    @wraps(command)
    def run(*arguments: Any, **more: Any) -> None:  # noqa: ANN401 -- the command's
        cafile = more.pop("cafile")
        context = None if cafile is None else trusting_context(cafile)
        send = connect(_parse_url(more.pop("url")), more.pop("token"), context)
        command(Control(send), *arguments, **more)

    return _OPTIONS(run)
