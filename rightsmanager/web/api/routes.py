"""Adds operations to the API: each with its description, its reply and the role that it needs."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from rightsmanager.admin.tokens import Role
from rightsmanager.web.api.models import ProblemModel

Parameters = ParamSpec("Parameters")
Handler = Callable[Parameters, BaseModel]

BASE: Final = "/api/v1"
SCHEME: Final = "bearer"

_REFUSALS: Final = (401, 403, 422, 429, 500, 503)
"""The statuses of refusals that each operation has."""


class Routes:
    """The operations of the API."""

    def __init__(
        self, app: OpenAPI, tag: Tag, roles: dict[str, Role], *, is_open: bool = False
    ) -> None:
        """Add operations to an application, and the role that each needs to `roles`.

        is_open: whether some requests need no token.
        """
        self._app = app
        self._tag = tag
        self._roles = roles
        self._is_open = is_open

    def of(self, tag: Tag) -> "Routes":
        """Return the same for the operations of another noun."""
        return Routes(self._app, tag, self._roles, is_open=self._is_open)

    def get(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that shows something."""
        return self._add(self._app.get, path, _Described(summary, reply, problems, role=Role.READ))

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
        return self._add(self._app.post, path, described)

    def put(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that creates the thing at its path."""
        return self._add(self._app.put, path, _Described(summary, reply, problems))

    def patch(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that changes a part of something."""
        described = _Described(summary, reply, (400, 413, 415, *problems))
        return self._add(self._app.patch, path, described)

    def delete(
        self, path: str, summary: str, reply: type[BaseModel], *problems: int
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        """Add an operation that ends or removes something."""
        return self._add(self._app.delete, path, _Described(summary, reply, problems))

    def _add(
        self, add: Callable[..., Any], path: str, described: "_Described"
    ) -> Callable[[Handler[Parameters]], Handler[Parameters]]:
        def decorate(handler: Handler[Parameters]) -> Handler[Parameters]:
            @wraps(handler)
            def answer(*arguments: Parameters.args, **more: Parameters.kwargs) -> Response:
                text = handler(*arguments, **more).model_dump_json(by_alias=True)
                return Response(text, described.status, mimetype="application/json")

            name = handler.__name__
            self._roles[name] = described.role
            security: list[dict[str, list[str]]] = [{SCHEME: []}, *([{}] if self._is_open else [])]
            add(f"{BASE}{path}", security=security, **described.arguments(name, self._tag))(answer)
            return handler

        return decorate


class _Described:
    """The description of an operation, its parameters apart."""

    def __init__(
        self,
        summary: str,
        reply: type[BaseModel],
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
        statuses = sorted({*self._problems, *_REFUSALS})
        return {
            "operation_id": name,
            "summary": self._summary,
            "description": f"Needs a token with the role `{self.role.value}`"
            f"{' or `operate`' if self.role is Role.READ else ''}.",
            "tags": [tag],
            "responses": {self.status: self._reply, **dict.fromkeys(statuses, ProblemModel)},
        }
