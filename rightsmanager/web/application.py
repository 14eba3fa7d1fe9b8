"""The Flask application of the pages and of the admin API.

Pages are HTML and readable by pages of other origins; the admin API is JSON and is not. Which of
the two a path belongs to decides how a refusal is written and how the request is logged.
"""

import math
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from rightsmanager.errors import InvalidMessage
from rightsmanager.web.admin_access import AdminAccess, find_token
from rightsmanager.web.http import BodyTooLarge, read_body
from rightsmanager.web.look import add_look, notice
from rightsmanager.web.pages import Site, add_pages
from rightsmanager.web.problems import Problem, describe_http_error

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_ADMIN_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MAX_ADMIN_BODY: Final = 64 * 1024
"""Longest body of a request to the admin API, in bytes."""
_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="rightsmanager"'),)
_MAX_LOGGED_PATH: Final = 200


def build_application(
    site: Site,
    admin: AdminAccess | None = None,
    api: Flask | None = None,
    log: Any = None,  # noqa: ANN401 -- any structlog logger
) -> Wsgi:
    """Return the application: the admin API's one, if it is switched on, with the pages added."""
    app = api or Flask(__name__, static_folder=None)
    # A doubled slash makes another path, not a redirection.
    app.url_map.merge_slashes = False
    add_look(app, (), lambda: False)
    add_pages(app, site)
    _add_errors(app, admin)
    log = log or structlog.get_logger("rightsmanager").bind()
    if admin is not None:
        _add_access(app, admin, log)
    _add_log(app, admin, log)
    return app.wsgi_app


def _is_admin(admin: AdminAccess | None) -> bool:
    return admin is not None and admin.covers(request.environ["PATH_INFO"])


def _add_errors(app: Flask, admin: AdminAccess | None) -> None:
    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        if _is_admin(admin):
            return describe_http_error(error).response()
        if not isinstance(error, MethodNotAllowed):
            return notice(404, "Nothing here", "The service is at another path:")
        allowed = ", ".join(sorted(error.valid_methods or ()))
        response = notice(405, "Method not allowed", f"Allowed: {allowed}.")
        response.headers["Allow"] = allowed
        return response


def _add_access(app: Flask, admin: AdminAccess, log: Any) -> None:  # noqa: ANN401 -- as above
    @app.before_request
    def check() -> Response | None:
        problem = _check_access(request.environ, admin, log) if _is_admin(admin) else None
        return None if problem is None else problem.response()


def _check_access(environ: dict[str, Any], access: AdminAccess, log: Any) -> Problem | None:  # noqa: ANN401
    """Return the reason to refuse a request, else None with the body read into `wsgi.input`."""
    if environ["PATH_INFO"] == access.path:
        return Problem(404, f"nothing is here, try {access.path}/openapi.json")
    problem = _check_token(environ, access, log)
    if problem is not None:
        return problem
    try:
        body = read_body(environ, MAX_ADMIN_BODY, access.body_seconds)
    except BodyTooLarge as refusal:
        return Problem(413, refusal.text)
    except InvalidMessage as refusal:
        return Problem(400, refusal.text)
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return None


def _check_token(environ: dict[str, Any], access: AdminAccess, log: Any) -> Problem | None:  # noqa: ANN401
    """Return the reason to refuse a token; a wrong one delays the next from the same address."""
    token, remote = find_token(environ.get("HTTP_AUTHORIZATION", "")), environ["REMOTE_ADDR"]
    if token:
        # The right token has to wait too: otherwise its answer would tell it from wrong ones.
        seconds = math.ceil(access.delays.remaining(remote))
        if seconds:
            text = f"too many wrong tokens from {remote}, the next is read in {seconds} seconds"
            return Problem(429, text, headers=(("Retry-After", str(seconds)),))
        if access.is_token(token):
            access.delays.forget(remote)
            return None
        log.warning("admin_token_refused", remote=remote, attempts=access.delays.record(remote))
    text = "expected the header Authorization: Bearer with the token of the admin API"
    return Problem(401, text, headers=_CHALLENGE)


def _add_log(app: Flask, admin: AdminAccess | None, log: Any) -> None:  # noqa: ANN401 -- as above
    @app.after_request
    def record(response: Response) -> Response:
        is_admin = _is_admin(admin)
        if is_admin:
            response.headers.update(_ADMIN_HEADERS)
        log.info(
            "admin" if is_admin else "page",
            method=request.method,
            path=request.environ["PATH_INFO"][:_MAX_LOGGED_PATH],
            status=response.status[:3],
            remote=request.environ.get("REMOTE_ADDR", ""),
            bytes_out=response.content_length or 0,
        )
        return response
