"""Operators' paths take neither requests of the service nor those of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.web.router import Router, RouterSettings
from tests.web.conftest import ServerClient, envelope, make_front

if TYPE_CHECKING:
    from collections.abc import Callable


def livez(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"alive, {environ['REQUEST_METHOD']}".encode()]


SETTINGS = RouterSettings(operator_paths={"/livez": livez})


@pytest.fixture
def call() -> ServerClient:
    return ServerClient(make_front(SETTINGS))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_a_path_answers_every_method(call: ServerClient, method: str) -> None:
    answer = call(method, "/livez", HTTP_ORIGIN="https://a.example")
    assert answer.body == f"alive, {method}".encode()
    assert "X-Request-Id" in answer.headers
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/livez/", "/livez/x", "/LIVEZ", "//livez", "/x/livez"])
def test_no_other_path_is_taken(call: ServerClient, path: str) -> None:
    assert call("GET", path).status == 404


def test_a_service_below_an_operators_path_is_the_service(call: ServerClient) -> None:
    answer = call("POST", "/livez/rightsmanager.asmx", envelope())
    assert answer.status == 200
    assert b"AcquireLicenseResult" in answer.body
    assert call("GET", "/livez/rightsmanager.asmx").status == 200


def test_it_answers_while_pages_fail() -> None:
    def fail() -> Any:  # noqa: ANN401 -- it returns nothing
        raise RuntimeError("no pages")

    call = ServerClient(Router(make_front()._soap, fail, SETTINGS))
    with pytest.raises(RuntimeError, match="no pages"):
        call("GET", "/")
    assert call("GET", "/livez").status == 200
