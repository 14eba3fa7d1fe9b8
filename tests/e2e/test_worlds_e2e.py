"""Worlds over HTTP: creation, isolation, clock, seed, journal, reset and removal."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from rightsmanager.errors import Refusal
from rightsmanager.protocol.formats.wrmheader import Header
from tests.e2e.conftest import Client, Command, Enrol, HeaderOf, Server, Start

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
KID_BASE64 = "4Rplb+TbNES8tGkNFWTEHA=="
OTHER_KID = "AAECAwQFBgcICQoLDA0ODw=="
ASMX = "rightsmanager.asmx"
NAMES = (f"world{number}" for number in count())


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with worlds and two workers."""
    folder = tmp_path_factory.mktemp("worlds")
    return start(folder / "data", "--lab", "--workers", "2", RIGHTSMANAGER_LAB__MAX_OPEN="8")


@pytest.fixture(scope="module")
def client(server: Server, enrol: Enrol) -> Client:
    return enrol(server.data)


@pytest.fixture
def name() -> str:
    """The name of a world of the test's own."""
    return next(NAMES)


Call = Callable[..., Any]


@pytest.fixture(scope="module")
def api(server: Server) -> Call:
    """Return a function that calls the API and checks the status."""

    def call(method: str, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401
        data = None if body is None else json.dumps(body).encode()
        answer = server.call(method, f"/api/v1{path}", data, Content_Type="application/json")
        assert answer.status == status, answer.body
        return json.loads(answer.body) if answer.body else None

    return call


def url(server: Server, name: str) -> str:
    return server.url.replace("/rightsmanager.asmx", f"/w/{name}/rightsmanager.asmx")


def header(header_of: HeaderOf) -> Header:
    return header_of(KID_BASE64)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_first_request_creates_a_world(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    api("GET", f"/worlds/{name}", status=404)
    assert client.acquire(url(server, name), header(header_of)).licenses
    shown = api("GET", f"/worlds/{name}")
    assert shown["url"] == url(server, name)
    assert (shown["seed"], shown["pki"], shown["settings"]) == (None, "shared", {})
    assert name in [each["name"] for each in api("GET", "/worlds?limit=1000")["worlds"]]


def test_a_page_does_not_create_a_world(server: Server, api: Call, name: str) -> None:
    answer = server.call("GET", f"/w/{name}/console/")
    assert answer.status == 404
    assert json.loads(answer.body)["detail"] == f"there is no world {name!r}"
    api("GET", f"/worlds/{name}", status=404)


@pytest.mark.parametrize(
    "text", ["..", ".a", "-a", "a%20b", "a%3Fb", "%C3%A9", "a%00", "", "a" * 65]
)
def test_a_strange_name_is_refused(server: Server, text: str) -> None:
    answer = server.post(b"", f"/w/{text}/rightsmanager.asmx")
    assert answer.status == 404
    assert "expected 1 to 64 of A-Z" in json.loads(answer.body)["detail"]


def test_an_invalid_name_cannot_be_created(api: Call) -> None:
    for text in ("../x", "", "a b", "é"):
        assert api("POST", "/worlds", {"name": text}, status=422)["code"] == "invalid-value"


def test_worlds_do_not_see_each_other(
    server: Server, client: Client, api: Call, header_of: HeaderOf
) -> None:
    first, second = next(NAMES), next(NAMES)
    api("POST", f"/worlds/{first}/reset")
    api("POST", f"/worlds/{second}/reset")
    key = {"kid": KID, "key": "00" * 16}
    stored = server.call(
        "POST",
        f"/w/{first}/api/v1/content-keys",
        json.dumps(key).encode(),
        Content_Type="application/json",
    )
    assert stored.status == 201, stored.body
    acquired = client.acquire(url(server, first), header(header_of))
    assert [each.content_key for each in acquired.licenses] == [bytes(16)]
    acquired = client.acquire(url(server, second), header(header_of))
    assert [each.content_key for each in acquired.licenses] != [bytes(16)]
    assert len(json.loads(server.call("GET", f"/w/{first}/api/v1/licenses").body)["licenses"]) == 1
    described = json.loads(server.call("GET", f"/w/{first}/api/v1/openapi.json").body)
    assert described["servers"] == [{"url": f"/w/{first}/api/v1"}]
    answer = server.call("GET", f"/w/{first}/api/v1/worlds")
    assert b"expected /api/v1/worlds of a server" in answer.body
    assert json.loads(server.call("GET", f"/w/{second}/api/v1/content-keys").body) == {
        "next": None,
        "content_keys": [],
    }
    assert json.loads(server.call("GET", "/api/v1/content-keys").body)["content_keys"] == []


def test_the_journal_of_a_world_is_waited_for(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    client.acquire(url(server, name), header(header_of))
    asked = {"operation": "AcquireLicense", "kid": KID, "outcome": "ok"}
    found = api("POST", f"/worlds/{name}/journal/wait", asked)["entries"]
    assert [each["operation"] for each in found] == ["AcquireLicense"]
    after = {**asked, "since": found[0]["id"]}
    missed = api(
        "POST", f"/worlds/{name}/journal/wait", {**after, "timeout_seconds": 0.05}, status=504
    )
    assert missed["detail"].startswith("0 entries matched within 0.05 s, expected 1")
    assert api("POST", f"/worlds/{name}/journal/assert", {**asked, "count": 1})["passed"]
    failed = api("POST", f"/worlds/{name}/journal/assert", {**asked, "at_least": 2}, status=409)
    assert failed["detail"] == (
        "1 entry matches, expected at least 2; the journal has 1 AcquireLicense ok"
    )
    client.acquire(url(server, name), header(header_of))
    assert len(api("GET", f"/worlds/{name}/journal")["entries"]) == 2
    assert len(api("POST", f"/worlds/{name}/journal/wait", after)["entries"]) == 1


def test_the_clock_is_set_frozen_and_advanced(api: Call, name: str) -> None:
    api("POST", "/worlds", {"name": name, "clock": {"freeze": True}}, status=201)
    path = f"/worlds/{name}/clock"
    assert api("PUT", path, {"now": "2031-01-01T00:00:00Z"})["now"] == "2031-01-01T00:00:00Z"
    assert api("PUT", path, {"advance": 3600})["now"] == "2031-01-01T01:00:00Z"
    assert api("PUT", path, {"advance": "P1DT1S"})["now"] == "2031-01-02T01:00:01Z"
    shown = api("PUT", path, {"offset": -61})
    assert (shown["now"], shown["offset_seconds"]) == ("2031-01-02T00:59:00Z", -61)
    assert api("GET", path) == shown
    running = api("PUT", path, {"freeze": False, "drift": 1000})
    assert (running["frozen"], running["drift"]) == (False, 1000)
    until(lambda: api("GET", path)["now"] > "2031-01-02T01:00:00Z")


@pytest.mark.parametrize(
    "change",
    [
        {"now": "1969-12-31T23:59:59Z"},
        {"now": "2106-02-07T06:28:16Z"},
        {"advance": -(10**10)},
        {"offset": 2**40},
        {"drift": 0},
        {"now": "2031-01-01"},
        {"now": 5},
        {"advance": "P1Y"},
        {"freeze": "yes"},
        {"hour": 1},
    ],
)
def test_an_impossible_clock_is_refused(api: Call, name: str, change: object) -> None:
    api("POST", f"/worlds/{name}/reset")
    before = api("GET", f"/worlds/{name}/clock")
    assert api("PUT", f"/worlds/{name}/clock", change, status=422)["code"] == "invalid-value"
    assert api("GET", f"/worlds/{name}/clock")["frozen"] == before["frozen"]


def test_a_world_is_emptied_and_keeps_its_options(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    options = {"name": name, "seed": 7, "settings": {"streams": {"max_per_device": 3}}}
    made = api("POST", "/worlds", options, status=201)
    client.acquire(url(server, name), header(header_of))
    api("PUT", f"/worlds/{name}/clock", {"advance": 60})
    api("PATCH", f"/worlds/{name}", {"settings": {"streams": {"max_per_device": 1}}})
    after = api("POST", f"/worlds/{name}/reset")
    assert {**after, "last_used_at": ""} == {**made, "last_used_at": ""}
    assert api("GET", f"/worlds/{name}/journal")["entries"] == []
    assert json.loads(server.call("GET", f"/w/{name}/api/v1/licenses").body)["licenses"] == []


def test_a_removed_world_is_gone(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    client.acquire(url(server, name), header(header_of))
    api("DELETE", f"/worlds/{name}", status=204)
    api("GET", f"/worlds/{name}", status=404)
    assert server.call("GET", f"/w/{name}/console/").status == 404
    until(lambda: not (server.data / "worlds" / name).exists())
    client.acquire(url(server, name), header(header_of))
    assert len(api("GET", f"/worlds/{name}/journal")["entries"]) == 1


def test_a_world_expires_after_its_last_use(server: Server, api: Call, name: str) -> None:
    api("POST", "/worlds", {"name": name, "expires_after_seconds": 1}, status=201)
    until(lambda: not (server.data / "worlds" / name).exists())
    api("GET", f"/worlds/{name}", status=404)


def test_settings_of_a_world_are_checked(api: Call, name: str) -> None:
    api("POST", f"/worlds/{name}/reset")
    for settings, text in (
        ({"server": {"workers": 9}}, "server cannot be changed for a world"),
        ({"streams": {"max_per_devise": 1}}, "did you mean streams.max_per_device"),
        ({"streams": {"max_per_device": -1}}, "streams.max_per_device"),
        ({"hooks": {"make": "os:system"}}, "hooks.make is changed for a world"),
    ):
        refused = api("PATCH", f"/worlds/{name}", {"settings": settings}, status=422)
        assert text in refused["detail"]


def test_parts_of_a_world_are_reset(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    api("POST", "/worlds", {"name": name, "clock": {"freeze": True}}, status=201)
    client.acquire(url(server, name), header(header_of))
    api("PUT", f"/worlds/{name}/clock", {"now": "2031-01-01T00:00:00Z"})
    here = f"/w/{name}/api/v1"
    api("POST", f"/worlds/{name}/reset", {"parts": ["licenses", "journal"]})
    assert json.loads(server.call("GET", f"{here}/licenses").body)["licenses"] == []
    assert api("GET", f"/worlds/{name}/journal")["entries"] == []
    assert api("GET", f"/worlds/{name}/clock")["now"] == "2031-01-01T00:00:00Z"
    api("POST", f"/worlds/{name}/reset", {"parts": ["clock"]})
    assert api("GET", f"/worlds/{name}/clock")["now"] < "2031"
    refused = api("POST", f"/worlds/{name}/reset", {"parts": ["licences"]}, status=422)
    assert "content_keys" in refused["detail"]


def test_a_world_returns_to_a_snapshot(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    api("POST", "/worlds", {"name": name, "seed": 1}, status=201)
    path, wanted = f"/worlds/{name}/snapshots", header(header_of)
    client.acquire(url(server, name), wanted)
    made = api("POST", path, {"name": "one"}, status=201)
    assert api("GET", path)["snapshots"] == [made]
    assert api("POST", path, {"name": "one"}, status=409)["code"] == "conflict"
    assert api("POST", path, {"name": "../a"}, status=422)["code"] == "invalid-value"
    challenge = client.challenge(wanted)
    first = server.post(challenge, f"/w/{name}/{ASMX}").body
    api("PUT", f"/worlds/{name}/clock", {"advance": 60})
    for _ in range(2):
        api("POST", f"{path}/one/restore")
        assert len(api("GET", f"/worlds/{name}/journal")["entries"]) == 1
        stored = json.loads(server.call("GET", f"/w/{name}/api/v1/licenses").body)
        assert len(stored["licenses"]) == 1
        # The clock and the randomness are those of that moment too.
        assert server.post(challenge, f"/w/{name}/{ASMX}").body == first
    api("DELETE", f"{path}/one", status=204)
    api("POST", f"{path}/one/restore", status=404)


def test_a_snapshot_of_another_revision_is_refused(server: Server, api: Call, name: str) -> None:
    api("POST", f"/worlds/{name}/reset")
    api("POST", f"/worlds/{name}/snapshots", {"name": "old"}, status=201)
    file = server.data / "worlds" / name / "snapshots" / "old" / "snapshot.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "revision": "0001_baseline"}))
    refused = api("POST", f"/worlds/{name}/snapshots/old/restore", status=409)
    assert "is of the revision 0001_baseline, expected 0" in refused["detail"]


@pytest.mark.parametrize("pki", ["shared", "own"])
def test_a_seed_repeats_every_byte(
    server: Server, api: Call, enrol: Enrol, pki: str, header_of: HeaderOf
) -> None:
    name, other = next(NAMES), next(NAMES)
    for each in (name, other):
        api("POST", "/worlds", {"name": each, "seed": 42, "pki": pki}, status=201)
    folder = server.data / "worlds" / name if pki == "own" else server.data
    if pki == "own":
        keys = [server.call("GET", f"/w/{each}/public/root.pub").body for each in (name, other)]
        assert keys[0] == keys[1] != server.call("GET", "/public/root.pub").body
    client = enrol(folder)
    requests = [client.challenge(header(header_of)) for _ in range(3)]
    sent = [requests[0], requests[1], requests[0], requests[2]]
    first = [server.post(each, f"/w/{name}/{ASMX}").body for each in sent]
    assert b"<AcquireLicenseResult>" in first[0]
    assert len(set(first)) == len(sent)
    # In another world, in another order of different requests.
    again = [server.post(each, f"/w/{other}/{ASMX}").body for each in reversed(sent[2:])]
    assert [again[0], again[1]] == [first[3], first[0]]
    api("POST", f"/worlds/{name}/reset")
    assert [server.post(each, f"/w/{name}/{ASMX}").body for each in sent] == first


def test_a_world_is_reset_while_requests_run(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    api("POST", f"/worlds/{name}/reset")
    target, wanted = f"/w/{name}/{ASMX}", header(header_of)
    bodies = [client.challenge(wanted) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.post, each, target) for each in bodies]
        resets = [pool.submit(api, "POST", f"/worlds/{name}/reset") for _ in range(10)]
        assert {each.result().status for each in answers} == {200}
        assert all(each.result()["name"] == name for each in resets)
    api("POST", f"/worlds/{name}/reset")
    assert api("GET", f"/worlds/{name}/journal")["entries"] == []


def test_a_world_is_removed_while_requests_run(
    server: Server, client: Client, name: str, header_of: HeaderOf
) -> None:
    target, wanted = f"/w/{name}/{ASMX}", header(header_of)
    bodies = [client.challenge(wanted) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.post, each, target) for each in bodies]
        for _ in range(5):
            server.call("DELETE", f"/api/v1/worlds/{name}")
        assert {each.result().status for each in answers} == {200}


def test_every_act_has_a_command(server: Server, command: Command, name: str) -> None:
    def run(*arguments: str, status: int = 0) -> Any:  # noqa: ANN401 -- JSON
        ran = command("world", *arguments, "--url", server.url, "--json")
        assert ran.status == status, ran
        return ran.json

    made = run("create", name, "--seed", "7", "--freeze", "--set", "streams.max_per_device=2")
    assert (made["seed"], made["settings"]) == (7, {"streams": {"max_per_device": 2}})
    assert run("create", name, status=1)["error"]["text"] == f"there is a world {name!r} already"
    assert run("show", name)["url"] == url(server, name)
    assert name in [each["name"] for each in run("list")]
    changed = run("change", name, "--set", "streams.max_per_device=3", "--expires-after", "60")
    assert changed["settings"]["streams"] == {"max_per_device": 3}
    assert run("clock", name, "--advance", "PT1H")["now"] == "2030-01-01T01:00:00Z"
    assert run("clock", name)["frozen"]
    assert run("seed", name, "none")["seed"] is None
    assert run("snapshot", name, "s")["name"] == "s"
    assert [each["name"] for each in run("snapshots", name)] == ["s"]
    assert run("restore", name, "s")["snapshot"] == "s"
    run("delete", name, "--snapshot", "s")
    added = run("fault", "add", name, "status", "status=0x8004c600", "count=1")
    assert [each["id"] for each in run("fault", "list", name)] == [added["id"]]
    run("fault", "remove", name)
    assert run("journal", name) == []
    assert run("assert", name, "--count", "0")["passed"]
    assert "expected 1" in run("wait", name, "--timeout", "0", status=1)["error"]["text"]
    assert run("reset", name, "--part", "clock")["clock"]["now"] == "2030-01-01T00:00:00Z"
    assert run("delete", name) == {"removed": name}


def test_a_server_without_worlds_says_so(
    start: Start, tmp_path_factory: pytest.TempPathFactory, command: Command
) -> None:
    plain = start(tmp_path_factory.mktemp("plain") / "data")
    ran = command("world", "list", "--url", plain.url, "--json")
    assert ran.json["error"]["text"].endswith("of a server that was started with --lab")
    assert plain.post(b"", "/w/a/rightsmanager.asmx").code == "0x8004c601"
    answer = plain.call("GET", "/w/a/console/")
    assert (answer.status, b"started with --lab" in answer.body) == (404, True)
    assert not (plain.data / "worlds").exists()


def test_relative_times_and_streams_follow_the_clock(
    server: Server, client: Client, api: Call, name: str, header_of: HeaderOf
) -> None:
    settings = {"streams": {"max_per_device": 1, "lifetime_seconds": 3600}}
    begin = {"now": "2031-01-01T00:00:00Z", "freeze": True}
    api("POST", "/worlds", {"name": name, "settings": settings, "clock": begin}, status=201)
    here, wanted = url(server, name), header(header_of)
    ended = []
    for _ in range(2):
        acquired = client.acquire(f"{here}?cfg=(expiration:+120)", wanted)
        ended.append(acquired.licenses[0].terms.end)
        api("PUT", f"/worlds/{name}/clock", {"advance": 3600})
    assert ended == [1_924_992_120, 1_924_995_720]
    for _ in range(2):
        client.acquire(f"{here}?cfg=(securestop:true)", wanted)
        with pytest.raises(Refusal, match="expected fewer"):
            client.acquire(f"{here}?cfg=(securestop:true)", header_of(OTHER_KID))
        # The stream ends by the clock alone.
        api("PUT", f"/worlds/{name}/clock", {"advance": "PT1H1S"})


def test_a_public_url_has_the_worlds_path(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    public = "https://drm.test/rightsmanager.asmx"
    data = tmp_path_factory.mktemp("public") / "data"
    behind = start(data, "--lab", RIGHTSMANAGER_SERVER__PUBLIC_URL=public)
    wsdl = behind.call("GET", "/w/a/rightsmanager.asmx?wsdl").body.decode()
    assert 'location="https://drm.test/w/a/rightsmanager.asmx"' in wsdl
    shown = json.loads(behind.call("GET", "/api/v1/worlds/a").body)
    assert shown["url"] == "https://drm.test/w/a/rightsmanager.asmx"


def test_worlds_outlive_a_server_that_is_killed(
    start: Start, tmp_path_factory: pytest.TempPathFactory, enrol: Enrol, header_of: HeaderOf
) -> None:
    data = tmp_path_factory.mktemp("killed") / "data"
    killed = start(data, "--lab")
    client, wanted = enrol(data), header(header_of)
    client.acquire(url(killed, "a"), wanted)
    killed.call("PUT", "/api/v1/worlds/a/clock", b'{"offset": 60}', Content_Type="application/json")
    for worker in killed.workers():
        os.kill(worker, signal.SIGKILL)
    killed.process.kill()
    killed.wait()
    again = start(data, "--lab")
    client.acquire(url(again, "a"), wanted)
    shown = json.loads(again.call("GET", "/api/v1/worlds/a").body)
    assert shown["clock"]["offset_seconds"] == 60
    stored = json.loads(again.call("GET", "/w/a/api/v1/licenses").body)
    assert len(stored["licenses"]) == 2
