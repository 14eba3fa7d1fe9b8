"""The look that all pages share: their frame, menu, style sheet and headers.

Links are relative to the path that the client sent, so that pages work below any prefix that a
proxy adds. The pages of the service's own path link to queries of that path: proxies often pass
nothing else on.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from flask import Flask, Response, render_template, request
from jinja2 import StrictUndefined

from rightsmanager.web.router import ASMX_PATH, CLIENT_PATH, CONSOLE_PATH

STATIC_PATH: Final = "/static"
STYLE: Final = "rightsmanager.css"

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The headers of every page: nothing is loaded from elsewhere, and no address leaves in a link."""
PRIVATE: Final = {"Cache-Control": "no-store"}
"""The headers of pages with facts of requests or of the store."""

_CONSOLE: Final = CONSOLE_PATH[1:]
_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
_YEAR: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A link of the menu."""

    path: str
    """The path from the root of the server, without its first slash."""
    title: str


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """Links under one heading, which may be empty."""

    title: str
    entries: tuple[MenuEntry, ...]


SERVICE_MENU: Final = MenuGroup(
    "Service",
    (
        MenuEntry("rightsmanager.asmx", "Operations"),
        MenuEntry("explain", "Explain a URL"),
        MenuEntry("parameters", "Parameters"),
    ),
)

HasConsole = Callable[[], bool]
"""Returns whether the client of this request may be shown links to the console."""


def add_look(app: Flask, console_menu: tuple[MenuGroup, ...], has_console: HasConsole) -> None:
    """Add the frame of all pages and the static files to an application."""
    environment = app.jinja_env
    environment.undefined = StrictUndefined
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters["spelled"] = spelled
    environment.globals.update(
        root=root,
        stylesheet=_stylesheet,
        static=static,
        service_link=service_link,
        is_current=_is_current,
        service_menu=SERVICE_MENU,
        console_menu=lambda: console_menu if has_console() else (),
    )
    _add_static_files(app)


def root() -> str:
    """Return the relative address of the server's root."""
    path: str = request.environ.get(CLIENT_PATH, request.path)
    return "../" * (path.count("/") - 1) or "./"


def service_link(path: str) -> str:
    """Return the relative address of a page of the service."""
    if request.path != ASMX_PATH:
        return root() + path
    return "?" if path == ASMX_PATH[1:] else f"?{path}"


def static(name: str) -> str:
    """Return the relative address of a static file, which changes with its content."""
    return f"{root()}{STATIC_PATH[1:]}/{name}?v={_read_files()[name].digest}"


def html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a page with the headers of all pages."""
    # A query may contain half of a surrogate pair, which UTF-8 cannot encode.
    response = Response(text.encode(errors="replace"), status, mimetype="text/html")
    response.headers.update({**SECURITY_HEADERS, **(headers or {})})
    return response


def notice(status: int, title: str, text: str) -> Response:
    """Return a page of one sentence with a link to the service."""
    return html(render_template("notice.html", title=title, text=text), status)


def serve_style() -> Response:
    """Return the style sheet."""
    return _read_files()[STYLE].response()


def spelled(value: object) -> str:
    """Return a fact's value as a page shows it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _stylesheet() -> str:
    if request.path == ASMX_PATH:
        return f"?style={_read_files()[STYLE].digest}"
    return static(STYLE)


def _is_current(path: str) -> bool:
    """Return whether the request is for this page of the menu, or for one below it."""
    asked = request.path.strip("/")
    if request.path == ASMX_PATH:
        asked = _asmx_page()
    return asked == path or (path.startswith(f"{_CONSOLE}/") and asked.startswith(f"{path}/"))


def _asmx_page() -> str:
    first = request.query_string.decode("latin-1").lower().partition("=")[0].partition("&")[0]
    return first if first in {"explain", "parameters"} else ASMX_PATH[1:]


# --- static files ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _StaticFile:
    """A file that pages load."""

    data: bytes
    mimetype: str
    digest: str

    def response(self) -> Response:
        headers = {"Cache-Control": _YEAR, **SECURITY_HEADERS}
        return Response(self.data, headers=headers, mimetype=self.mimetype)


@cache
def _read_files() -> Mapping[str, _StaticFile]:
    """Return the static files by their path below the folder; they are read once."""
    return {
        file.relative_to(_FOLDER).as_posix(): _StaticFile(
            data := file.read_bytes(), _TYPES[file.suffix], hashlib.sha256(data).hexdigest()[:12]
        )
        for file in sorted(_FOLDER.rglob("*.*"))
    }


def _add_static_files(app: Flask) -> None:
    @app.route(f"{STATIC_PATH}/<path:name>")
    def static_file(name: str) -> Response:
        file = _read_files().get(name)
        return (
            notice(404, "No such file", "The service is here:") if file is None else file.response()
        )
