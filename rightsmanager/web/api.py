"""The admin API: accounts and their domains as JSON, described by OpenAPI.

Each operation calls what the command of the same name calls. The module is imported only if the
API is switched on: its library takes some 15 MB.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from flask import Response
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.models.server import Server
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError

from rightsmanager import __version__
from rightsmanager.admin.domains import (
    Conflict,
    DomainAdministration,
    account_facts,
    details_facts,
    parse_device,
)
from rightsmanager.errors import InternalError, NotADomainMember, Refusal, UnknownAccountId
from rightsmanager.protocol.wire import AccountId
from rightsmanager.web.api_models import (
    Account,
    AccountChange,
    AccountDetails,
    AccountList,
    AccountPath,
    DevicePath,
    NewAccount,
    ProblemModel,
)
from rightsmanager.web.problems import Problem

_DOMAINS: Final = Tag(name="domains", description="Accounts, each of which has one domain.")
_STATUSES: Final[tuple[tuple[type[Refusal], int], ...]] = (
    (Conflict, 409),
    (UnknownAccountId, 404),
    (NotADomainMember, 404),
    (InternalError, 500),
    (Refusal, 422),
)
"""The HTTP status of a refusal: that of the first class that it is an instance of."""
_UNPROCESSABLE: Final = 422
_SCHEME: Final = "bearer"

Reply = tuple[dict[str, Any], int] | dict[str, Any]


class _Json(DefaultJSONProvider):
    """Flask's JSON; text that is nested too deeply is malformed."""

    sort_keys = False

    def loads(self, s: str | bytes, **options: Any) -> Any:  # noqa: ANN401 -- as in Flask
        try:
            return super().loads(s, **options)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None


NoteFailure = Callable[[str, BaseException], None]
"""Logs a failure: where it happened, and the exception."""


def build_api(administration: DomainAdministration, path: str, note: NoteFailure) -> OpenAPI:
    """Return an application with the API's routes, which begin with `path`."""
    app = OpenAPI(
        __name__,
        info=Info(title="RightsManager's admin API", version=__version__),
        servers=[Server(url=path)],
        security_schemes={_SCHEME: {"type": "http", "scheme": "bearer"}},
        responses=dict.fromkeys((401, _UNPROCESSABLE, 500), ProblemModel),
        validation_error_status=_UNPROCESSABLE,
        validation_error_model=ProblemModel,
        validation_error_callback=_refuse_values,
        doc_ui=False,
        static_folder=None,
    )
    app.json = _Json(app)
    describe = partial(_describe, app, path)
    app.add_url_rule(f"{path}/openapi.json", view_func=describe, endpoint="openapi")
    _add_accounts(app, f"{path}/domains", administration)
    _add_account(app, f"{path}/domains/<account_id>", administration)
    _add_devices(app, f"{path}/domains/<account_id>/members/<device>", administration)
    _add_refusals(app, note)
    return app


def _describe(app: OpenAPI, path: str) -> dict[str, Any]:
    """Return the description, whose paths are relative to the server's URL."""
    description = app.api_doc
    paths = {name.removeprefix(path): each for name, each in description["paths"].items()}
    return {**description, "paths": paths}


def _add_accounts(app: OpenAPI, path: str, administration: DomainAdministration) -> None:
    @app.get(path, **_document("List all accounts", {200: AccountList}))
    def list_domains() -> Reply:
        return {"accounts": [account_facts(each) for each in administration.find_accounts()]}

    @app.post(path, **_document("Make an account", {201: Account, 409: ProblemModel}))
    def create_domain(body: NewAccount) -> Reply:
        account = administration.create(
            None if body.account_id is None else AccountId.parse(body.account_id),
            friendly_name=body.friendly_name,
            url=body.url,
            limit=body.limit,
        )
        return account_facts(account), 201


def _add_account(app: OpenAPI, path: str, administration: DomainAdministration) -> None:
    found = {404: ProblemModel}

    @app.get(path, **_document("Show an account", {200: AccountDetails, **found}))
    def show_domain(path: AccountPath) -> Reply:
        return details_facts(administration.find_account(_account_id(path)))

    @app.patch(
        path,
        **_document("Change, close or open an account", {200: Account, 409: ProblemModel, **found}),
    )
    def change_domain(path: AccountPath, body: AccountChange) -> Reply:
        account = administration.change(
            _account_id(path),
            friendly_name=body.friendly_name,
            url=body.url,
            limit=body.limit,
            closed=body.closed,
        )
        return account_facts(account)

    @app.delete(
        path,
        **_document(
            "Close an account: joins and licences are refused until it is opened again",
            {200: Account, 409: ProblemModel, **found},
        ),
    )
    def close_domain(path: AccountPath) -> Reply:
        return account_facts(administration.close(_account_id(path)))

    @app.post(
        f"{path}/renew",
        **_document("Make the next revision of an account's domain", {200: Account, **found}),
    )
    def renew_domain(path: AccountPath) -> Reply:
        return account_facts(administration.renew(_account_id(path)))


def _add_devices(app: OpenAPI, path: str, administration: DomainAdministration) -> None:
    @app.delete(
        path,
        **_document("Remove a member, and renew the domain", {200: Account, 404: ProblemModel}),
    )
    def remove_member(path: DevicePath) -> Reply:
        return account_facts(administration.remove(_account_id(path), parse_device(path.device)))

    @app.post(
        f"{path}/allow",
        **_document(
            "Let a device that was removed join again",
            {200: Account, 404: ProblemModel, 409: ProblemModel},
        ),
    )
    def allow_device(path: DevicePath) -> Reply:
        return account_facts(administration.allow(_account_id(path), parse_device(path.device)))


def _document(summary: str, responses: Mapping[int, Any]) -> dict[str, Any]:
    """Return the keyword arguments that describe an operation, its parameters apart."""
    return {
        "summary": summary,
        "tags": [_DOMAINS],
        "security": [{_SCHEME: []}],
        "responses": dict(responses),
    }


def _account_id(path: AccountPath) -> AccountId:
    return AccountId.parse(path.account_id)


# --- refusals -------------------------------------------------------------------------------------


def _add_refusals(app: OpenAPI, note: NoteFailure) -> None:
    @app.errorhandler(Refusal)
    def refuse(refusal: Refusal) -> Response:
        if refusal.__cause__ is not None:
            note("the admin API", refusal.__cause__)
        http_status = next(status for kind, status in _STATUSES if isinstance(refusal, kind))
        return Problem(http_status, refusal.text, refusal.status).response()

    @app.errorhandler(Exception)
    def refuse_failure(error: Exception) -> Response:
        note("the admin API", error)
        failure = InternalError("the server failed; its log has the reason")
        return Problem(500, failure.text, failure.status).response()


def _refuse_values(error: ValidationError) -> Response:
    texts = (
        f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return Problem(_UNPROCESSABLE, "; ".join(texts)).response()
