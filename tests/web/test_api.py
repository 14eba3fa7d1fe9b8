"""The API in process: its description and its paths agree, and each refusal is a problem."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from rightsmanager.admin.tokens import Role
from rightsmanager.cli.serve import prepare
from rightsmanager.server import Runtime, Server
from rightsmanager.settings_loading import load
from rightsmanager.store.paging import Page
from rightsmanager.web.api.application import MAX_BODY, build_api
from rightsmanager.web.api.routes import BASE
from rightsmanager.web.cursors import cursor_of, read_cursor
from rightsmanager.web.problems import TITLES
from tests.building import built
from tests.databases import execute
from tests.web.conftest import ServerClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.web.conftest import Answer

ABSENT = "00000000-0000-0000-0000-000000000001"
DIGEST = "fb" * 32


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    settings = load(None, data=folder / "data")
    prepare(settings)
    with built(settings, Runtime(is_loopback=True)) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("api")) as made:
        yield made


def ask(server: Server, method: str, path: str, body: bytes = b"", **environ: object) -> Answer:
    sent = {
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": "8080",
        "HTTP_HOST": "127.0.0.1:8080",
        "CONTENT_TYPE": "application/json" if body else "",
        **environ,
    }
    return ServerClient(server.wsgi)(method, f"{BASE}{path}", body, **sent)


def problem(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.body)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(told) == {"type", "title", "status", "code", "detail", "errors"}
    assert told["status"] == answer.status
    assert told["type"] == f"urn:rightsmanager:problem:{told['code']}"
    assert told["title"] == TITLES[told["code"]]
    return told


@pytest.mark.parametrize(
    ("request_", "environ", "status", "code"),
    [
        (("POST", "/domains", b"{"), {}, 400, "bad-request"),
        (("POST", "/domains", b"[" * 5000), {}, 400, "bad-request"),
        (("GET", "/domains", b""), {"REMOTE_ADDR": "192.0.2.1"}, 401, "token-required"),
        (("GET", "/domains", b""), {"HTTP_AUTHORIZATION": "Bearer x"}, 401, "invalid-token"),
        (("GET", "/domains", b""), {"HTTP_HOST": "evil.test"}, 403, "foreign-host"),
        (("GET", "/domains", b""), {"HTTP_ORIGIN": "null"}, 403, "foreign-origin"),
        (("GET", "/nothing", b""), {}, 404, "no-such-path"),
        (("GET", "", b""), {}, 404, "no-such-path"),
        (("GET", "/", b""), {}, 404, "no-such-path"),
        (("GET", "/domains/", b""), {}, 404, "no-such-path"),
        (("GET", f"/domains/{ABSENT}", b""), {}, 404, "not-found"),
        (("GET", "/tokens/a\0b", b""), {}, 404, "not-found"),
        (("PUT", "/domains", b"{}"), {}, 405, "method-not-allowed"),
        (("POST", "/domains", b" " * (MAX_BODY + 1)), {}, 413, "body-too-large"),
        (("POST", "/domains", b"x"), {"CONTENT_TYPE": "text/plain"}, 415, "unsupported-media-type"),
        (("POST", "/domains", b"x"), {"CONTENT_TYPE": ""}, 415, "unsupported-media-type"),
        (("POST", "/domains", b""), {}, 422, "invalid-value"),
        (("POST", "/domains", b"null"), {}, 422, "invalid-value"),
        (("POST", "/domains", b'"{}x"'), {}, 422, "invalid-value"),
        (("POST", "/domains", b'{"limit": -1}'), {}, 422, "invalid-value"),
        (("GET", "/domains?limit=0", b""), {}, 422, "invalid-value"),
        (("GET", "/domains?limit=1001", b""), {}, 422, "invalid-value"),
        (("GET", "/domains?after=x", b""), {}, 422, "invalid-value"),
        (("GET", "/domains?after=W10", b""), {}, 422, "invalid-value"),
        (("GET", "/domains?nothing=1", b""), {}, 422, "invalid-value"),
        (("GET", "/content-keys?program=a%00b", b""), {}, 422, "invalid-value"),
        (("GET", "/licenses?since=0.5", b""), {}, 422, "invalid-value"),
        (("GET", "/licenses?since=2026-01-01T00:00:00", b""), {}, 422, "invalid-value"),
        (("GET", "/metering/usage?to=0", b""), {}, 422, "invalid-value"),
    ],
)
def test_each_refusal_is_a_problem(
    server: Server,
    request_: tuple[str, str, bytes],
    environ: dict[str, str],
    status: int,
    code: str,
) -> None:
    method, path, body = request_
    answer = ask(server, method, path, body, **environ)
    told = problem(answer)
    assert (answer.status, told["code"]) == (status, code)
    assert not any(name.startswith("Access-Control") for name in answer.headers)
    if status == 405:
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rightsmanager"'


@pytest.mark.parametrize("slashes", ["/", "//"])
@pytest.mark.parametrize(
    "path", ["/api/v1/tokens", "/api/v1/openapi.json", "/console/keys", "/console", "/parameters"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_more_slashes_lead_past_no_check(
    server: Server, slashes: str, path: str, method: str
) -> None:
    # Flask drops all but one of them, and finds what is at the path without.
    sent = {"HTTP_HOST": "evil.test", "SERVER_PORT": "8080", "CONTENT_TYPE": "application/json"}
    body = b'{"name": "intruder", "role": "operate"}' if method == "POST" else b""
    client = ServerClient(server.wsgi)
    assert client(method, f"{slashes}{path}", body, **sent).status in {403, 404}
    local = {**sent, "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8080"}
    assert client(method, f"{slashes}{path}", body, **local).status == 404
    assert json.loads(ask(server, "GET", "/tokens").body)["tokens"] == []


def test_a_body_names_its_invalid_values(server: Server) -> None:
    told = problem(ask(server, "POST", "/domains", b'{"limit": "5", "account_id": "x", "y": 1}'))
    assert [each["field"] for each in told["errors"]] == ["account_id", "limit", "y"]
    assert told["errors"][0]["text"].startswith("AccountID is 'x', expected a GUID")


def test_a_state_that_does_not_allow_it_is_a_conflict(server: Server) -> None:
    body = json.dumps({"account_id": ABSENT.replace("0001", "0002")}).encode()
    assert ask(server, "POST", "/domains", body).status == 201
    assert problem(ask(server, "POST", "/domains", body))["code"] == "conflict"


def test_failures_of_server_and_database_are_apart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (tmp_path / "data" / "keyring" / "crl-signer.key").unlink()
        body = json.dumps({"digest": DIGEST}).encode()
        told = problem(ask(server, "POST", "/revocations", body))
        assert (told["status"], told["code"]) == (500, "internal-error")
        execute(f"sqlite:///{tmp_path / 'data' / 'rightsmanager.db'}", "DROP TABLE api_tokens")
        told = problem(ask(server, "GET", "/tokens"))
    assert (told["status"], told["code"]) == (503, "database-failed")
    assert "api_tokens" not in told["detail"]


def test_every_path_is_described_and_every_description_served(server: Server) -> None:
    app = build_api(MagicMock(settings=()), MagicMock(is_open=False), 1.0)
    served = {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule.removeprefix(BASE)))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    description = json.loads(ask(server, "GET", "/openapi.json").body)
    described = {
        (method.upper(), path) for path, each in description["paths"].items() for method in each
    }
    assert served == described | {("GET", "/openapi.json")}
    names = [
        each["operationId"] for path in description["paths"].values() for each in path.values()
    ]
    assert len(names) == len(set(names))


def test_operations_that_change_or_reveal_need_the_role_operate(server: Server) -> None:
    description = json.loads(ask(server, "GET", "/openapi.json").body)
    reading = {
        (method, path)
        for path, operations in description["paths"].items()
        for method, each in operations.items()
        if each["description"].endswith("`read` or `operate`.")
    }
    posts = {path for method, path in reading if method != "get"}
    assert posts == {"/decode", "/explain"}
    getting = {path for path, each in description["paths"].items() if "get" in each}
    assert getting == {path for method, path in reading if method == "get"}
    assert {each.value for each in Role} == {"read", "operate"}
    # On loopback some requests need no token.
    assert description["paths"]["/domains"]["get"]["security"] == [{"bearer": []}, {}]


@pytest.mark.parametrize("key", [(1, b"x"), (1, "a", b""), (0,), ("ä",)])
def test_a_cursor_is_the_key_of_a_page(key: tuple[int | str | bytes, ...]) -> None:
    text = cursor_of(Page((), key))
    assert text is not None
    assert re.fullmatch(r"[\w-]+", text)
    assert read_cursor(text) == key
    assert cursor_of(Page((), None)) is None
