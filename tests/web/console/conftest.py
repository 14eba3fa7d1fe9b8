"""The console of a whole server, called in process: no socket, any database."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin
from wsgiref.util import setup_testing_defaults

import pytest
from lxml import html

from rightsmanager.app import build
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import create
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.server import Runtime, Server
from rightsmanager.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1790000000
TOKEN = "the-token-of-the-settings"
LOOPBACK = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1", "SERVER_PORT": "80"}
FAR = {"REMOTE_ADDR": "203.0.113.7", "HTTP_HOST": "drm.example", "SERVER_PORT": "80"}


@dataclass(frozen=True)
class Answer:
    """The answer to a request, as a page."""

    path: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def page(self) -> html.HtmlElement:
        return html.fromstring(self.body)

    @property
    def text(self) -> str:
        """The text of the page's own part."""
        (main,) = self.page.xpath("//main")
        return " ".join(main.text_content().split())

    @property
    def links(self) -> list[str]:
        """The paths that the page's own part links to."""
        found: list[str] = self.page.xpath("//main//a/@href")
        return [urljoin(self.path, each) for each in found]

    @property
    def location(self) -> str:
        """The path that it redirects to."""
        return urljoin(self.path, self.headers["Location"])


@dataclass
class Browser:
    """Sends requests as a browser does, and keeps the cookie."""

    server: Server
    client: dict[str, str] = field(default_factory=lambda: LOOPBACK)
    cookie: str = ""

    def get(self, path: str, **environ: str) -> Answer:
        return self._send("GET", path, b"", environ)

    def post(self, path: str, fields: dict[str, str], **environ: str) -> Answer:
        """Post a form as it is."""
        given = {"CONTENT_TYPE": "application/x-www-form-urlencoded", **environ}
        return self._send("POST", path, urlencode(fields).encode(), given)

    def submit(self, path: str, **fields: str) -> Answer:
        """Fill in and send the form of a page that posts."""
        shown = self.get(path)
        assert shown.status == 200, shown.text
        (form,) = [each for each in shown.page.xpath("//main//form") if each.method == "POST"]
        given = {name: value or "" for name, value in form.form_values()}
        assert fields.keys() <= set(form.fields), form.fields
        return self.post(urljoin(path, form.action), {**given, **fields})

    def follow(self, answer: Answer) -> Answer:
        """Return the page that an act leads to."""
        assert answer.status == 303, answer.text
        return self.get(answer.location)

    def _send(self, method: str, target: str, body: bytes, environ: dict[str, str]) -> Answer:
        path, _, query = target.partition("?")
        got: list[Any] = []
        full: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)) if body else "",
            **self.client,
            **({"HTTP_COOKIE": self.cookie} if self.cookie else {}),
            **environ,
        }
        setup_testing_defaults(full)
        pieces = self.server.wsgi(full, lambda *arguments: got.append(arguments))
        (status, headers, *_), sent = got[0], b"".join(pieces)
        found = dict(headers)
        if "Set-Cookie" in found:
            self.cookie = found["Set-Cookie"].partition(";")[0]
        return Answer(path, int(status[:3]), found, sent)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a keyring and no database."""
    folder = tmp_path_factory.mktemp("console") / "data"
    create(KeyFiles(folder, None), lambda _: system_random)
    return folder


@pytest.fixture
def new_server(data: Path, database_url: str) -> Iterator[Callable[..., Server]]:
    """Return a function that builds a server with some settings changed."""
    built: list[Server] = []

    def make(*, is_loopback: bool = True, **settings: Any) -> Server:  # noqa: ANN401 -- fields of Settings
        given = Settings(data=data, database_url=database_url, **settings)
        runtime = Runtime(clock=lambda: NOW, is_loopback=is_loopback)
        built.append(build(given, runtime))
        return built[-1]

    yield make
    for each in built:
        each.store.close()
        if each.recorder is not None:
            each.recorder.close()


@pytest.fixture
def server(new_server: Callable[..., Server]) -> Server:
    return new_server()


@pytest.fixture
def browser(server: Server) -> Browser:
    return Browser(server)
