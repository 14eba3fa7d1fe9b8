"""Each kind of fault, seen by a raw HTTP client as documented and refused by the simulated device.

All are injected into worlds of one server with two workers.
"""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.aes import ecb_encrypt
from rightsmanager.crypto.random import system_random
from rightsmanager.device.http import HttpClient
from rightsmanager.device.terms import refuse_unusable
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.lab.faults.toxics import TOXICS
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.revocation import parse_list
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.formats.xmr.objects import ContentKey, Expiration
from rightsmanager.protocol.messages.response import (
    LicenseResponse,
    open_license_response,
    parse_fault,
)
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.envelope import parse_envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Client, Enrol, Server, Start

on_sqlite = pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
"""For tests whose outcome has nothing to do with the database."""
NAMES = (f"faults{number}" for number in count())


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with worlds and two workers."""
    return start(tmp_path_factory.mktemp("faults") / "data", "--lab", "--workers", "2")


@pytest.fixture(scope="module")
def client(server: Server, enrol: Enrol) -> Client:
    return enrol(server.data)


@dataclass(frozen=True)
class World:
    """A world of the server."""

    server: Server
    name: str

    @property
    def path(self) -> str:
        return f"/w/{self.name}/rightsmanager.asmx"

    @property
    def url(self) -> str:
        return self.server.url.replace("/rightsmanager.asmx", self.path)

    def call(self, method: str, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401 -- JSON
        data = None if body is None else json.dumps(body).encode()
        target = f"/api/v1/worlds/{self.name}{path}"
        answer = self.server.call(method, target, data, Content_Type="application/json")
        assert answer.status == status, answer.body
        return json.loads(answer.body) if answer.body else None

    def inject(self, kind: str, **fields: Any) -> Any:  # noqa: ANN401 -- JSON
        return self.call("POST", "/faults", {"kind": kind, **fields}, 201)

    def used(self) -> list[int]:
        return [each["used"] for each in self.call("GET", "/faults")["faults"]]

    def marks(self) -> list[str]:
        """Return the marks of all requests, sorted: two workers write in any order."""
        entries = self.call("GET", "/journal?limit=1000")["entries"]
        return sorted(each["injected"] or "" for each in entries if each["kind"] == "request")


@pytest.fixture
def world(server: Server) -> World:
    """An empty world of the test's own."""
    made = World(server, next(NAMES))
    made.call("POST", "/reset")
    return made


@dataclass(frozen=True)
class Seen:
    """An answer as a raw client gets it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    error: str = ""
    """The class of the network's error."""
    seconds: float = 0.0
    second: str = ""
    """The same of a second request over the connection."""

    @property
    def reply(self) -> LicenseResponse:
        return open_license_response(parse_envelope(self.body)).response

    @property
    def license(self) -> xmr.License:
        return xmr.parse_license(self.reply.licenses[0])

    @property
    def fault(self) -> tuple[int, str | None, str | None]:
        fault = parse_fault(parse_envelope(self.body))
        assert fault is not None
        return fault.status, fault.custom_data, fault.redirect_url


def look(world: World, body: bytes) -> Seen:
    """Post once, and ask once more over the same connection."""
    connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=30)
    with closing(connection):
        begun = time.monotonic()
        try:
            connection.request("POST", world.path, body, {"Content-Type": XML})
            with connection.getresponse() as answer:
                read = answer.read()
        except (http.client.HTTPException, OSError) as error:
            return Seen(error=type(error).__name__)
        seconds = time.monotonic() - begun
        # http.client would open another connection of its own accord.
        connection.auto_open = 0
        second = ""
        try:
            connection.request("GET", "/livez")
            connection.getresponse().close()
        except (http.client.HTTPException, OSError) as error:
            second = type(error).__name__
    return Seen(answer.status, dict(answer.getheaders()), read, seconds=seconds, second=second)


XML = "text/xml; charset=utf-8"
NONCE = bytes(range(16))
OTHER = Kid(bytes(range(16)))


@dataclass(frozen=True)
class Case:
    """A fault, its look, and the device's refusal."""

    kind: str
    look: Callable[[Seen], object]
    refused: str = ""
    """A part of the refusal's text; empty if the device accepts the reply."""
    fields: dict[str, Any] = field(default_factory=dict)
    kids: int = 1

    def __str__(self) -> str:
        return self.kind


def status_of(seen: Seen) -> tuple[int, str]:
    return seen.status, seen.headers.get("Content-Type", "")


REFUSAL = {"status": "0x8004c60d", "custom_data": "why", "redirect_url": "http://127.0.0.1:9/a"}
REFUSED = (0x8004C60D, "why", "http://127.0.0.1:9/a")
CUT = "cannot be reached"
CASES = (
    Case(
        "status",
        lambda seen: (seen.status, seen.fault) == (500, REFUSED),
        "a fault of the kind status was injected",
        REFUSAL,
    ),
    Case(
        "fault-with-200",
        lambda seen: (seen.status, seen.fault) == (200, REFUSED),
        "a fault of the kind fault-with-200 was injected",
        REFUSAL,
    ),
    Case(
        "http-status",
        lambda seen: (seen.status, seen.headers["Retry-After"], seen.body) == (429, "7", b"wait"),
        "answered HTTP 429",
        {"http_status": 429, "retry_after": 7, "body": "wait"},
    ),
    Case("cut-before", lambda seen: seen.error == "RemoteDisconnected", CUT),
    Case(
        "answer",
        lambda seen: (status_of(seen), seen.body) == ((200, "text/html"), b"<p>"),
        "answered text/html",
        {"body": b64encode(b"<p>").decode(), "content_type": "text/html"},
    ),
    Case("license-mac", lambda seen: len(seen.reply.licenses) == 1, "CMAC"),
    Case("wrong-nonce", lambda seen: seen.license.rights_id != NONCE, "LicenseNonce plus 0"),
    Case(
        "license-kid",
        lambda seen: _content_key(seen).kid == OTHER,
        "the reply has no licence for KID",
        {"other_kid": OTHER.text},
    ),
    Case(
        "content-key", lambda seen: _content_key(seen).kid != OTHER, "has another key for this KID"
    ),
    Case("license-expired", lambda seen: _period(seen).end < time.time() - 50, "expired at"),
    Case("license-not-yet-valid", lambda seen: _period(seen).begin > time.time(), "is good from"),
    Case(
        "license-order",
        lambda seen: seen.license.rights_id == xmr.rights_id_after(NONCE, 1),
        "LicenseNonce plus 0",
        kids=2,
    ),
    Case(
        "license-missing",
        lambda seen: seen.reply.licenses == (),
        "the reply has no licence for KID",
    ),
    Case(
        "foreign-signer",
        lambda seen: b"foreign signer" in (seen.reply.signing_chain or b""),
        "is not a trust anchor",
    ),
    Case(
        "expired-signer",
        lambda seen: parse_chain(seen.reply.signing_chain or b"").leaf.expiry == 1,
        "expired",
    ),
    Case(
        "stale-revocation-list",
        lambda seen: [parse_list(each.data).version for each in seen.reply.revocation_lists] == [0],
        "expected one above 0",
    ),
    Case("older-reply", lambda seen: seen.license.rights_id != NONCE, "LicenseNonce plus 0"),
    Case(
        "truncated",
        lambda seen: (len(seen.body), seen.headers["Content-Length"]) == (99, "99"),
        "did not answer with SOAP",
        {"bytes": 99},
    ),
    Case(
        "corrupted",
        lambda seen: sum(byte >= 0xF8 for byte in seen.body) == 4,
        "did not answer with SOAP",
        {"bytes": 4},
    ),
    Case(
        "content-type",
        lambda seen: status_of(seen) == (200, "text/html") and b"<License>" in seen.body,
        "answered text/html",
    ),
    Case("prefixed-xml", lambda seen: b"<p:AcquireLicenseResponse" in seen.body),
    Case("reply-lost", lambda seen: seen.error == "ConnectionResetError", CUT, {"reset": True}),
    Case("cut-in-reply", lambda seen: seen.error == "IncompleteRead", "cannot be reached"),
    Case("cut-after", lambda seen: len(seen.reply.licenses) == 1 and seen.second),
    Case("latency", lambda seen: seen.seconds >= 0.1, "", {"milliseconds": 100}),
    Case("slow-reply", lambda seen: seen.seconds >= 0.05, "", {"bytes_per_second": 30_000}),
)


def _content_key(seen: Seen) -> ContentKey:
    found = seen.license.find(ContentKey)
    assert found is not None
    return found


def _period(seen: Seen) -> Expiration:
    found = seen.license.find(Expiration)
    assert found is not None
    return found


def header_of(*kids: Kid, **fields: Any) -> Header:  # noqa: ANN401 -- fields of HeaderKid
    version = Version.V4_0 if len(kids) == 1 else Version.V4_2
    return Header(version, tuple(HeaderKid(kid, Algid.AESCTR, **fields) for kid in kids))


def play(client: Client, world: World, header: Header) -> None:
    """Acquire licences and use them, as a player does."""
    acquired = client.acquire(world.url, header, post=HttpClient())
    for entry in header.kids:
        license_ = next((each for each in acquired.licenses if each.kid == entry.kid), None)
        if license_ is None:
            raise InvalidMessage(f"the reply has no licence for KID {entry.kid.text}")
        refuse_unusable(entry.kid, license_.terms, int(time.time()), None)


@on_sqlite
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_is_seen_and_refused(world: World, client: Client, case: Case) -> None:
    kids = tuple(Kid(system_random(16)) for _ in range(case.kids))
    header = header_of(*kids)
    if case.kids == 1:
        (first,) = client.acquire(world.url, header).licenses
        header = header_of(*kids, checksum=ecb_encrypt(first.content_key, kids[0].raw)[:8])
    else:
        play(client, world, header)
    fault = world.inject(case.kind, count=2, **case.fields)
    if case.kind == "older-reply":
        play(client, world, header)

    seen = look(world, client.challenge(header, nonce=NONCE))
    assert case.look(seen), seen

    if case.refused:
        with pytest.raises(Refusal) as refused:
            play(client, world, header)
        assert case.refused in refused.value.text
    else:
        play(client, world, header)

    assert world.used() == [2]
    play(client, world, header)
    mark = f"{case.kind} {fault['id']}"
    plain = 3 if case.kind == "older-reply" else 2
    assert world.marks() == [""] * plain + [mark, mark]


def test_each_kind_has_a_case() -> None:
    assert [case.kind for case in CASES] == list(TOXICS)


def test_a_request_whose_reply_is_lost_is_recorded(world: World, client: Client) -> None:
    header = header_of(Kid(system_random(16)))
    for kind, outcome in (("cut-before", "0x8004c600"), ("reply-lost", "ok")):
        world.inject(kind, count=1)
        assert look(world, client.challenge(header)).error == "RemoteDisconnected"
        (entry,) = world.call("GET", f"/journal?text={kind}")["entries"]
        assert entry["outcome"] == outcome
        assert entry["device"] == client.device.chain.leaf.device_id


def test_a_count_is_exact_over_workers(world: World, client: Client) -> None:
    world.inject("status", status="0x8004c600", count=5)
    bodies = [client.challenge(header_of(Kid(system_random(16)))) for _ in range(40)]
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(lambda body: look(world, body).status, bodies))
    assert sorted(seen) == [200] * 35 + [500] * 5
    assert world.used() == [5]


@on_sqlite
def test_answers_are_given_one_after_the_other(world: World, client: Client) -> None:
    answers = [
        {"query": "errorcode=0x8004c601"},
        {"kind": "status", "status": "0x8004c606"},
        {"body": b64encode(b"?").decode(), "http_status": 503},
        {"query": "cfg=(persist:true)"},
    ]
    added = world.call("POST", "/answers", answers, 201)["faults"]
    assert [each["kind"] for each in added] == ["answer", "status", "answer", "answer"]
    body = client.challenge(header_of(Kid(system_random(16))))
    seen = [look(world, body) for _ in range(5)]
    assert [each.status for each in seen] == [500, 500, 503, 200, 200]
    assert [each.fault[0] for each in seen[:2]] == [0x8004C601, 0x8004C606]
    assert [each.reply.nonce is None for each in seen[3:]] == [False, True]


@on_sqlite
def test_faults_are_listed_and_removed(world: World) -> None:
    first = world.inject("cut-before", operation="JoinDomain", nth=2)
    second = world.inject("latency", milliseconds=5, rate=0.5, seed=3)
    assert (first["operation"], first["nth"], first["used"]) == ("JoinDomain", 2, 0)
    listed = world.call("GET", "/faults")["faults"]
    assert listed == [first, second]
    world.call("DELETE", f"/faults/{first['id']}", status=204)
    world.call("DELETE", f"/faults/{first['id']}", status=404)
    assert [each["id"] for each in world.call("GET", "/faults")["faults"]] == [second["id"]]
    world.call("DELETE", "/faults", status=204)
    assert world.call("GET", "/faults")["faults"] == []


@on_sqlite
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"kind": "sttus"}, "expected status"),
        ({"kind": "status", "stauts": 1}, "has no field 'stauts', expected status"),
        ({"kind": "cut-before", "nth": 1, "rate": 1}, "nth and rate are given"),
        ({}, "a fault has no kind"),
    ],
)
def test_an_invalid_fault_is_refused(world: World, fault: dict[str, Any], text: str) -> None:
    problem = world.call("POST", "/faults", fault, 422)
    assert text in problem["detail"]
    assert world.call("GET", "/faults")["faults"] == []


@on_sqlite
def test_a_script_is_refused_as_a_whole(world: World) -> None:
    problem = world.call("POST", "/answers", [{"query": "a"}, {"kind": "x"}], 422)
    assert "kind is 'x'" in problem["detail"]
    assert "expected 1 to 100" in world.call("POST", "/answers", [], 422)["detail"]
    assert world.call("GET", "/faults")["faults"] == []


@on_sqlite
def test_a_world_has_so_many_faults(world: World) -> None:
    for _ in range(10):
        world.call("POST", "/answers", [{"query": "a"}] * 100, 201)
    problem = world.call("POST", "/faults", {"kind": "cut-before"}, 409)
    assert "expected at most 1000" in problem["detail"]


@on_sqlite
def test_a_missing_world_has_no_faults(server: Server) -> None:
    missing = World(server, "missing")
    for method, path, body in (
        ("GET", "/faults", None),
        ("POST", "/faults", {"kind": "cut-before"}),
        ("DELETE", "/faults", None),
        ("POST", "/answers", [{"query": "a"}]),
    ):
        missing.call(method, path, body, 404)


@on_sqlite
def test_a_reset_removes_faults(world: World, client: Client) -> None:
    world.inject("cut-before")
    world.call("POST", "/reset")
    play(client, world, header_of(Kid(system_random(16))))


@on_sqlite
def test_a_fault_ends_by_the_clock_of_its_world(world: World, client: Client) -> None:
    world.inject("status", status="0x8004c600", seconds=60)
    body = client.challenge(header_of(Kid(system_random(16))))
    assert look(world, body).status == 500
    world.call("PUT", "/clock", {"advance": 61})
    assert look(world, body).status == 200


@on_sqlite
def test_the_kinds_are_listed(server: Server) -> None:
    kinds = json.loads(server.call("GET", "/api/v1/faults/kinds").body)["kinds"]
    assert [each["kind"] for each in kinds] == list(TOXICS)


@on_sqlite
def test_faults_in_worlds_of_one_seed_give_the_same_bytes(server: Server, client: Client) -> None:
    kinds = ("content-key", "wrong-nonce", "foreign-signer", "corrupted", "status")
    bodies = [client.challenge(header_of(Kid(system_random(16)))) for _ in kinds]
    replies = []
    for world in (World(server, next(NAMES)), World(server, next(NAMES))):
        made = json.dumps({"name": world.name, "seed": 7}).encode()
        assert server.call("POST", "/api/v1/worlds", made, Content_Type="application/json")
        for kind in kinds:
            more = {"status": "0x8004c600"} if kind == "status" else {}
            world.inject(kind, count=1, **more)
            replies.append(look(world, bodies[kinds.index(kind)]).body)
            world.call("DELETE", "/faults", status=204)
    same = len(kinds) - 1
    assert replies[:same] == replies[len(kinds) : len(kinds) + same]
    # A fault names the URL, in which the world's name is.
    assert len(set(map(len, replies[same :: len(kinds)]))) == 1


@on_sqlite
def test_the_console_of_a_world_marks_requests(world: World, client: Client) -> None:
    fault = world.inject("license-mac")
    assert look(world, client.challenge(header_of(Kid(system_random(16))))).status == 200
    (entry,) = world.call("GET", "/journal?text=license-mac")["entries"]
    page = world.server.call("GET", f"/w/{world.name}/console/journal/{entry['id']}")
    assert f"license-mac {fault['id']}".encode() in page.body


@on_sqlite
def test_a_redirect_is_followed_to_another_world(
    server: Server, world: World, client: Client
) -> None:
    other = World(server, next(NAMES))
    other.call("POST", "/reset")
    world.inject("http-status", http_status=307, location=other.path)
    play(client, world, header_of(Kid(system_random(16))))
    assert (len(world.marks()), other.marks()) == (1, [""])


@on_sqlite
def test_a_late_reply_keeps_no_other_request_waiting(
    server: Server, world: World, client: Client
) -> None:
    """Also if its client has given up, and the fault never ends."""
    world.inject("latency", milliseconds=60_000)
    body = client.challenge(header_of(Kid(system_random(16))))
    for _ in range(30):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.05)
        with closing(connection):
            connection.request("POST", world.path, body, {"Content-Type": XML})
            with pytest.raises(TimeoutError):
                connection.getresponse()
    other = World(server, next(NAMES))
    other.call("POST", "/reset")
    assert look(other, body).seconds < 10


@on_sqlite
def test_a_snapshot_has_faults_and_their_counts(world: World, client: Client) -> None:
    world.inject("status", status="0x8004c600", count=2)
    body = client.challenge(header_of(Kid(system_random(16))))
    assert look(world, body).status == 500
    world.call("POST", "/snapshots", {"name": "once"}, 201)
    assert [look(world, body).status for _ in range(2)] == [500, 200]
    world.call("POST", "/reset", {"parts": ["faults"]})
    assert world.used() == []
    world.call("POST", "/snapshots/once/restore")
    assert world.used() == [1]
    assert [look(world, body).status for _ in range(2)] == [500, 200]
