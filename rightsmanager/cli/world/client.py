"""The API of a server with worlds, as the commands call it."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import quote, urlencode, urlsplit

import click

from rightsmanager.cli.options import add_options
from rightsmanager.errors import ConnectionFailed, InternalError

Parameters = ParamSpec("Parameters")
Json = Any
"""A value of JSON."""

URL: Final = "http://127.0.0.1:8080"
MORE_SECONDS: Final = 30.0
"""The time that an answer may take in addition to a wait that was asked for."""


@dataclass(frozen=True, slots=True)
class LabClient:
    """Calls the API of one server."""

    url: str
    """Scheme, host and port."""
    token: str = field(repr=False)
    context: ssl.SSLContext | None = None

    def get(self, path: str, **query: object) -> Json:
        """Return an answer; raises InternalError for a problem, and ConnectionFailed."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", f"{path}?{urlencode(given)}" if given else path)

    def get_all(self, path: str, name: str) -> list[Json]:
        """Return the items of all pages of a list; raises likewise."""
        found: list[Json] = []
        after: str | None = None
        while True:
            page = self.get(path, limit=1000, after=after)
            found += page[name]
            after = page["next"]
            if after is None:
                return found

    def call(self, method: str, path: str, body: Json = None, wait_seconds: float = 0.0) -> Json:
        """Return an answer, None for an empty one; raises likewise."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 -- the scheme is checked
            f"{self.url}/api/v1{path}", data, self._headers(), method=method
        )
        try:
            with urllib.request.urlopen(  # noqa: S310 -- as above
                request, timeout=wait_seconds + MORE_SECONDS, context=self.context
            ) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise InternalError(_detail(error)) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise ConnectionFailed(f"{self.url} cannot be reached: {reason}") from None
        return json.loads(text) if text else None

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        return {**headers, "Authorization": f"Bearer {self.token}"} if self.token else headers


def segment(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")


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
        default="",
        envvar="RIGHTSMANAGER_API__TOKEN",
        help="A token of the API; by default RIGHTSMANAGER_API__TOKEN.",
    ),
    click.option(
        "--cafile",
        type=click.Path(exists=True, dir_okay=False),
        help="The certificate that a server by https is trusted by.",
    ),
)
Command = Callable[Concatenate[LabClient, Parameters], None]


def client_options(command: Command[Parameters]) -> Callable[..., None]:
    """Add the options of the server; the command gets a LabClient first."""

    @wraps(command)
    def run(*arguments: Any, **more: Any) -> None:  # noqa: ANN401 -- the command's
        cafile = more.pop("cafile")
        context = None if cafile is None else ssl.create_default_context(cafile=cafile)
        client = LabClient(_parse_url(more.pop("url")), more.pop("token"), context)
        command(client, *arguments, **more)

    return _OPTIONS(run)


def _detail(error: urllib.error.HTTPError) -> str:
    with error:
        data = error.read()
    try:
        return str(json.loads(data)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with HTTP {error.code}"
