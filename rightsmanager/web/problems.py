"""Refusals of the admin API as JSON: an error text and a status code of the protocol."""

from dataclasses import dataclass

from flask import Response, json
from werkzeug.exceptions import HTTPException

from rightsmanager.errors import StatusCode


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal with its HTTP status."""

    http_status: int
    text: str
    status: StatusCode = StatusCode.INVALID_MESSAGE
    headers: tuple[tuple[str, str], ...] = ()

    def response(self) -> Response:
        """Return the refusal as a response."""
        body = json.dumps({"error": self.text, "status_code": self.status.hex})
        return Response(body, self.http_status, self.headers, mimetype="application/json")


def describe_http_error(error: HTTPException) -> Problem:
    """Return the refusal for an error of Flask's own, such as an unknown path."""
    text = (error.description or error.name).split("\n")[0]
    allowed = getattr(error, "valid_methods", None)
    headers = (("Allow", ", ".join(sorted(allowed))),) if allowed else ()
    return Problem(error.code or 500, text, headers=headers)
