"""The control API in this process: every operation on a world, and requests to it."""

from __future__ import annotations

import json
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from structlog.testing import capture_logs

from rightsmanager.cli.serve import prepare
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device import Device, LicenseOpener, Wanted, acquire
from rightsmanager.device import ServerClient as Client
from rightsmanager.device.identity import load_server_keys
from rightsmanager.errors import Refusal
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.lab.routing import WorldRouter
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid
from rightsmanager.server import Runtime
from rightsmanager.settings_loading import load
from rightsmanager.web.repeating import answer_here
from rightsmanager.worlds import BuiltWorld
from tests.building import built
from tests.journal.conftest import exchange
from tests.lab.conftest import NOW
from tests.web.conftest import ServerClient

NAMES = (f"control{number}" for number in count())
Call = Callable[..., Any]
Acquire = Callable[[str], str]


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldRouter]:
    settings = load(None, data=tmp_path_factory.mktemp("control") / "data", lab={"enabled": True})
    prepare(settings)
    with built(settings, Runtime(is_loopback=True)) as server:
        made = server.wsgi
        assert isinstance(made, WorldRouter)
        made.worlds.ensure("first")
        with made.worlds.opened.using("first") as first:
            assert isinstance(first.server, BuiltWorld)
            writer = first.server.writer
        yield made
        for opened in made.worlds.opened.find_open():
            made.worlds.opened.retire(opened)
        made.worlds.opened.close_retired()
        writer.close()


@pytest.fixture(scope="module")
def api(router: WorldRouter) -> Call:
    """Return a function that calls the API and checks the status."""
    client = ServerClient(router)

    def call(method: str, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401
        data = b"" if body is None else json.dumps(body).encode()
        sent = {
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PORT": "8080",
            "HTTP_HOST": "127.0.0.1:8080",
            "CONTENT_TYPE": "application/json" if data else "",
        }
        answer = client(method, f"/api/v1{path}", data, **sent)
        assert answer.status == status, answer.body
        return json.loads(answer.body) if answer.body else None

    return call


@pytest.fixture(scope="module")
def ask(router: WorldRouter) -> Acquire:
    """Return a function that asks a world for a licence; it returns `ok` or the refusal."""
    data = router.worlds.folders.root.parent
    made = certify_device(KeyFiles(data, None), system_random)
    keys = load_server_keys(data / "public")
    device = Device(made.chain, made.signing_key, made.encryption_key)
    opening = LicenseOpener(device, ChainVerifier((keys.root,)), choose_backend())
    send = answer_here(router, "127.0.0.1")

    def post(url: str, action: str, body: bytes) -> bytes:
        return send(url, {"SOAPAction": f'"{action}"', "Content-Type": "text/xml"}, body)

    def one(name: str) -> str:
        header = Header(Version.V4_3, (HeaderKid(Kid(system_random(16)), None),))
        client = Client(opening, keys, int(NOW), system_random, post)
        try:
            acquire(f"http://127.0.0.1/w/{name}/rightsmanager.asmx", Wanted(header), client)
        except Refusal as refusal:
            return refusal.status.hex
        return "ok"

    return one


@pytest.fixture
def name() -> str:
    return next(NAMES)


def test_a_world_is_made_listed_changed_and_removed(api: Call, name: str) -> None:
    made = api("POST", "/worlds", {"name": name, "seed": 42}, 201)
    assert made["clock"] == {
        "now": "2030-01-01T00:00:00Z",
        "frozen": True,
        "offset_seconds": 0,
        "drift": 1.0,
    }
    api("POST", "/worlds", {"name": name}, 409)
    assert name in [each["name"] for each in api("GET", "/worlds?limit=1000")["worlds"]]
    changed = api("PATCH", f"/worlds/{name}", {"settings": {"license": {"max_kids": 3}}})
    assert changed["settings"] == {"license": {"max_kids": 3}}
    assert api("PUT", f"/worlds/{name}/seed", {"seed": None})["seed"] is None
    assert api("PUT", f"/worlds/{name}/clock", {"advance": 60})["now"] == "2030-01-01T00:01:00Z"
    assert api("GET", f"/worlds/{name}/clock")["frozen"]
    api("PUT", f"/worlds/{name}/clock", {"now": "2107-01-01T00:00:00Z"}, 422)
    assert api("POST", f"/worlds/{name}/reset")["seed"] == 42
    api("DELETE", f"/worlds/{name}", status=204)
    api("GET", f"/worlds/{name}", status=404)


@pytest.mark.parametrize("is_removed", [True, False])
def test_only_entries_of_a_world_that_is_there_fail(
    api: Call, router: WorldRouter, name: str, *, is_removed: bool
) -> None:
    api("POST", "/worlds", {"name": name}, 201)
    with router.worlds.opened.using(name) as opened, capture_logs() as logged:
        server = opened.server
        assert isinstance(server, BuiltWorld)
        file = server.server.journal.database.file
        assert file is not None
        server.recorder(exchange())
        assert server.server.journal.settle(30)
        if is_removed:
            # As another worker does.
            shutil.rmtree(file.parent)
        else:
            file.unlink()
            file.mkdir()
        server.recorder(exchange())
        server.recorder.close()
    assert [each["what"] for each in logged] == (
        [] if is_removed else ["the journal, 0 entries dropped so far"]
    )


def test_snapshots_are_made_restored_and_removed(api: Call, name: str) -> None:
    api("POST", "/worlds", {"name": name, "seed": 1}, 201)
    api("POST", f"/worlds/{name}/snapshots", {"name": "before"}, 201)
    api("PUT", f"/worlds/{name}/seed", {"seed": 2})
    api("POST", f"/worlds/{name}/snapshots/before/restore")
    assert api("GET", f"/worlds/{name}")["seed"] == 1
    [kept] = api("GET", f"/worlds/{name}/snapshots")["snapshots"]
    assert kept["name"] == "before"
    api("DELETE", f"/worlds/{name}/snapshots/before", status=204)
    api("POST", f"/worlds/{name}/snapshots/before/restore", status=404)


def test_requests_are_found_awaited_and_counted(api: Call, ask: Acquire, name: str) -> None:
    assert ask(name) == "ok"
    waited = {"operation": "AcquireLicense", "count": 1, "timeout_seconds": 30}
    [entry] = api("POST", f"/worlds/{name}/journal/wait", waited)["entries"]
    assert entry["outcome"] == "ok"
    assert len(api("GET", f"/worlds/{name}/journal")["entries"]) == 1
    journal = f"/worlds/{name}/journal"
    assert api("POST", f"{journal}/assert", {"count": 1})["passed"]
    api("POST", f"{journal}/assert", {"at_least": 2}, 409)
    api("POST", f"{journal}/assert", {"count": 1, "at_least": 1}, 422)
    late = {"since": entry["id"], "timeout_seconds": 0}
    api("POST", f"{journal}/wait", late, 504)
    api("POST", f"{journal}/wait", {"since": "tomorrow"}, 422)
    assert api("POST", f"{journal}/assert", {"count": 0, "since": "2100-01-01T00:00:00Z"})["passed"]
    api("POST", f"/worlds/{name}/reset", {"parts": ["journal"]})
    assert api("POST", f"{journal}/assert", {"count": 0})["passed"]


def test_faults_and_scripted_answers_are_used_once(api: Call, ask: Acquire, name: str) -> None:
    fault = {"operation": "AcquireLicense", "kind": "status", "status": "0x8004c600", "count": 1}
    api("POST", f"/worlds/{name}/faults", fault, 404)
    api("POST", f"/worlds/{name}/reset")
    added = api("POST", f"/worlds/{name}/faults", fault, 201)
    assert [ask(name), ask(name)] == ["0x8004c600", "ok"]
    [listed] = api("GET", f"/worlds/{name}/faults")["faults"]
    assert (listed["id"], listed["used"]) == (added["id"], 1)
    api("DELETE", f"/worlds/{name}/faults/{added['id']}", status=204)
    api("DELETE", f"/worlds/{name}/faults/{added['id']}", status=404)
    scripted = [{"query": "cfg=(errorcode:0x8004c065)"}, {"kind": "status", "status": "0x8004c604"}]
    api("POST", f"/worlds/{name}/answers", scripted, 201)
    assert [ask(name), ask(name), ask(name)] == ["0x8004c065", "0x8004c604", "ok"]
    api("DELETE", f"/worlds/{name}/faults", status=204)
    assert api("GET", f"/worlds/{name}/faults")["faults"] == []
    assert api("GET", "/faults/kinds")["kinds"]


@pytest.mark.parametrize("path", ["/w/", "/w/-a/rightsmanager.asmx", "/w/a%2Fb", "/w/absent/"])
def test_a_path_of_no_world_is_not_found(router: WorldRouter, path: str) -> None:
    assert ServerClient(router)("GET", path).status in {400, 404}


def test_pages_of_a_world_name_the_world(router: WorldRouter, api: Call, name: str) -> None:
    api("POST", f"/worlds/{name}/reset")
    page = ServerClient(router)(
        "GET", f"/w/{name}/rightsmanager.asmx?wsdl", HTTP_HOST="drm.example"
    )
    assert f"/w/{name}/rightsmanager.asmx".encode() in page.body


@pytest.mark.parametrize("key", [[], [5], ["a", "b"], [["00"]]], ids=str)
def test_a_page_of_worlds_begins_after_a_name(api: Call, key: list[object]) -> None:
    after = urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
    told = api("GET", f"/worlds?after={after}", status=422)
    assert told["code"] == "invalid-value"
