"""Each noun of the management API over HTTP, on each kind of database, against its description."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.database import open_store
from rightsmanager.store.streams import Stream
from rightsmanager.web.api.routes import BASE
from tests.e2e.test_api_e2e import Api

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, Enrol, HeaderOf, Server, Start

KEY = "00112233445566778899aabbccddeeff"
# A server on loopback asks for no token.
NO_TOKEN = {"Authorization": ""}


@pytest.fixture(scope="module")
def managed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start(tmp_path_factory.mktemp("managed") / "data", "--workers", "2")


@pytest.fixture(scope="module")
def api(managed: Server) -> Api:
    answer = managed.call("GET", f"{BASE}/openapi.json")
    assert answer.status == 200
    return Api(managed, json.loads(answer.body), NO_TOKEN)


def new_kid() -> str:
    return str(uuid.uuid4())


def new_device() -> str:
    return base64.b64encode(uuid.uuid4().bytes * 2).decode()


def in_url(device: str) -> str:
    return device.replace("+", "-").replace("/", "_").rstrip("=")


def pages(api: Api, path: str, noun: str, limit: int) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        mark = "&" if "?" in path else "?"
        page = api("GET", f"{path}{mark}limit={limit}{after}")
        assert len(page[noun]) <= limit
        found += page[noun]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


# --- content keys ---------------------------------------------------------------------------------


def test_a_content_key_is_hidden_until_it_is_revealed(api: Api) -> None:
    kid, program = new_kid(), f"program {new_kid()}"
    made = api("POST", "/content-keys", {"kid": kid, "key": KEY, "program": program}, status=201)
    assert (made["kid"], made["origin"], made["period"], made["is_new"]) == (
        *(kid, "operator", 0, True),
    )
    shown = api("GET", f"/content-keys/{kid}")
    assert shown == {name: made[name] for name in shown}
    (listed,) = api("GET", f"/content-keys?program={program.replace(' ', '%20')}")["content_keys"]
    assert listed == shown
    for answer in (made, shown, listed):
        assert KEY not in json.dumps(answer)
    revealed = api("POST", f"/content-keys/{kid}/reveal")
    assert base64.b64decode(revealed["key"]).hex() == KEY
    again = api("POST", "/content-keys", {"kid": kid, "key": KEY}, status=201)
    assert again["is_new"] is False
    refused = api("POST", "/content-keys", {"kid": kid, "key": "ff" * 16}, status=409)
    assert KEY not in refused["detail"]
    track = f"track-{kid[:8]}"
    assert api("PATCH", f"/content-keys/{kid}", {"track": track.upper()})["track"] == track
    (named,) = api("GET", f"/content-keys?track={track}")["content_keys"]
    assert named == {**shown, "track": track}
    api("PATCH", f"/content-keys/{kid}", {"track": "a b"}, status=422)
    api("PATCH", f"/content-keys/{new_kid()}", {"track": None}, status=404)
    assert api("PATCH", f"/content-keys/{kid}", {"track": None}) == shown
    assert api("DELETE", f"/content-keys/{kid}") == shown
    api("GET", f"/content-keys/{kid}", status=404)
    api("POST", f"/content-keys/{kid}/reveal", status=404)
    api("DELETE", f"/content-keys/{kid}", status=404)


def test_the_keys_of_the_next_periods_are_created(api: Api) -> None:
    program, path = f"channel {new_kid()}", "/content-keys/rotate"
    made = api("POST", path, {"program": program, "count": 2})
    assert [(each["period"], each["is_new"]) for each in made["periods"]] == [(0, True), (1, True)]
    assert made["root"] is None
    asked = {"program": program, "periods": [1, 5, 1], "root": True, "url": "http://a.example/x"}
    again = api("POST", path, asked)
    assert [(each["period"], each["is_new"]) for each in again["periods"]] == [
        (1, False),
        (5, True),
    ]
    assert again["periods"][0]["kid"] == made["periods"][1]["kid"]
    assert again["root"]["program"] == f"{program}#root"
    assert b"XMR\0" in base64.b64decode(again["periods"][0]["pssh"])
    kid = made["periods"][0]["kid"]
    assert api("GET", f"/content-keys/{kid}")["program"] == program
    refused = api("POST", path, {"program": program, "periods": [0], "scheme": "cbcs"}, status=409)
    assert "the scheme is cbcs, expected AESCTR" in refused["detail"]
    api("POST", path, {"program": ""}, status=422)


def test_a_list_comes_in_whole_or_not_at_all_and_goes_out(api: Api, command: Command) -> None:
    one, two = new_kid(), new_kid()
    document = f"kid,key\n{one},{KEY}\n{two},{KEY}\n"
    assert api("POST", "/content-keys/import", {"document": document})["added"] == 2
    assert api("POST", "/content-keys/import", {"document": document})["stored_already"] == 2
    other = f"kid,key\n{new_kid()},{KEY}\n{two},{'ff' * 16}\n"
    api("POST", "/content-keys/import", {"document": other}, status=409)
    api("POST", "/content-keys/import", {"document": "no list"}, status=422)
    for form in ("csv", "cpix"):
        asked = {"form": form, "kids": [one, two]}
        document = api("POST", "/content-keys/export", asked)["document"]
        again = api("POST", "/content-keys/import", {"document": document})
        assert (again["added"], again["stored_already"]) == (0, 2)
    api("POST", "/content-keys/export", {"kids": [new_kid()]}, status=404)
    listed = command("content", "list", "--data", str(api.server.data), "--json").json
    shown = {each["kid"]: each for each in pages(api, "/content-keys", "content_keys", 3)}
    assert {each["kid"]: each for each in listed} == shown


def test_pages_have_each_key_once_while_others_are_added(api: Api) -> None:
    program = new_kid()

    def add(period: int) -> str:
        kid = new_kid()
        asked = {"kid": kid, "key": KEY, "program": program, "period": period}
        api("POST", "/content-keys", asked, status=201)
        return kid

    before = [add(number) for number in range(7)]
    seen: list[str] = []
    after = ""
    for number in range(100, 200):
        page = api("GET", f"/content-keys?program={program}&limit=2{after}")
        seen += [each["kid"] for each in page["content_keys"]]
        if page["next"] is None or number > 105:
            break
        after = f"&after={page['next']}"
        add(number)
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


# --- licences and devices -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def player(managed: Server, enrol: Enrol) -> Client:
    return enrol(managed.data)


def test_licences_are_listed_with_their_device_and_ledger(
    api: Api, player: Client, header_of: HeaderOf
) -> None:
    kid = Kid(uuid.uuid4().bytes)
    for _ in range(3):
        player.acquire(f"{api.server.url}?cfg=(persist:true)", header_of(kid.base64))
    device = player.device.id
    licenses = pages(api, f"/licenses?kid={kid.text}", "licenses", 2)
    assert [each["device"] for each in licenses] == [device] * 3
    assert licenses == sorted(licenses, key=lambda each: str(each["issued_at"]), reverse=True)
    assert {each["result"] for each in licenses} <= {None, "0x00000000"}
    assert licenses[0]["policy"]["persistent"] is True
    assert len(api("GET", f"/licenses?device={in_url(device)}&limit=1")["licenses"]) == 1
    assert api("GET", "/licenses?before=2001-01-01T00:00:00Z")["licenses"] == []
    shown = api("GET", f"/devices/{in_url(device)}")
    assert shown in pages(api, "/devices", "devices", 1)
    assert shown["licenses"] >= 3
    ledger = api("GET", f"/devices/{in_url(device)}/ledger")
    assert {each["kid"] for each in ledger["licenses"]} >= {kid.text}
    answer = api("GET", f"/devices/{in_url(device)}/ledger/{kid.text}")
    assert answer["must_ask_again"] is False
    assert api("GET", f"/devices/{in_url(device)}/ledger/{new_kid()}")["must_ask_again"] is True
    api("GET", f"/devices/{in_url(new_device())}", status=404)
    assert api("GET", f"/sessions?device={in_url(device)}")["sessions"] == []


# --- streams --------------------------------------------------------------------------------------


def open_stream(api: Api, user: str) -> str:
    now, stream_id = int(time.time()), Guid(uuid.uuid4().bytes)
    kid, device = Kid(uuid.uuid4().bytes), new_device()
    stream = Stream(stream_id, f"user:{user}", device, kid, now, now, now + 3600)
    store = open_store(api.server.database_url)
    with store.transaction() as transaction:
        transaction.streams.lock(stream.holder)
        transaction.streams.record(stream)
    store.close()
    return stream_id.text


def test_streams_are_listed_and_ended(api: Api) -> None:
    user = new_kid()
    opened = [open_stream(api, user) for _ in range(3)]
    listed = pages(api, f"/streams?user={user}", "streams", 2)
    assert {each["stream_id"] for each in listed} == set(opened)
    assert {(each["state"], each["user"], each["account"]) for each in listed} == {
        ("open", user, None)
    }
    assert api("DELETE", f"/streams/{opened[0]}")["state"] == "operator"
    api("DELETE", f"/streams/{opened[0]}", status=409)
    api("POST", "/streams/end", {"stream_ids": opened[:2]}, status=409)
    assert api("GET", f"/streams/{opened[1]}")["state"] == "open"
    assert api("POST", "/streams/end", {"stream_ids": opened[1:2]}) == {"ended": 1}
    assert api("POST", "/streams/end", {"user": user}) == {"ended": 1}
    assert api("GET", f"/streams?user={user}")["streams"] == []
    assert len(api("GET", f"/streams?user={user}&ended=true")["streams"]) == 3
    api("GET", f"/streams/{new_kid()}", status=404)
    for body in ({}, {"stream_ids": opened, "user": user}, {"user": user, "device": new_device()}):
        api("POST", "/streams/end", body, status=422)


# --- metering -------------------------------------------------------------------------------------


def test_metering_ids_are_created_and_retired(api: Api, command: Command) -> None:
    name = f"name {new_kid()}"
    made = api("POST", "/metering/ids", {"name": name, "url": "https://m.test/"}, status=201)
    assert (made["name"], made["state"], made["url"]) == (name, "in use", "https://m.test/")
    assert api("GET", f"/metering/ids/{name.replace(' ', '%20')}") == made
    api("POST", "/metering/ids", {"mid": made["mid"]}, status=409)
    assert api("POST", f"/metering/ids/{made['mid']}/retire")["state"] == "retired"
    api("POST", f"/metering/ids/{made['mid']}/retire", status=409)
    own = api("GET", "/metering/ids")["metering_ids"][0]
    assert own["name"] == "keyring"
    api("POST", f"/metering/ids/{own['mid']}/retire", status=409)
    api("GET", f"/metering/ids/{new_kid()}", status=404)
    listed = command("metering", "list", "--data", str(api.server.data), "--json").json
    assert listed == api("GET", "/metering/ids")["metering_ids"]


@pytest.mark.parametrize("by", ["kid", "action", "day", "device"])
def test_usage_and_royalty_agree_with_the_commands(api: Api, command: Command, by: str) -> None:
    data = ("--data", str(api.server.data), "--from", "2026-01-01", "--to", "2026-02-01", "--json")
    days = "from=2026-01-01&to=2026-02-01"
    usage = api("GET", f"/metering/usage?{days}&by={by}")
    told = command("metering", "report", *data, "--by", by).json
    assert [usage[name] for name in ("mid", "from", "to", "by")] == [
        told[name] for name in ("mid", "from", "to", "by")
    ]
    assert api("GET", f"/metering/royalty?{days}") == command("metering", "royalty", *data).json
    assert api("GET", f"/metering/royalty?{days}&titles=10&price_per_title=0.5")["flat"] == "5.0"
    api("GET", "/metering/usage?from=2026-02-01&to=2026-01-01", status=422)
    api("GET", f"/metering/usage?mid={new_kid()}", status=404)
    api("GET", "/metering/royalty?price_per_play=1e999999999", status=422)


# --- revocations ----------------------------------------------------------------------------------


def test_a_certificate_is_revoked_and_served_again(api: Api, command: Command) -> None:
    digest = new_device()
    path = f"/revocations/{in_url(digest)}"
    allowed = f"/revocations/allowed/{in_url(digest)}"
    api("DELETE", path, status=404)
    made = api("POST", "/revocations", {"digest": digest, "list": "pc"}, status=201)
    assert made["digest"] == digest
    assert {each["name"] for each in made["versions"]} == {"pc", "revocation information"}
    api("POST", "/revocations", {"digest": digest, "list": "pc"}, status=409)
    api("PUT", allowed)
    api("PUT", allowed, status=409)
    shown = api("GET", "/revocations")
    assert [each["allowed"] for each in shown["revoked"] if each["digest"] == digest] == [True]
    assert shown == command("revocations", "--data", str(api.server.data), "--json").json
    api("DELETE", allowed)
    api("DELETE", allowed, status=404)
    api("DELETE", path)
    chain = base64.b64encode((api.server.data / "public" / "metering.bin").read_bytes()).decode()
    by_chain = api("POST", "/revocations", {"chain": chain}, status=201)
    api("DELETE", f"/revocations/{in_url(by_chain['digest'])}")
    for body in ({}, {"digest": "x"}, {"chain": "?"}, {"chain": "AAAA"}):
        api("POST", "/revocations", body, status=422)


# --- the server -----------------------------------------------------------------------------------


def test_the_server_shows_its_certificates_settings_and_retention(
    api: Api, command: Command
) -> None:
    data = str(api.server.data)
    assert (
        api("GET", "/certificates")["identities"] == command("keys", "--data", data, "--json").json
    )
    settings = {each["name"]: each for each in api("GET", "/settings")["settings"]}
    assert settings["server.workers"]["value"] == 2
    assert settings["server.workers"]["origin"] == "option"
    changed = {each["name"] for each in api("GET", "/settings?changed=true")["settings"]}
    assert "server.workers" in changed
    assert "license.sign" not in changed
    kinds = api("GET", "/retention")["kinds"]
    removed = api("POST", "/retention/purge", {"older_than_days": 36500})["removed"]
    assert removed == [{"kind": kind, "count": 0} for kind in kinds]


def test_a_request_token_is_signed_by_the_data_folders_secret(api: Api) -> None:
    made = api("POST", "/request-tokens", {"subject": "a", "kids": [new_kid()]}, status=201)
    claims = made["token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == "a"
    assert (api.server.data / "keyring" / "request-token.secret").exists()


def test_data_are_decoded_and_requests_explained(
    api: Api, command: Command, tmp_path: Path
) -> None:
    box = command("header", "make", new_kid()).output.encode()
    (tmp_path / "header").write_bytes(box)
    decoded = api("POST", "/decode", {"base64": base64.b64encode(box).decode()})
    assert decoded["failed"] is False
    assert decoded == api("POST", "/decode", {"text": box.decode("utf-8", "replace")})
    for body in ({}, {"text": "x", "base64": "eA=="}, {"base64": "?"}, {"text": "nothing known"}):
        api("POST", "/decode", body, status=422)
    explained = api("POST", "/explain", {"request": "cfg=(sl:2000,persist:true)"})
    assert (explained["refused"], len(explained["licenses"])) == ([], 1)
    assert api("POST", "/explain", {"request": "cfg=(nothing:1"})["refused"] != []


# --- access ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.test"}, "foreign-host"),
        ({"Host": "localhost:1"}, "foreign-host"),
        ({"Origin": "https://evil.test"}, "foreign-origin"),
        ({"Origin": "null"}, "foreign-origin"),
        ({"Sec_Fetch_Site": "cross-site"}, "foreign-origin"),
    ],
)
@pytest.mark.parametrize("path", [f"{BASE}/domains", "/console/"])
def test_pages_elsewhere_cannot_use_a_browser_on_this_machine(
    managed: Server, path: str, headers: dict[str, str], code: str
) -> None:
    for method in ("GET", "POST"):
        answer = managed.call(method, path, None, **headers)
        assert answer.status == 403
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        if path.startswith(BASE):
            assert json.loads(answer.body)["code"] == code


def test_a_proxy_on_this_machine_needs_a_token(api: Api, managed: Server) -> None:
    answer = managed.call("GET", f"{BASE}/domains", X_Forwarded_For="203.0.113.1")
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "token-required")
    token = api("POST", "/tokens", {"name": "proxied"}, status=201)["token"]
    bearer = {"X_Forwarded_For": "203.0.113.1", "Authorization": f"Bearer {token}"}
    assert managed.call("GET", f"{BASE}/domains", None, **bearer).status == 200


def test_tokens_have_roles_and_end(managed: Server, command: Command, start: Start) -> None:
    strict = start(managed.data.with_name("strict"), RIGHTSMANAGER_API__ACCESS="token")
    data = ("--data", str(strict.data))

    def make(*words: str) -> dict[str, str]:
        made: dict[str, str] = command("token", "create", *data, "--json", *words).json
        return made

    read, operate = make("reader"), make("operator", "--role", "operate")

    def ask(token: str, method: str, path: str, body: object = None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}", "Content_Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        answer = strict.call(method, f"{BASE}{path}", sent, **headers)
        assert token.encode() not in answer.body
        return answer.status, json.loads(answer.body).get("code", "")

    assert ask(read["token"], "GET", "/domains") == (200, "")
    for method, path, body in (
        *(("POST", "/domains", {}), ("POST", "/tokens", {"name": "x"})),
        ("POST", "/content-keys/export", {}),
        ("POST", f"/content-keys/{new_kid()}/reveal", None),
        ("DELETE", f"/tokens/{read['token_id']}", None),
    ):
        assert ask(read["token"], method, path, body) == (403, "role-too-low")
    assert ask(read["token"], "POST", "/explain", {"request": "?cfg="})[0] == 200
    keys = {"text": "x", "show_keys": True}
    assert ask(read["token"], "POST", "/decode", keys) == (403, "role-too-low")
    assert ask(operate["token"], "POST", "/domains", {}) == (201, "")
    assert ask(operate["token"], "DELETE", f"/tokens/{read['token_id']}") == (200, "")
    assert ask(read["token"], "GET", "/domains") == (401, "invalid-token")
    assert strict.call("GET", f"{BASE}/domains").status == 401
    listed = command("token", "list", *data, "--json").json
    assert {each["name"]: each["state"] for each in listed} == {
        "reader": "revoked",
        "operator": "valid",
    }
    assert all(each["used_at"] for each in listed)
    log = strict.log.read_text()
    assert read["token"] not in log
    assert operate["token"] not in log
    assert "operator" in log
