"""Refusals of the API as `application/problem+json` (RFC 9457), each with a stable code."""

from dataclasses import dataclass
from typing import Final

from flask import Response, json
from werkzeug.exceptions import HTTPException

from rightsmanager.admin.refusals import Conflict, NotFound, TimedOut
from rightsmanager.errors import (
    InternalError,
    InvalidMessage,
    NotADomainMember,
    Refusal,
    UnknownAccountId,
)
from rightsmanager.operations.program_keys import ContradictingKey
from rightsmanager.store.database import StoreFailed
from rightsmanager.web.access import Refused, RoleTooLow

MIMETYPE: Final = "application/problem+json"
TYPE: Final = "urn:rightsmanager:problem:"
"""The start of each type; the code is the rest."""

TITLES: Final = {
    "bad-request": "The request is malformed",
    "body-too-large": "The body is too long",
    "conflict": "The present state does not allow this",
    "csrf": "The CSRF token is missing or old",
    "database-failed": "The database failed",
    "foreign-host": "The request is for another host",
    "foreign-origin": "The request comes from another origin",
    "internal-error": "The server failed",
    "invalid-token": "The token is not valid",
    "invalid-value": "A value is invalid",
    "method-not-allowed": "The path does not have this method",
    "no-such-path": "There is nothing at this path",
    "not-found": "There is no such thing",
    "role-too-low": "The token's role does not allow this",
    "timed-out": "The event has not come in time",
    "token-required": "A token is required",
    "too-many-attempts": "Too many wrong tokens",
    "unsupported-media-type": "The body is not JSON",
}
"""The title of each code."""

_OF_REFUSALS: Final[tuple[tuple[type[Refusal], int, str], ...]] = (
    (Conflict, 409, "conflict"),
    (ContradictingKey, 409, "conflict"),
    (NotFound, 404, "not-found"),
    (TimedOut, 504, "timed-out"),
    (RoleTooLow, 403, "role-too-low"),
    (UnknownAccountId, 404, "not-found"),
    (NotADomainMember, 404, "not-found"),
    (InvalidMessage, 422, "invalid-value"),
    (StoreFailed, 503, "database-failed"),
    (InternalError, 500, "internal-error"),
    (Refusal, 422, "invalid-value"),
)
"""The status and the code of a refusal: those of the first class that it is an instance of."""
_OF_STATUSES: Final = {
    404: "no-such-path",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid value of a request."""

    field: str
    """Its path, such as `limit`; empty for the whole body."""
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal with its HTTP status."""

    http_status: int
    code: str
    """One of TITLES."""
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def response(self) -> Response:
        """Return the refusal as a response."""
        facts = {
            "type": f"{TYPE}{self.code}",
            "title": TITLES[self.code],
            "status": self.http_status,
            "code": self.code,
            "detail": self.detail,
            "errors": [{"field": each.field, "text": each.text} for each in self.errors],
        }
        return Response(json.dumps(facts), self.http_status, self.headers, mimetype=MIMETYPE)


def problem_of(refusal: Refusal) -> Problem:
    """Return the problem of a refusal."""
    status, code = next(
        (status, code) for kind, status, code in _OF_REFUSALS if isinstance(refusal, kind)
    )
    return Problem(status, code, refusal.text)


def problem_of_access(refused: Refused) -> Problem:
    """Return the problem of a request that may not use the API."""
    return Problem(refused.http_status, refused.code, refused.text, headers=refused.headers)


def problem_of_http(error: HTTPException) -> Problem:
    """Return the problem for an error of Flask's own, such as an unknown path."""
    status = error.code or 500
    code = _OF_STATUSES.get(status, "bad-request" if status < 500 else "internal-error")  # noqa: PLR2004
    text = (error.description or error.name).split("\n")[0]
    allowed = getattr(error, "valid_methods", None)
    headers = (("Allow", ", ".join(sorted(allowed))),) if allowed else ()
    return Problem(status, code, text, headers=headers)
