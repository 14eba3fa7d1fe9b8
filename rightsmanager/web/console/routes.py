"""The addresses of the console, its access, and its answers to errors.

A page is a function of the console's parts and of a request. A refusal becomes a page with its
sentence: 404 for an unknown thing, 503 while the database or the journal is away, else 422.
Everything that changes something is an act: GET asks first, POST acts and is recorded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Final

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from rightsmanager.admin.refusals import NotFound
from rightsmanager.errors import InternalError, InvalidMessage, Refusal, UnknownAccountId
from rightsmanager.operations.request import REQUEST_ID
from rightsmanager.store.database import StoreFailed
from rightsmanager.web.access import CALLER, CSRF_FIELD, Access, Caller, Refused
from rightsmanager.web.console.acts import ask, find_act, perform
from rightsmanager.web.console.blocks import BAD, GOOD, Asked, Field, Form, Notice, View
from rightsmanager.web.console.decode import decode
from rightsmanager.web.console.parts import Parts
from rightsmanager.web.console.table import ACTS, PAGES, Page
from rightsmanager.web.http import BodyTooLarge, read_body
from rightsmanager.web.look import PRIVATE, html, root
from rightsmanager.web.router import CONSOLE_PATH, MAX_DOCUMENT_BODY

NoteFailure = Callable[[str, BaseException], None]
"""Logs a failure: where it happened, and the exception."""

SIGN_IN: Final = f"{CONSOLE_PATH}/sign-in"
SIGN_OUT: Final = f"{CONSOLE_PATH}/sign-out"
DECODE: Final = f"{CONSOLE_PATH}/decode"

_FAILED: Final = "The server failed. Its log has the reason."
_AWAY: Final = "The database does not answer. This page works again when it does."
_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (NotFound, 404),
    (UnknownAccountId, 404),
    (InternalError, 503),
    (Refusal, 422),
)
_TITLES: Final = {403: "Not allowed", 404: "Not found", 500: "Failed", 503: "Not available"}
_HEADERS: Final = {
    **PRIVATE,
    # Not no-referrer: with that, the browser sends the origin `null` with a form.
    "Referrer-Policy": "same-origin",
}
_READ_ONLY: Final = "this token's role is read, expected operate"


@dataclass(frozen=True, slots=True)
class Console:
    """The console of a server."""

    parts: Parts
    access: Access
    note: NoteFailure = field(repr=False)
    body_seconds: float = 20.0
    """Longest wait for the next bytes of a body."""


def add_console(app: Flask, console: Console) -> None:
    """Add the console to an application that has the look of all pages."""
    app.jinja_env.filters["batch_charts"] = batch_charts
    # The longest text in a form with a file: by default half a megabyte.
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_DOCUMENT_BODY
    app.before_request(partial(_check, console))
    for path, page in PAGES.items():
        _add(app, path, partial(_answer, console, page))
    _add(app, "decode", partial(_answer, console, decode), "POST")
    _add(app, "acts/<name>", partial(_ask, console))
    _add(app, "acts/<name>", partial(_perform, console), "POST")
    _add(app, "sign-in", partial(_sign_in, console), "POST")
    _add(app, "sign-out", partial(_sign_out, console), "POST")


def is_console(path: str) -> bool:
    """Return whether a path belongs to the console."""
    return path == CONSOLE_PATH or path.startswith(f"{CONSOLE_PATH}/")


def describe_http_error(console: Console, error: HTTPException) -> Response:
    """Return the page for an error of Flask's own, such as an unknown path."""
    status = error.code or 500
    text = "There is no such page." if status == 404 else f"{error.name}."  # noqa: PLR2004
    response = _render(console, _notice(status, text))
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _add(app: Flask, path: str, view: Callable[..., Response], method: str = "GET") -> None:
    app.add_url_rule(f"{CONSOLE_PATH}/{path}", f"console.{method}.{path}", view, methods=[method])


# --- access ---------------------------------------------------------------------------------------


def _check(console: Console) -> Response | None:
    """Return the answer to a request that is not allowed; else its body has been read."""
    # The path that Flask finds the page by: PATH_INFO may begin with more slashes.
    path = request.path
    if not is_console(path):
        return None
    if path == CONSOLE_PATH:
        return _redirect("")
    if path != SIGN_IN:
        found = console.access.authorize_console(request.environ)
        if isinstance(found, Refused):
            return _refuse(console, found)
    return _check_post(console, path) if request.method == "POST" else None


def _check_post(console: Console, path: str) -> Response | None:
    environ = request.environ
    try:
        body = read_body(environ, MAX_DOCUMENT_BODY, console.body_seconds)
    except BodyTooLarge as refusal:
        return _render(console, _notice(413, refusal.text))
    except InvalidMessage as refusal:
        return _render(console, _notice(400, refusal.text))
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    if path == SIGN_IN:
        return None
    forged = console.access.refuse_forged(environ, request.form.get(CSRF_FIELD, ""))
    if forged is not None:
        return _refuse(console, forged)
    is_harmless = path in {DECODE, SIGN_OUT}
    return None if is_harmless or _caller().may_operate else _refuse_reader(console)


def _refuse(console: Console, refused: Refused) -> Response:
    is_unknown = refused.http_status == 401  # noqa: PLR2004
    view = _sign_in_view() if is_unknown else _notice(refused.http_status, refused.text)
    response = _render(console, view)
    response.headers.extend(dict(refused.headers))
    if is_unknown and "HX-Request" in request.headers:
        # A live page whose session has ended loads as a whole.
        response.headers["HX-Refresh"] = "true"
    return response


def _refuse_reader(console: Console) -> Response:
    return _render(console, _notice(403, _READ_ONLY))


def _sign_in_view(text: str = "", status: int = 401) -> View:
    fields = (
        Field("token", "Token", "", "password", is_required=True),
        Field("next", "", _next(), "hidden"),
    )
    return View(
        "Sign in",
        (
            *((Notice(BAD, text),) if text else ()),
            Form(fields, "Sign in", "sign-in", "post"),
            Notice("plain", "A token is made by: rightsmanager token create NAME"),
        ),
        status=status,
        is_alone=True,
    )


def _next() -> str:
    """Return the page of the console to show after signing in."""
    if request.method == "POST":
        given = request.form.get("next", "")
    else:
        asked = request.full_path if request.query_string else request.path
        given = asked.removeprefix(f"{CONSOLE_PATH}/")
    # Below the console only: a form of another site could name any address.
    is_own = not given.startswith(("/", "\\", ".")) and ":" not in given.partition("?")[0]
    return given if is_own and given.isprintable() else ""


def _sign_in(console: Console) -> Response:
    cookie = console.access.sign_in(request.environ, request.form.get("token", "").strip())
    if isinstance(cookie, Refused):
        return _render(console, _sign_in_view(cookie.text, cookie.http_status))
    response = _redirect(_next())
    response.headers["Set-Cookie"] = cookie
    return response


def _sign_out(console: Console) -> Response:
    response = _redirect("")
    response.headers["Set-Cookie"] = console.access.sign_out(request.environ)
    return response


def _caller() -> Caller:
    caller: Caller = request.environ[CALLER]
    return caller


# --- pages and acts -------------------------------------------------------------------------------


def _answer(console: Console, page: Page, **path: str) -> Response:
    try:
        view = page(console.parts, _asked(path))
    except Exception as error:  # noqa: BLE001 -- every failure is a page
        view = _describe_failure(console, error)
    return _render(console, view)


def _ask(console: Console, name: str) -> Response:
    if not _caller().may_operate:
        return _refuse_reader(console)
    return _answer(console, lambda _, asked: ask(name, find_act(ACTS, name), asked))


def _perform(console: Console, name: str) -> Response:
    try:
        done = perform(console.parts, name, find_act(ACTS, name), _asked({}))
    except Exception as error:  # noqa: BLE001 -- as above
        return _render(console, _describe_failure(console, error))
    return _render(console, done) if isinstance(done, View) else _redirect(with_done(done, name))


def _asked(path: Mapping[str, str]) -> Asked:
    caller, client = _caller(), request.environ["REMOTE_ADDR"]
    request_id: str = request.environ.get(REQUEST_ID, "")
    operator = (caller.name, client, caller.may_operate, request_id)
    if request.method != "POST":
        return Asked(path, request.args.to_dict(), {}, *operator)
    files = {name: file.read() for name, file in request.files.items()}
    form = {name: value for name, value in request.form.items() if name != CSRF_FIELD}
    return Asked(path, form, files, *operator)


def with_done(path: str, name: str) -> str:
    """Return the address of the page that follows an act, which shows its sentence."""
    return f"{path}{'&' if '?' in path else '?'}done={name}"


def _redirect(path: str) -> Response:
    headers = {**_HEADERS, "Location": f"{_base()}{path}"}
    return Response(status=303, headers=headers)


def _base() -> str:
    return f"{root()}{CONSOLE_PATH[1:]}/"


def _render(console: Console, view: View) -> Response:
    caller: Caller | None = request.environ.get(CALLER)
    done = ACTS.get(request.args.get("done", ""))
    text = render_template(
        "console/page.html",
        view=view,
        base=_base(),
        done=Notice(GOOD, done.done) if done is not None else None,
        csrf=lambda: console.access.csrf_token(request.environ) if caller else "",
        csrf_field=CSRF_FIELD,
        is_open=partial(_is_open, caller),
        session=caller.name if caller is not None and caller.session else "",
    )
    return html(text, view.status, _HEADERS)


def _is_open(caller: Caller | None, path: str) -> bool:
    """Return whether the caller may follow a link."""
    return not path.startswith("acts/") or (caller is not None and caller.may_operate)


def _notice(status: int, text: str) -> View:
    sentence = f"{text[:1].upper()}{text[1:]}"
    return View(
        _TITLES.get(status, "Not possible"),
        (Notice(BAD, sentence if sentence.endswith(".") else f"{sentence}."),),
        status=status,
    )


def _describe_failure(console: Console, error: Exception) -> View:
    """Return the page for an error: a refusal's sentence, and nothing of any other error."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    text = error.text if isinstance(error, Refusal) else _FAILED
    if not isinstance(error, Refusal) or error.__cause__ is not None:
        console.note("the console", error.__cause__ or error)
    return _notice(status, _AWAY if isinstance(error, StoreFailed) else text)


def batch_charts(blocks: tuple[object, ...]) -> list[list[object]]:
    """Return blocks in groups: charts next to each other share one row, all others are alone."""
    groups: list[list[object]] = []
    for block in blocks:
        is_chart = getattr(block, "kind", "") == "chart"
        if is_chart and groups and getattr(groups[-1][0], "kind", "") == "chart":
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups
