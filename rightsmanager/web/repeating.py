"""Requests to the service that its own process makes, without a network: to replay old ones."""

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO, StringIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from rightsmanager.web.router import ASMX_PATH

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Post = Callable[[str, Mapping[str, str], bytes], bytes]
"""Posts a body with headers to a URL and returns the body of the answer."""


def answer_here(application: Wsgi, client: str) -> Post:
    """Return a function that posts to an application as a client of this address."""

    def post(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        environ = _environ(url, client, body)
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        return b"".join(application(environ, _ignore))

    return post


def _environ(url: str, client: str, body: bytes) -> dict[str, Any]:
    parts = urlsplit(url)
    path = unquote_to_bytes(parts.path).decode("latin-1")
    # With a public URL that names no path of the service, the entry has that one's.
    is_service = path.lower().endswith(ASMX_PATH)
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path if is_service else ASMX_PATH,
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc,
        "REMOTE_ADDR": client,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme or "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _ignore(_status: str, _headers: list[tuple[str, str]], _error: object = None) -> None:
    """Take the status, which the answer's envelope says too."""
