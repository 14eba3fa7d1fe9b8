"""The admin API: accounts and their domains as JSON, described by OpenAPI.

Each operation is a call of the same service that the commands call. It is imported only where the
API is switched on: the library behind it takes some 15 MB.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Response, json
from flask_openapi3.models.info import Info
from flask_openapi3.models.server import Server
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

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
    Problem,
)
from rightsmanager.web.bearer_auth import Wsgi, problem

_DOMAINS: Final = Tag(name="domains", description="Accounts, each of which has one domain.")
_STATUSES: Final[tuple[tuple[type[Refusal], int], ...]] = (
    (Conflict, 409),
    (UnknownAccountId, 404),
    (NotADomainMember, 404),
    (InternalError, 500),
    (Refusal, 422),
)
"""The HTTP status of a refusal; the first class that it is of counts."""
_UNPROCESSABLE: Final = 422
_SCHEME: Final = "bearer"

Reply = tuple[dict[str, Any], int] | dict[str, Any]
Note = Callable[[str, BaseException], None]
"""Is told what failed, and how."""


def build_api(administration: DomainAdministration, path: str, note: Note) -> Wsgi:
    """Return the API as an application whose paths are below `path`."""
    api = OpenAPI(
        __name__,
        info=Info(title="RightsManager's admin API", version=__version__),
        servers=[Server(url=path)],
        security_schemes={_SCHEME: {"type": "http", "scheme": "bearer"}},
        responses={401: Problem, 422: Problem, 500: Problem},
        validation_error_status=_UNPROCESSABLE,
        validation_error_model=Problem,
        validation_error_callback=_refuse_values,
        doc_ui=False,
        static_folder=None,
    )
    api.json.sort_keys = False  # type: ignore[attr-defined] # of the provider that Flask has
    api.add_url_rule("/openapi.json", view_func=lambda: api.api_doc, endpoint="openapi")
    _add_accounts(api, administration)
    _add_account(api, administration)
    _add_devices(api, administration)
    _add_refusals(api, note)
    return api.wsgi_app


def _add_accounts(api: OpenAPI, administration: DomainAdministration) -> None:
    @api.get("/domains", **_told("List all accounts", {200: AccountList}))
    def list_domains() -> Reply:
        return {"accounts": [account_facts(each) for each in administration.find_accounts()]}

    @api.post("/domains", **_told("Make an account", {201: Account, 409: Problem}))
    def create_domain(body: NewAccount) -> Reply:
        account = administration.create(
            None if body.account_id is None else AccountId.parse(body.account_id),
            friendly_name=body.friendly_name,
            url=body.url,
            limit=body.limit,
        )
        return account_facts(account), 201


def _add_account(api: OpenAPI, administration: DomainAdministration) -> None:
    found = {404: Problem}

    @api.get("/domains/<account_id>", **_told("Show an account", {200: AccountDetails, **found}))
    def show_domain(path: AccountPath) -> Reply:
        return details_facts(administration.find_account(_account_id(path)))

    @api.patch(
        "/domains/<account_id>",
        **_told("Change, close or open an account", {200: Account, 409: Problem, **found}),
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

    @api.delete(
        "/domains/<account_id>",
        **_told(
            "Close an account: it is as good as none until it is open again",
            {200: Account, 409: Problem, **found},
        ),
    )
    def close_domain(path: AccountPath) -> Reply:
        return account_facts(administration.close(_account_id(path)))

    @api.post(
        "/domains/<account_id>/renew",
        **_told("Make the next revision of an account's domain", {200: Account, **found}),
    )
    def renew_domain(path: AccountPath) -> Reply:
        return account_facts(administration.renew(_account_id(path)))


def _add_devices(api: OpenAPI, administration: DomainAdministration) -> None:
    @api.delete(
        "/domains/<account_id>/members/<device>",
        **_told("Remove a member, and renew the domain", {200: Account, 404: Problem}),
    )
    def remove_member(path: DevicePath) -> Reply:
        return account_facts(administration.remove(_account_id(path), parse_device(path.device)))

    @api.post(
        "/domains/<account_id>/members/<device>/allow",
        **_told(
            "Let a device that was removed join again",
            {200: Account, 404: Problem, 409: Problem},
        ),
    )
    def allow_device(path: DevicePath) -> Reply:
        return account_facts(administration.allow(_account_id(path), parse_device(path.device)))


def _told(summary: str, responses: Mapping[int, Any]) -> dict[str, Any]:
    """Return what the description says of an operation beside what it takes."""
    return {
        "summary": summary,
        "tags": [_DOMAINS],
        "security": [{_SCHEME: []}],
        "responses": dict(responses),
    }


def _account_id(path: AccountPath) -> AccountId:
    return AccountId.parse(path.account_id)


# --- refusals -------------------------------------------------------------------------------------


def _add_refusals(api: OpenAPI, note: Note) -> None:
    @api.errorhandler(Refusal)
    def refuse(refusal: Refusal) -> Response:
        if refusal.__cause__ is not None:
            note("the admin API", refusal.__cause__)
        status = next(status for kind, status in _STATUSES if isinstance(refusal, kind))
        return _answer(problem(refusal.text, refusal.status), status)

    @api.errorhandler(HTTPException)
    def refuse_request(error: HTTPException) -> Response:
        text = (error.description or error.name).split("\n")[0]
        answer = _answer(problem(text), error.code or 500)
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @api.errorhandler(Exception)
    def refuse_failure(error: Exception) -> Response:
        note("the admin API", error)
        failure = InternalError("the server failed; its log has the reason")
        return _answer(problem(failure.text, failure.status), 500)


def _refuse_values(error: ValidationError) -> Response:
    texts = (
        f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return _answer(problem("; ".join(texts)), _UNPROCESSABLE)


def _answer(facts: Mapping[str, Any], status: int) -> Response:
    return Response(json.dumps(facts), status, mimetype="application/json")
