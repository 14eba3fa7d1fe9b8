"""The management API over HTTP follows its description and requires a token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.database import open_store
from rightsmanager.store.domains import Member
from rightsmanager.web.api.routes import BASE
from tests.docs.documents import ROOT, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.conftest import Answer, Command, Server, Start

PROBLEM = {"type", "title", "status", "code", "detail", "errors"}
TOKEN = "mF_9.B5f-4.1JqM-long-enough"
DEVICE = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s="
IN_URLS = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"
ABSENT = "/domains/00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True)
class Api:
    """A client of the admin API that checks each answer against its description."""

    server: Server
    description: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers in addition to the token."""

    def __call__(
        self, method: str, path: str, body: object = None, *, status: int = 200
    ) -> dict[str, Any]:
        text = None if body is None else json.dumps(body)
        answer = send(self.server, method, path, text, **self.headers)
        assert answer.status == status, answer.body
        told: dict[str, Any] = json.loads(answer.body)
        self._hold(method, path, answer, told)
        return told

    def _hold(self, method: str, path: str, answer: Answer, told: object) -> None:
        kind = "application/json" if answer.status < 400 else "application/problem+json"
        assert answer.headers["Content-Type"] == kind
        parts = path.partition("?")[0].split("/")
        templates = [
            each
            for each in self.description["paths"]
            if len(each.split("/")) == len(parts)
            and all(a == b or a[:1] == "{" for a, b in zip(each.split("/"), parts, strict=True))
        ]
        template = min(templates, key=lambda each: each.count("{"))
        operation = self.description["paths"][template][method.lower()]
        content = operation["responses"][str(answer.status)]["content"][kind]
        schema = {**content["schema"], "components": self.description["components"]}
        OAS31Validator(schema).validate(told)


def send(server: Server, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json", **headers}
    return server.call(method, f"{BASE}{path}", None if body is None else body.encode(), **headers)


@pytest.fixture(scope="module")
def administered(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    data = tmp_path_factory.mktemp("administered") / "data"
    return start(
        data, "--workers", "2", RIGHTSMANAGER_API__TOKEN=TOKEN, RIGHTSMANAGER_API__ACCESS="token"
    )


@pytest.fixture
def api(administered: Server) -> Api:
    answer = send(administered, "GET", "/openapi.json")
    return Api(administered, json.loads(answer.body))


@pytest.fixture
def account(api: Api) -> str:
    """A new account."""
    made: str = api("POST", "/domains", {}, status=201)["account_id"]
    return made


def join(server: Server, account: str) -> None:
    """Store a device as if it had joined."""
    account_id = AccountId.from_text(account)
    store = open_store(server.database_url)
    with store.transaction() as transaction:
        assert transaction.domains.reserve_seat(account_id)
        transaction.domains.record_member(account_id, Member(DEVICE, "TV", 1790000000, 1))
    store.close()


def test_the_api_describes_itself(api: Api) -> None:
    validate(api.description)
    assert api.description["openapi"].startswith("3.1")
    assert api.description["servers"] == [{"url": BASE}]
    operations = {
        (method.upper(), path) for path, each in api.description["paths"].items() for method in each
    }
    documented = table(ROOT / "docs" / "api.md", "operation", "what it does")
    assert operations == {tuple(row[0].strip("`").split()) for row in documented}
    for path in api.description["paths"].values():
        for operation in path.values():
            assert operation["security"] == [{"bearer": []}]


def test_an_account_is_made_shown_and_listed(api: Api) -> None:
    asked = {"friendly_name": "Family", "url": "https://domains.test/", "limit": 2}
    made = api("POST", "/domains", asked, status=201)
    assert {name: made[name] for name in asked} == asked
    assert (made["members"], made["revision"], made["closed_at"]) == (0, 1, None)
    shown = api("GET", f"/domains/{made['account_id']}")
    assert {name: shown[name] for name in made} == made
    assert [each["revision"] for each in shown["revisions"]] == [1]
    assert shown["devices"] == []
    assert made in api("GET", "/domains")["accounts"]


def test_the_commands_see_the_same(api: Api, account: str, command: Command) -> None:
    words = ("domain", "show", "--data", str(api.server.data), account, "--json")
    assert command(*words).json == api("GET", f"/domains/{account}")


def test_an_account_is_changed(api: Api, account: str) -> None:
    changed = api("PATCH", f"/domains/{account}", {"limit": 7, "friendly_name": "Flat"})
    assert (changed["limit"], changed["friendly_name"]) == (7, "Flat")
    closed = api("PATCH", f"/domains/{account}", {"closed": True})
    assert closed["closed_at"] is not None
    assert closed["limit"] == 7
    assert api("PATCH", f"/domains/{account}", {"closed": False, "limit": 1})["closed_at"] is None
    assert api("PATCH", f"/domains/{account}", {})["limit"] == 1


def test_an_account_is_closed_once(api: Api, account: str) -> None:
    assert api("DELETE", f"/domains/{account}")["closed_at"] is not None
    refusal = api("DELETE", f"/domains/{account}", status=409)
    assert refusal == {
        "type": "urn:rightsmanager:problem:conflict",
        "title": "The present state does not allow this",
        "status": 409,
        "code": "conflict",
        "detail": f"account {account} is closed",
        "errors": [],
    }


def test_a_domain_is_renewed(api: Api, account: str) -> None:
    assert api("POST", f"/domains/{account}/renew")["revision"] == 2
    shown = api("GET", f"/domains/{account}")
    assert [each["revision"] for each in shown["revisions"]] == [2, 1]


@pytest.mark.parametrize("device", [IN_URLS, IN_URLS + "=", "fb" * 32])
def test_a_member_is_removed_and_allowed_again(api: Api, account: str, device: str) -> None:
    join(api.server, account)
    member = f"/domains/{account}/members/{device}"
    removed = api("DELETE", member)
    assert (removed["members"], removed["revision"]) == (0, 2)
    (shown,) = api("GET", f"/domains/{account}")["devices"]
    assert (shown["device"], shown["state"]) == (DEVICE, "removed")
    assert "is not a member" in api("DELETE", member, status=404)["detail"]
    api("POST", f"{member}/allow")
    assert "was not removed" in api("POST", f"{member}/allow", status=409)["detail"]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ABSENT),
        ("DELETE", ABSENT),
        ("POST", f"{ABSENT}/renew"),
        ("DELETE", f"{ABSENT}/members/{IN_URLS}"),
        ("POST", f"{ABSENT}/members/{IN_URLS}/allow"),
    ],
)
def test_an_unknown_account_is_not_found(api: Api, method: str, path: str) -> None:
    refusal = api(method, path, status=404)
    assert refusal["code"] == "not-found"
    assert "there is no account 00000000-0000-0000-0000-000000000001" in refusal["detail"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"limit": -1}, "limit: Input should be greater than or equal to 0"),
        ({"limit": "5"}, "limit: Input should be a valid integer"),
        ({"limit": 2**31}, "limit: Input should be less than"),
        ({"friendly_name": "x" * 257}, "friendly_name: String should have at most 256"),
        ({"friendly_name": "a\nb"}, "all printable"),
        ({"url": "ftp://domains.test/"}, "url is 'ftp://domains.test/', expected http://"),
        ({"account_id": "x"}, "AccountID is 'x', expected a GUID"),
        ({"name": "x"}, "name: Extra inputs are not permitted"),
        ([], "Input should be"),
    ],
)
def test_impossible_changes_are_refused_and_change_nothing(
    api: Api, account: str, body: object, text: str
) -> None:
    before = api("GET", "/domains")
    assert text in api("POST", "/domains", body, status=422)["detail"]
    if not (isinstance(body, dict) and "account_id" in body):
        assert text in api("PATCH", f"/domains/{account}", body, status=422)["detail"]
    assert api("GET", "/domains") == before


def test_an_account_is_not_made_twice(api: Api, account: str) -> None:
    refusal = api("POST", "/domains", {"account_id": account}, status=409)
    assert "is there, expected a new one" in refusal["detail"]


@pytest.mark.parametrize("path", ["/domains/x", f"{ABSENT}/members/x"])
def test_an_invalid_id_is_unprocessable(api: Api, path: str) -> None:
    api("GET" if path.endswith("/x") and path.count("/") == 2 else "DELETE", path, status=422)


@pytest.mark.parametrize("body", ["{", "", "[1", "\0", '{"limit":NaN}', '{"limit":1e400}'])
def test_a_body_that_is_not_json_is_refused(administered: Server, body: str) -> None:
    answer = send(administered, "POST", "/domains", body)
    assert answer.status in {400, 422}
    assert set(json.loads(answer.body)) == PROBLEM


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/static/x", 404),
        ("PUT", "/domains", 405),
        ("GET", "/domains/", 404),
    ],
)
def test_unknown_paths_and_methods_are_refused_as_json(
    administered: Server, method: str, path: str, status: int
) -> None:
    answer = send(administered, method, path)
    assert answer.status == status
    assert set(json.loads(answer.body)) == PROBLEM


@pytest.mark.parametrize("opening", ["[", '{"limit":'])
@pytest.mark.parametrize("depth", [500, 5000])
def test_a_deeply_nested_body_is_refused(administered: Server, opening: str, depth: int) -> None:
    answer = send(administered, "POST", "/domains", opening * depth)
    closing = {"[": "]", '{"limit":': "1" + "}"}[opening]
    whole = opening * depth + closing[:-1] + closing[-1] * depth
    for each in (answer, send(administered, "POST", "/domains", whole)):
        assert each.status in {400, 422}, each.body
        assert set(json.loads(each.body)) == PROBLEM


def test_guesses_of_the_token_are_delayed(start: Start, tmp_path: Path) -> None:
    server = start(
        tmp_path / "data",
        "--workers",
        "1",
        RIGHTSMANAGER_API__TOKEN=TOKEN,
        RIGHTSMANAGER_API__ACCESS="token",
    )
    for status in (401, 401, 401, 401, 429):
        answer = send(server, "GET", "/domains", Authorization="Bearer guess")
        assert answer.status == status
    assert answer.headers["Retry-After"] == "1"
    assert set(json.loads(answer.body)) == PROBLEM
    assert "api_token_refused" in server.log.read_text()


def test_a_long_body_is_not_read(administered: Server) -> None:
    answer = send(administered, "POST", "/domains", " " * 65537)
    assert answer.status == 413
    assert "the limit is 65536 bytes" in json.loads(answer.body)["detail"]


NO_TOKENS = ("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN)


@pytest.mark.parametrize(
    ("path", "authorization"),
    [
        *[(path, each) for path in ("/domains", "/openapi.json", "/nothing") for each in NO_TOKENS],
        # Few: more wrong tokens from one address are answered with a delay.
        ("/domains", f"Bearer {TOKEN[:-1]}"),
        ("/nothing", f"Bearer {TOKEN}x"),
    ],
)
def test_without_the_token_everything_is_refused(
    administered: Server, path: str, authorization: str
) -> None:
    answer = send(administered, "GET", path, Authorization=authorization)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rightsmanager"'
    assert TOKEN not in answer.body.decode()


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_pages_of_other_origins_are_refused(administered: Server, method: str) -> None:
    for headers in ({}, {"Authorization": ""}):
        answer = send(administered, method, "/domains", Origin="https://evil.test", **headers)
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_service_is_still_served(administered: Server) -> None:
    answer = administered.call("GET", "/rightsmanager.asmx")
    assert answer.status == 200
    assert administered.call("GET", "/explain").status == 200


def test_the_token_is_in_no_log(administered: Server) -> None:
    send(administered, "GET", "/domains", Authorization="Bearer another-secret-token")
    log = administered.log.read_text()
    assert "path='/api/v1/domains'" in log or '"/api/v1/domains"' in log
    assert TOKEN not in log
    assert "another-secret-token" not in log


def test_the_setting_switches_the_api_off(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--workers", "1", RIGHTSMANAGER_API__ACCESS="off")
    for authorization in ("", "Bearer ", f"Bearer {TOKEN}"):
        answer = send(server, "GET", "/domains", Authorization=authorization)
        assert (answer.status, json.loads(answer.body)["code"]) == (404, "no-such-path")
