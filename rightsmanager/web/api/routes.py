"""Adds operations to the API: each with its description, its reply and the role that it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, ParamSpec, TypeVar

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from rightsmanager.admin.tokens import Role
from rightsmanager.web.api.models import ProblemModel
from rightsmanager.web.problems import MIMETYPE

Parameters = ParamSpec("Parameters")
Handler = Callable[Parameters, BaseModel]
Answer = TypeVar("Answer", bound=BaseModel | None)

BASE: Final = "/api/v1"
SCHEME: Final = "bearer"

_REFUSALS: Final = (401, 403, 422, 429, 500, 503)
"""The statuses of refusals that each operation has."""


@dataclass(frozen=True)
class Routes:
    """The operations of the API."""

    app: OpenAPI
    """The application that operations are added to."""
    tag: Tag
    roles: dict[str, Role]
    """The role that each operation needs, by its name; filled as operations are added."""
    is_open: bool = False
    """Whether some requests need no token."""
    is_described: bool = True
    """Whether the application can describe its operations."""

    def of(self, tag: Tag) -> "Routes":
        """Return the same for the operations of another noun."""
        return replace(self, tag=tag)

    def get(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that shows something."""
        return self._add(self.app.get, path, _Described(summary, reply, problems, role=Role.READ))

    def post(
        self,
        path: str,
        summary: str,
        reply: type[BaseModel],
        *problems: int,
        status: int = 200,
        role: Role = Role.OPERATE,
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that creates or changes something, or whose request has a body."""
        described = _Described(summary, reply, (400, 413, 415, *problems), status, role)
        return self._add(self.app.post, path, described)

    def put(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that creates the thing at its path."""
        return self._add(self.app.put, path, _Described(summary, reply, problems))

    def patch(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that changes a part of something."""
        described = _Described(summary, reply, (400, 413, 415, *problems))
        return self._add(self.app.patch, path, described)

    def delete(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that ends or removes something."""
        return self._add(self.app.delete, path, _Described(summary, reply, problems))

    def remove(
        self, path: str, summary: str, *problems: int
    ) -> Callable[[Callable[Parameters, None]], Callable[Parameters, None]]:
        """Add an operation that removes something, and whose answer is empty."""
        described = _Described(summary, None, problems, HTTPStatus.NO_CONTENT)
        return self._add(self.app.delete, path, described)

    def _add(
        self, add: Callable[..., Any], path: str, described: "_Described"
    ) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
        def decorate(handler: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
            @wraps(handler)
            def answer(*arguments: Parameters.args, **more: Parameters.kwargs) -> Response:
                reply = handler(*arguments, **more)
                text = "" if reply is None else reply.model_dump_json(by_alias=True)
                return Response(text, described.status, mimetype="application/json")

            name = handler.__name__
            self.roles[name] = described.role
            add(f"{BASE}{path}", **self._description(name, described))(answer)
            return handler

        return decorate

    def _description(self, name: str, described: "_Described") -> Mapping[str, Any]:
        if not self.is_described:
            # Descriptions are nine tenths of the time that adding an operation takes.
            return {"doc_ui": False}
        security: list[dict[str, list[str]]] = [{SCHEME: []}, *([{}] if self.is_open else [])]
        return {"security": security, **described.arguments(name, self.tag)}


class _Described:
    """The description of an operation, its parameters apart."""

    def __init__(
        self,
        summary: str,
        reply: type[BaseModel] | None,
        problems: tuple[int, ...],
        status: int = 200,
        role: Role = Role.OPERATE,
    ) -> None:
        self._summary = summary
        self._reply = reply
        self._problems = problems
        self.status = status
        self.role = role

    def arguments(self, name: str, tag: Tag) -> Mapping[str, Any]:
        """Return the keyword arguments of the library."""
        statuses = map(str, sorted({*self._problems, *_REFUSALS}))
        return {
            "operation_id": name,
            "summary": self._summary,
            "description": f"Needs a token with the role `{self.role.value}`"
            f"{' or `operate`' if self.role is Role.READ else ''}.",
            "tags": [tag],
            "responses": {self.status: self._reply, **{each: _problem() for each in statuses}},
        }


def _problem() -> dict[str, Any]:
    # By reference: the library would generate the schema of a model again for each response.
    reference = {"$ref": f"#/components/schemas/{ProblemModel.__name__}"}
    return {"content": {MIMETYPE: {"schema": reference}}}
