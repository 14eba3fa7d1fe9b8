"""The control API of a server that runs with `--lab`: JSON over one kept connection."""

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import local
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from rightsmanager.errors import ConnectionFailed, InternalError

API: Final = "/api/v1"
Facts = Mapping[str, Any]
"""JSON of the control API or of the management API, under the names of their documentation."""
TIMEOUT_SECONDS: Final = 90
"""A wait for the journal may take 60 s."""
_CLOSED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
"""The failures of a kept connection that the server has closed."""


class ControlFailed(InternalError):  # noqa: N818 -- named as its siblings
    """A request that the control API refused."""

    def __init__(self, text: str, http_status: int, code: str) -> None:
        super().__init__(text)
        self.http_status = http_status
        self.code = code
        """The stable name of the problem, such as `not-found`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer by HTTP."""

    status: int
    body: bytes = field(repr=False)


Send = Callable[[str, str, bytes | None], Answer]
"""Sends a request, as method, target and JSON, and returns the answer."""


class _Kept(local):
    """The connection of a thread; it is closed when it is not used any more."""

    connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Close it; the next request opens another one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class HttpSend:
    """Sends requests to one server; each thread keeps a connection of its own."""

    url: str
    """Scheme, host and port."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    context: ssl.SSLContext | None = None
    """Trusts the server's certificate; None for the system's authorities."""
    _kept: _Kept = field(default_factory=_Kept, repr=False)

    def __call__(self, method: str, target: str, body: bytes | None) -> Answer:
        """Return the answer; raises ConnectionFailed."""
        if self._kept.connection is not None:
            try:
                return self._send(method, target, body)
            except _CLOSED:
                self.close()
        try:
            return self._send(method, target, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionFailed(f"{self.url} cannot be reached: {error}") from None

    def close(self) -> None:
        """Close this thread's connection."""
        self._kept.close()

    def _send(self, method: str, target: str, body: bytes | None) -> Answer:
        connection = self._kept.connection or self._connect()
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        made = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self.context)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        )
        self._kept.connection = made
        return made


@dataclass(frozen=True, slots=True)
class Control:
    """The JSON of a server: of the control API, and of each world's management API."""

    send: Send = field(repr=False)

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 -- JSON of any shape
        """Return the JSON at a path; raises ControlFailed, and ConnectionFailed."""
        asked = given(query)
        return self._call("GET", f"{path}?{urlencode(asked)}" if asked else path, None)

    def get_all(self, path: str, name: str, /, **filters: object) -> tuple[Facts, ...]:
        """Return the items of a list, of that name in its JSON, from all pages."""
        found: list[Facts] = []
        after = None
        while True:
            page = self.get(path, limit=1000, after=after, **filters)
            found += page[name]
            after = page["next"]
            if after is None:
                return tuple(found)

    def post(self, path: str, value: object = None) -> Any:  # noqa: ANN401 -- as above
        """Return the answer to a JSON value; raises likewise."""
        return self._call("POST", path, value)

    def put(self, path: str, value: object) -> Any:  # noqa: ANN401 -- as above
        """Return the answer to a JSON value; raises likewise."""
        return self._call("PUT", path, value)

    def patch(self, path: str, value: object) -> Any:  # noqa: ANN401 -- as above
        """Return the answer to a JSON value; raises likewise."""
        return self._call("PATCH", path, value)

    def delete(self, path: str) -> Any:  # noqa: ANN401 -- as above
        """Return the answer to a removal; raises likewise."""
        return self._call("DELETE", path, None)

    def _call(self, method: str, path: str, value: object) -> Any:  # noqa: ANN401 -- as above
        body = None if value is None else json.dumps(value).encode()
        answer = self.send(method, path, body)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _problem(method, path, answer)
        return json.loads(answer.body) if answer.body else None


def _problem(method: str, path: str, answer: Answer) -> ControlFailed:
    try:
        facts = json.loads(answer.body)
        text, code = str(facts.get("detail") or facts["title"]), str(facts.get("code", ""))
    except (ValueError, KeyError, AttributeError):
        text, code = f"{method} {path} answered HTTP {answer.status}", ""
    return ControlFailed(text, answer.status, code)


def connect(url: str, token: str | None = None, context: ssl.SSLContext | None = None) -> HttpSend:
    """Return the way to the server at a URL, of which scheme, host and port count."""
    parts = urlsplit(url)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return HttpSend(f"{parts.scheme}://{parts.netloc}", headers, context)


def segment(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote(name, safe="")


def given(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
