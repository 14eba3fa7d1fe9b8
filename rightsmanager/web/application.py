"""The Flask application of the pages, the API and the console.

Pages are HTML and readable by pages of other origins; the API is JSON and is not. Which of the two
a path belongs to decides how a refusal is written and how the request is logged.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.web.access import CALLER, Caller
from rightsmanager.web.api.parts import ApiParts
from rightsmanager.web.console.parts import Parts
from rightsmanager.web.console.routes import Console, add_console, describe_http_error
from rightsmanager.web.console.table import MENU
from rightsmanager.web.look import add_look, notice
from rightsmanager.web.pages import Site, add_pages
from rightsmanager.web.problems import problem_of, problem_of_http
from rightsmanager.web.router import API_PATH, is_private
from rightsmanager.world_paths import split_path

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

NoteFailure = Callable[[str, BaseException], None]
"""Logs a failure: where it happened, and the exception."""

_PRIVATE_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_MAX_LOGGED_PATH: Final = 200
_ELSEWHERE: Final = "The service is at another path:"
_NO_WORLDS: Final = "Worlds need a server that was started with --lab. This one is here:"


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of the pages, the console and the API."""

    site: Site
    console: Parts
    api: ApiParts


def build_application(
    site: Site,
    api: Flask | None = None,
    console: Console | None = None,
    log: Any = None,  # noqa: ANN401 -- any structlog logger
    note: NoteFailure = lambda _what, _error: None,
) -> Wsgi:
    """Return the application: the API's one, if there is one, with the pages added.

    note: logs failures.
    """
    app = api or Flask(__name__, static_folder=None)
    # A doubled slash makes another path, not a redirection.
    app.url_map.merge_slashes = False
    _add_paths(app)
    add_look(app, MENU, lambda: _may_see(console))
    add_pages(app, site)
    if console is not None:
        add_console(app, console)
    _add_errors(app, console)
    _add_failures(app, note)
    _add_log(app, log or structlog.get_logger("rightsmanager").bind())
    return app.wsgi_app


def _add_paths(app: Flask) -> None:
    @app.before_request
    def refuse_doubled_slash() -> None:
        # Flask would drop all but one of them, and answer as for the path without.
        if request.environ["PATH_INFO"].startswith("//"):
            raise NotFound


def _kind(path: str) -> str:
    """Return the kind of a request, by which the log names it."""
    if path == API_PATH or path.startswith(f"{API_PATH}/"):
        return "api"
    return "console" if is_private(path) else "page"


def _may_see(console: Console | None) -> bool:
    return console is not None and console.access.may_see_console(request.environ)


def _add_errors(app: Flask, console: Console | None) -> None:
    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        if _kind(request.environ["PATH_INFO"]) == "api":
            return problem_of_http(error).response()
        if console is not None and is_private(request.environ["PATH_INFO"]):
            return describe_http_error(console, error)
        if not isinstance(error, MethodNotAllowed):
            # With --lab a world answers for these paths.
            is_world = split_path(request.environ["PATH_INFO"]) is not None
            return notice(404, "Nothing here", _NO_WORLDS if is_world else _ELSEWHERE)
        allowed = ", ".join(sorted(error.valid_methods or ()))
        response = notice(405, "Method not allowed", f"Allowed: {allowed}.")
        response.headers["Allow"] = allowed
        return response


def _add_failures(app: Flask, note: NoteFailure) -> None:
    @app.errorhandler(Refusal)
    def refuse(refusal: Refusal) -> Response:
        if refusal.__cause__ is not None:
            note(request.environ["PATH_INFO"][:_MAX_LOGGED_PATH], refusal.__cause__)
        if _kind(request.environ["PATH_INFO"]) == "api":
            return problem_of(refusal).response()
        return notice(problem_of(refusal).http_status, "The server refused", refusal.text)

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        failure = InternalError("the server failed; its log has the reason")
        failure.__cause__ = error
        return refuse(failure)


def _add_log(app: Flask, log: Any) -> None:  # noqa: ANN401 -- as above
    @app.after_request
    def record(response: Response) -> Response:
        kind = _kind(request.environ["PATH_INFO"])
        caller: Caller | None = request.environ.get(CALLER)
        if kind != "page":
            response.headers.update(_PRIVATE_HEADERS)
        log.info(
            kind,
            method=request.method,
            path=request.environ["PATH_INFO"][:_MAX_LOGGED_PATH],
            status=response.status[:3],
            remote=request.environ.get("REMOTE_ADDR", ""),
            **({} if caller is None else {"caller": caller.name}),
            bytes_out=response.content_length or 0,
        )
        return response
