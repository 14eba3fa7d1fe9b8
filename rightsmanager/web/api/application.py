"""The Flask application of the API: its description, its access and its refusals."""

from functools import cache
from io import BytesIO
from typing import Any, Final

from flask import Response, request
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError

from rightsmanager import __version__
from rightsmanager.admin.tokens import Role
from rightsmanager.errors import InvalidMessage
from rightsmanager.web.access import CALLER, Access, Caller, Refused
from rightsmanager.web.api.content_keys import CONTENT_KEYS, add_content_keys
from rightsmanager.web.api.decode import DECODE, add_decode
from rightsmanager.web.api.domains import DOMAINS, add_domains
from rightsmanager.web.api.faults import FAULTS, add_faults
from rightsmanager.web.api.journal import JOURNAL, JournalParts, add_journal
from rightsmanager.web.api.licenses import (
    DEVICES,
    LICENSES,
    SESSIONS,
    add_devices,
    add_licenses,
    add_sessions,
)
from rightsmanager.web.api.metering import METERING, add_metering
from rightsmanager.web.api.models import ProblemModel
from rightsmanager.web.api.parts import ApiParts, RecordAct
from rightsmanager.web.api.revocations import REVOCATIONS, add_revocations
from rightsmanager.web.api.rotation import add_rotation
from rightsmanager.web.api.routes import BASE, SCHEME, Routes
from rightsmanager.web.api.server import add_server
from rightsmanager.web.api.streams import STREAMS, add_streams
from rightsmanager.web.api.tokens import TOKENS, add_tokens
from rightsmanager.web.api.world_journals import add_world_journals
from rightsmanager.web.api.world_snapshots import add_world_snapshots
from rightsmanager.web.api.worlds import WORLDS, WorldsParts, add_worlds
from rightsmanager.web.http import BodyTooLarge, read_body
from rightsmanager.web.problems import (
    FieldError,
    Problem,
    problem_of_access,
)
from rightsmanager.web.router import API_PATH, DOCUMENT_PATHS, MAX_DOCUMENT_BODY

MAX_BODY: Final = 64 * 1024
"""Longest body of a request, in bytes."""
DESCRIPTION: Final = "/openapi.json"

_TEMPLATES: Final = "rightsmanager.web"
"""The package with the folder of templates, for pages that are added."""
_UNPROCESSABLE: Final = 422
_META: Final = Tag(name="description", description="The description of this API.")


class _Json(DefaultJSONProvider):
    """Flask's JSON; text that is nested too deeply is malformed."""

    sort_keys = False

    def loads(self, s: str | bytes, **options: Any) -> Any:  # noqa: ANN401 -- as in Flask
        try:
            return super().loads(s, **options)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None


def build_api(parts: ApiParts, access: Access, body_seconds: float) -> OpenAPI:
    """Return an application with the API's routes, open to those that `access` lets in.

    body_seconds: the longest wait for the next bytes of a body.
    """
    app = _make_app()
    roles: dict[str, Role] = {}
    _add_operations(Routes(app, _META, roles, access.is_open, is_described=False), parts)
    _add_description(app, parts, access)
    _add_access(app, access, roles, body_seconds)
    _add_record(app, roles, parts.record_act)
    return app


def _make_app() -> OpenAPI:
    app = OpenAPI(
        _TEMPLATES,
        info=Info(title="RightsManager's management API", version=__version__),
        security_schemes={SCHEME: {"type": "http", "scheme": "bearer"}},
        validation_error_status=_UNPROCESSABLE,
        validation_error_model=ProblemModel,
        validation_error_callback=_refuse_values,
        doc_ui=False,
        static_folder=None,
    )
    app.json = _Json(app)
    return app


def _add_operations(routes: Routes, parts: ApiParts) -> None:
    management = parts.management
    add_content_keys(routes.of(CONTENT_KEYS), management.keys)
    add_rotation(routes.of(CONTENT_KEYS), management)
    add_domains(routes.of(DOMAINS), management.domains)
    add_licenses(routes.of(LICENSES), management.issued)
    add_devices(routes.of(DEVICES), management.issued, management.ledger)
    add_sessions(routes.of(SESSIONS), management.issued)
    add_streams(routes.of(STREAMS), management.streams)
    add_metering(routes.of(METERING), management)
    add_revocations(routes.of(REVOCATIONS), management)
    add_server(routes, management, parts.settings)
    add_decode(routes.of(DECODE), parts.describe, parts.explain)
    add_tokens(routes.of(TOKENS), management.tokens)
    journal = JournalParts(parts.journal, parts.describe, parts.repeat)
    add_journal(routes.of(JOURNAL), journal)
    worlds = WorldsParts(parts.worlds, parts.addressing)
    add_worlds(routes.of(WORLDS), worlds)
    add_world_journals(routes.of(WORLDS), worlds)
    add_world_snapshots(routes.of(WORLDS), worlds)
    add_faults(routes.of(FAULTS), worlds)


def _add_description(app: OpenAPI, parts: ApiParts, access: Access) -> None:
    # Most processes are never asked for it, and it takes longer than all routes together.
    @cache
    def describe() -> dict[str, Any]:
        described = _make_app()
        _add_operations(Routes(described, _META, {}, access.is_open), parts)
        return _describe(described)

    def answer() -> dict[str, Any]:
        # A world has its API below its own path.
        return {**describe(), "servers": [{"url": f"{request.script_root}{BASE}"}]}

    app.add_url_rule(f"{BASE}{DESCRIPTION}", view_func=answer, endpoint="openapi")


def _describe(app: OpenAPI) -> dict[str, Any]:
    """Return the description, whose paths are relative to the server's URL."""
    description = app.api_doc
    paths = {name.removeprefix(BASE): each for name, each in description["paths"].items()}
    return {**description, "paths": paths}


# --- access ---------------------------------------------------------------------------------------


def _add_access(app: OpenAPI, access: Access, roles: dict[str, Role], body_seconds: float) -> None:
    @app.before_request
    def check() -> Response | None:
        # The path that Flask finds the operation by: PATH_INFO may begin with more slashes.
        path = request.path
        if path != API_PATH and not path.startswith(f"{API_PATH}/"):
            return None
        problem = _check_caller(access, roles) or _read(path, body_seconds)
        return None if problem is None else problem.response()


def _check_caller(access: Access, roles: dict[str, Role]) -> Problem | None:
    if not access.is_on:
        return Problem(404, "no-such-path", "the API is switched off (api.access)")
    caller = access.authorize_api(request.environ)
    if isinstance(caller, Refused):
        return problem_of_access(caller)
    needed = roles.get(request.endpoint or "", Role.READ)
    if needed is Role.READ or caller.may_operate:
        return None
    text = f"the token {caller.name!r} has the role read, expected operate"
    return Problem(403, "role-too-low", text)


def _read(path: str, body_seconds: float) -> Problem | None:
    """Read the body; return the reason to refuse it."""
    environ = request.environ
    limit = MAX_DOCUMENT_BODY if path in DOCUMENT_PATHS else MAX_BODY
    try:
        body = read_body(environ, limit, body_seconds)
    except BodyTooLarge as refusal:
        return Problem(413, "body-too-large", refusal.text)
    except InvalidMessage as refusal:
        return Problem(400, "bad-request", refusal.text)
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    if body and request.mimetype != "application/json":
        text = f"the body is {request.mimetype[:64]!r}, expected application/json"
        return Problem(415, "unsupported-media-type", text)
    return _refuse_malformed(body)


def _refuse_malformed(body: bytes) -> Problem | None:
    if body:
        try:
            request.json  # noqa: B018 -- read here, since the library takes malformed JSON for none
        except Exception:  # noqa: BLE001 -- Flask's own, and recursion
            return Problem(400, "bad-request", "the body is not JSON")
    return None


def _add_record(app: OpenAPI, roles: dict[str, Role], record_act: RecordAct) -> None:
    @app.after_request
    def record(response: Response) -> Response:
        """Record what changes something or shows a secret, done or refused."""
        endpoint = request.endpoint or ""
        caller: Caller | None = request.environ.get(CALLER)
        if caller is not None and roles.get(endpoint) is Role.OPERATE:
            refused = response.status_code >= 400  # noqa: PLR2004 -- HTTP's own bound
            problem = response.get_json(silent=True) if refused else None
            text = problem.get("detail", "") if isinstance(problem, dict) else ""
            record_act(caller.name, endpoint, dict(request.view_args or {}), text)
        return response


# --- refusals -------------------------------------------------------------------------------------


def _refuse_values(error: ValidationError) -> Response:
    errors = tuple(
        FieldError(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    text = "; ".join(f"{each.field or 'the body'}: {each.text}" for each in errors)
    return Problem(_UNPROCESSABLE, "invalid-value", text, errors).response()
