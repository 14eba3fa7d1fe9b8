"""The key endpoint over HTTP: packagers get the keys that licences have, pages get none."""

from __future__ import annotations

import base64
import http.client
import json
import re
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.protocol.formats.keylists.cpix_import import cpix
from rightsmanager.protocol.formats.packagers.getcontentkey import (
    ContentKeyRequest,
    build_request,
)
from rightsmanager.protocol.formats.pssh import parse_object
from tests.databases import on_sqlite
from tests.e2e.conftest import Answer
from tests.second import clients, cpix_documents, cpix_reader, packager
from tests.second.cpix_documents import delivery, document, key, rule, system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.e2e.conftest import Server, Start

TOKEN = "a-token-of-the-key-tests"
MODULE = "/cenc/getcontentkey/tests"
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "packaged_video.py"


def get_nginx(server: Server, program: str, query: str = "") -> tuple[uuid.UUID, bytes]:
    answer = server.call("GET", f"/nginx-vod/{program}{query}")
    assert answer.status == 200, answer.body
    (entry,) = json.loads(answer.body)
    return uuid.UUID(bytes=base64.b64decode(entry["key_id"])), base64.b64decode(entry["key"])


def response(answer: Answer) -> dict[str, Any]:
    opened: dict[str, Any] = json.loads(base64.b64decode(json.loads(answer.body)["response"]))
    return opened


def get_widevine(server: Server, program: str, query: str = "") -> list[tuple[uuid.UUID, bytes]]:
    request = ContentKeyRequest(program.encode(), ("SD", "AUDIO"))
    answer = server.call("POST", MODULE + query, build_request(request))
    assert answer.status == 200, answer.body
    return [
        (uuid.UUID(bytes=base64.b64decode(each["key_id"])), base64.b64decode(each["key"]))
        for each in response(answer)["tracks"]
    ]


def get_soap(server: Server, program: str) -> tuple[uuid.UUID, bytes]:
    taken = packager.take(server.post(packager.ask(packager.stream(program))).body)
    return taken.kid, taken.key


def get_cpix(server: Server, program: str, query: str = "") -> list[tuple[uuid.UUID, bytes]]:
    return keys_in(server.call("GET", f"/cpix/{program}{query}"))


def keys_in(answer: Answer) -> list[tuple[uuid.UUID, bytes]]:
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/xml"
    assert cpix.validate(_as_cpix_2_2(answer.body)) == (True, "")
    found = [(uuid.UUID(kid), read.key) for kid, read in cpix_reader.read(answer.body).items()]
    # The library and the reader agree.
    library = cpix.parse(answer.body)
    assert found == [(each.kid, base64.b64decode(each.cek)) for each in library.content_keys]
    return found


def _as_cpix_2_2(document: bytes) -> bytes:
    """Return a document for the library's schema, which is older and has one error."""
    document = re.sub(rb' commonEncryptionScheme="[a-z0-9]{4}"', b"", document)
    # An id of SPEKE 1.0 may begin with a digit.
    document = re.sub(rb' id="(?=[0-9])', b' id="_', document)
    # That schema has a reference to a period as an id of its own.
    numbers = count()
    return re.sub(rb'periodId="', lambda _: b'periodId="of-%d-' % next(numbers), document)


def speke_2(server: Server, body: bytes, **headers: str) -> Answer:
    given = {"X_Speke_Version": "2.0", "Content_Type": "application/xml", **headers}
    return server.post(body, "/speke/v2.0/copyProtection", **given)


def speke_1(server: Server, body: bytes) -> Answer:
    return server.post(body, "/speke/v1.0/copyProtection", Content_Type="application/xml")


def request_for(program: str, kid: uuid.UUID) -> bytes:
    attributes = f'contentId="{program}" version="2.3"'
    return document(key(str(kid)), systems=(system(str(kid)),), attributes=attributes)


@pytest.fixture(scope="module")
def replacing(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with two workers that replaces the KIDs of requests."""
    data = tmp_path_factory.mktemp("replacing") / "data"
    return start(data, "--workers", "2", RIGHTSMANAGER_PACKAGING__REPLACE_KID="true")


def test_all_forms_have_the_same_key_at_once_from_two_workers(replacing: Server) -> None:
    server, program = replacing, f"at-once-{uuid.uuid4()}"
    asks = [
        lambda: get_nginx(server, program),
        lambda: get_widevine(server, program)[0],
        lambda: get_soap(server, program),
        lambda: get_cpix(server, program)[0],
        lambda: keys_in(server.post(request_for(program, uuid.uuid4()), "/cpix"))[0],
        lambda: keys_in(speke_2(server, request_for(program, uuid.uuid4())))[0],
        lambda: keys_in(speke_1(server, request_for(program, uuid.uuid4())))[0],
    ] * 2
    with ThreadPoolExecutor(len(asks)) as pool:
        found = set(pool.map(lambda ask: ask(), asks))
    assert len(found) == 1
    assert set(get_widevine(server, program)) == found


def replay(server: Server, request: Mapping[str, Any]) -> Answer:
    """Send a recorded request byte for byte, in chunks if its client sent it so."""
    body = None if request["body"] is None else request["body"].encode()
    headers = request["headers"]
    is_chunked = "Transfer-Encoding" in headers
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = iter([body or b""]) if is_chunked else body
    connection.request(request["method"], request["path"], sent, headers, encode_chunked=is_chunked)
    response = connection.getresponse()
    answer = Answer(response.status, dict(response.getheaders()), response.read())
    connection.close()
    assert answer.status == 200, answer.body
    return answer


def keys_of(answer: Answer) -> list[tuple[uuid.UUID, bytes]]:
    """Return the keys of a reply in any form, each once."""
    form = answer.headers["Content-Type"].partition(";")[0]
    if form == "application/xml":
        return keys_in(answer)
    if form == "text/xml":
        taken = packager.take(answer.body)
        return [(taken.kid, taken.key)]
    found = json.loads(answer.body)
    entries = response(answer)["tracks"] if isinstance(found, dict) else found
    pairs = [(each["key_id"], each["key"]) for each in entries]
    return [
        (uuid.UUID(bytes=base64.b64decode(kid)), base64.b64decode(key))
        for kid, key in dict.fromkeys(pairs)
    ]


def stored_facts(server: Server, kid: uuid.UUID) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(server.call("GET", f"/api/v1/content-keys/{kid}").body)
    return found


@on_sqlite
def test_published_requests_are_answered(replacing: Server, vectors: Callable[[str], Any]) -> None:
    for request in vectors("key_requests")["requests"]:
        found = keys_of(replay(replacing, request))
        assert keys_of(replay(replacing, request)) == found, request["source"]
        facts = [stored_facts(replacing, kid) for kid, _ in found]
        for asked, stored in zip(request["keys"], facts, strict=True):
            for name in ("program", "period", "track", "type"):
                assert stored[name] == asked[name], request["source"]
            assert asked["kid"] in {None, stored["kid"]}, request["source"]


def test_a_live_request_of_speke_2_keeps_its_kids(server: Server) -> None:
    video, audio = str(uuid.uuid4()), str(uuid.uuid4())
    body = cpix_documents.speke_2("speke-live", video, audio, 7)
    answer = speke_2(server, body)
    assert answer.headers["X-Speke-Version"] == "2.0"
    assert answer.headers["X-Speke-User-Agent"].startswith("rightsmanager/")
    found = dict(keys_in(answer))
    assert [str(kid) for kid in found] == [video, audio]
    for kid, track in ((video, "video"), (audio, "audio")):
        stored = json.loads(server.call("GET", f"/api/v1/content-keys/{kid}").body)
        assert stored["track"] == track
    assert keys_in(speke_2(server, body)) == list(found.items())
    named = get_nginx(server, "speke-live%23VIDEO", "?period=7")
    assert named == (uuid.UUID(video), found[uuid.UUID(video)])


@on_sqlite
def test_speke_1_takes_the_programs_kid(server: Server) -> None:
    kid, content_key = get_nginx(server, "speke-one", "?period=3")
    answer = speke_1(server, cpix_documents.speke_1("speke-one", str(uuid.uuid4()), 3))
    assert keys_in(answer) == [(kid, content_key)]
    assert answer.headers["Speke-User-Agent"].startswith("rightsmanager/")
    (texts,) = cpix_reader.system_texts(answer.body)
    assert parse_object(base64.b64decode(texts["ProtectionHeader"])).header.kids[0].kid.text == str(
        kid
    )


@on_sqlite
def test_cpix_by_get_has_streams_and_periods(server: Server) -> None:
    found = get_cpix(server, "cpix-live", "?streams=SD,AUDIO&periods=0-1,5")
    assert len(set(found)) == 6
    assert get_cpix(server, "cpix-live", "?streams=AUDIO&periods=5") == [found[5]]
    assert get_nginx(server, "cpix-live%23SD") == found[0]
    for version in ("2.1", "2.2", "2.3", "2.4"):
        assert get_cpix(server, "cpix-live", f"?streams=SD&version={version}") == [found[0]]


@on_sqlite
def test_keys_are_encrypted_to_recipients(server: Server) -> None:
    kid = str(uuid.uuid4())
    recipient = clients.recipient("key_encipherment", now=int(time.time()))
    attributes = 'contentId="encrypted" version="2.3"'
    body = document(key(kid), recipients=(delivery(recipient),), attributes=attributes)
    answer = speke_2(server, body)
    assert answer.status == 200, answer.body
    (found,) = cpix_reader.read(answer.body, recipient.key).values()
    assert get_nginx(server, "encrypted") == (uuid.UUID(kid), found.key)
    assert b"PlainValue" not in answer.body
    for wrong, told in (
        (clients.recipient("digital_signature", now=int(time.time())), "another key usage"),
        (clients.recipient(days=-1, now=int(time.time())), "is expired"),
    ):
        body = document(key(kid), recipients=(delivery(wrong),), attributes=attributes)
        answer = speke_2(server, body)
        assert answer.status == 422
        assert told in answer.body.decode()


@on_sqlite
def test_contradicting_documents_are_refused(server: Server) -> None:
    kid, content_key = get_nginx(server, "contradicted")
    other = base64.b64encode(bytes(16)).decode()
    mine = 'contentId="contradicted"'
    for body, told in (
        (request_for("contradicted", uuid.uuid4()), f"expected {kid}, which the program has"),
        (document(key(str(kid), "", other), attributes=mine), "has another content key"),
        (
            document(key(str(kid), 'commonEncryptionScheme="cbcs"'), attributes=mine),
            "the scheme is cbcs, expected AESCTR",
        ),
        (request_for("another", kid), "belongs to another program"),
        (
            request_for("swapped", uuid.UUID(bytes=kid.bytes_le)),
            "with its first three fields byte-swapped",
        ),
    ):
        answer = server.post(body, "/cpix")
        assert (answer.status, told in answer.body.decode()) == (409, True), answer.body
    assert keys_in(server.post(document(key(str(kid), ""), attributes=""), "/cpix/contradicted"))
    same = base64.b64encode(content_key).decode()
    (found,) = keys_in(server.post(document(key(str(kid), "", same), attributes=mine), "/cpix"))
    assert found == (kid, content_key)


KID = "00000000-0000-4000-8000-00000000e2e1"
MANY = ",".join(map(str, range(700)))
MIXED = (key(KID, 'commonEncryptionScheme="cbcs"'), key(KID[:-1] + "2"))


@on_sqlite
@pytest.mark.parametrize(
    ("body", "version", "told"),
    [
        (document(key(KID)), "1.0", "Unsupported SPEKE version"),
        (document(key(KID), attributes='version="2.3"'), "2.0", "Missing CPIX@contentId"),
        (document(key(KID), attributes='contentId="a"'), "2.0", "Missing CPIX@version"),
        (
            document(key(KID), attributes='contentId="a" version="2.4"'),
            "2.0",
            "Unsupported CPIX@version",
        ),
        (
            document(key(KID, "")),
            "2.0",
            f"Missing ContentKey@commonEncryptionScheme for KID {KID}",
        ),
        (document(*MIXED), "2.0", "Non compliant ContentKey@commonEncryptionScheme combination"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "2.0", "document type declaration"),
        (b"", "2.0", "it is empty"),
    ],
)
def test_speke_2_refuses_with_422_and_a_text(
    server: Server, body: bytes, version: str, told: str
) -> None:
    answer = speke_2(server, body, X_Speke_Version=version)
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert told in answer.body.decode()


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/cpix/", 400, "the program is ''"),
        ("GET", "/cpix", 400, "the program is ''"),
        ("GET", "/cpix?streams=SD", 400, "the program is ''"),
        ("GET", "/cpix/a?version=3.0", 400, "version is '3.0'"),
        ("GET", "/cpix/a?periods=5-1", 400, "expected such as 0-3,7"),
        ("GET", "/cpix/a?periods=x", 400, "expected such as 0-3,7"),
        ("GET", "/cpix/a?periods=0-9999999999", 400, "expected such as 0-3,7"),
        ("GET", "/cpix/a?periods=0-1000", 400, "more than 1000 numbers"),
        ("GET", "/cpix/a?periods=0-999&streams=A,B", 400, "more than 1000 keys"),
        ("GET", f"/cpix/a?periods=0-999&streams={MANY}", 400, "more than 1000 keys"),
        ("GET", "/cpix/a?streams=a%20b", 400, "expected names such as SD,AUDIO"),
        ("PUT", "/cpix/a", 405, "expected GET or POST"),
        ("POST", "/cpix", 400, "it is empty"),
        ("POST", "/cpix/a%00", 400, "printable characters"),
        ("GET", "/speke/v2.0/copyProtection", 405, "expected POST"),
        ("POST", "/speke/v1.0/copyProtection/x", 404, "the path ends with 'x'"),
    ],
)
def test_invalid_cpix_requests_get_a_status_and_a_text(
    server: Server, method: str, path: str, status: int, told: str
) -> None:
    answer = server.call(method, path, b"" if method == "POST" else None)
    assert (answer.status, told in answer.body.decode()) == (status, True), answer.body
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@on_sqlite
def test_the_name_of_a_track_does_not_make_that_of_a_program_too_long(server: Server) -> None:
    kids = [str(uuid.uuid4()) for _ in range(2)]
    rules = (rule(kids[0], "V" * 1024), rule(kids[1], "AUDIO"))
    body = document(*map(key, kids), rules=rules, attributes='contentId="long"')
    answer = server.post(body, "/cpix")
    assert (answer.status, b"expected 1 to 1024 printable" in answer.body) == (400, True)


@on_sqlite
def test_speke_refuses_strangers_and_large_bodies(server: Server) -> None:
    answer = speke_2(server, document(key(KID)), Origin="http://evil.example")
    assert answer.status == 403
    assert speke_1(server, b" " * (1 << 21)).status == 413
    assert speke_1(server, document(key(KID), attributes="")).status == 422
    assert server.call("GET", "/cpixels").status == 404
    twice = document(key(KID), key(KID[:-1] + "2"), attributes='id="twice"')
    assert keys_in(speke_1(server, twice))


@on_sqlite
def test_tracks_may_have_keys_of_their_own(server: Server) -> None:
    sd, audio = get_widevine(server, "by-track", "?keys=track")
    assert sd != audio
    assert get_nginx(server, "by-track%23SD") == sd


@on_sqlite
@pytest.mark.parametrize(
    ("first", "count", "expected"), [(None, 1, [None]), (0, 1, [0]), (3, 2, [3, 4])]
)
def test_only_keys_that_rotate_name_their_crypto_period(
    server: Server, first: int | None, count: int, expected: list[int | None]
) -> None:
    request = ContentKeyRequest(b"crypto-periods", ("SD",), None, first, count)
    tracks = response(server.call("POST", MODULE, build_request(request)))["tracks"]
    assert [each.get("crypto_period_index") for each in tracks] == expected


@on_sqlite
def test_periods_and_schemes_are_in_the_query(server: Server) -> None:
    first, second = (get_nginx(server, "periods", f"?period={each}") for each in (0, 1))
    assert first != second
    get_nginx(server, "cbc", "?scheme=cbcs")
    answer = server.call("GET", "/nginx-vod/cbc?scheme=cenc")
    assert answer.status == 409
    assert "the scheme is cenc, expected AESCBC" in json.loads(answer.body)["error"]


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/nginx-vod/", 400, "the program is ''"),
        ("GET", "/nginx-vod/a%0Ab", 400, "printable characters"),
        ("GET", "/nginx-vod/%FF", 400, "the path is not UTF-8"),
        ("GET", "/nginx-vod/" + "a" * 1025, 400, "printable characters"),
        ("GET", "/nginx-vod/a?scheme=aes", 400, "scheme is 'aes'"),
        ("GET", "/nginx-vod/a?scheme=cenc&scheme=cbcs", 400, "scheme is given 2 times"),
        ("GET", "/nginx-vod/a?period=-1", 400, "period is '-1'"),
        ("GET", "/nginx-vod/a?period=5000000000", 400, "the key period is 5000000000"),
        ("GET", "/nginx-vod/a?algid=RC4", 400, "algid is 'RC4'"),
        ("GET", "/nginx-vod/a?algid=AESCTR&scheme=cbcs", 400, "algid is AESCTR, expected AESCBC"),
        ("POST", "/nginx-vod/a", 405, "the method is POST, expected GET"),
        ("OPTIONS", "/nginx-vod/a", 405, "the method is OPTIONS, expected GET"),
    ],
)
def test_invalid_requests_get_a_status_and_a_text(
    server: Server, method: str, path: str, status: int, told: str
) -> None:
    answer = server.call(method, path)
    assert answer.status == status
    assert told in json.loads(answer.body)["error"]
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@on_sqlite
def test_refused_key_requests_have_a_status_of_their_api(server: Server) -> None:
    request = build_request(ContentKeyRequest(b"many", ("SD",), None, 0, 1001))
    for body, status, name in (
        (b"{", 400, "MALFORMED_REQUEST"),
        (request, 400, "MALFORMED_REQUEST"),
        (b" " * (1 << 21), 413, "MALFORMED_REQUEST"),
    ):
        answer = server.call("POST", MODULE, body)
        assert answer.status == status
        assert response(answer)["status"] == name
    answer = server.call("POST", MODULE, request, Origin="http://evil.example")
    assert (answer.status, response(answer)["status"]) == (403, "ACCESS_DENIED")
    get_nginx(server, "with-cbc", "?scheme=cbcs")
    answer = server.call(
        "POST", MODULE, build_request(ContentKeyRequest(b"with-cbc", ("SD",), "cenc"))
    )
    assert (answer.status, response(answer)["status"]) == (409, "KEY_ID_MISMATCH")


@on_sqlite
def test_a_token_may_be_in_the_header_or_in_the_query(start: Start, tmp_path: Path) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_PACKAGING__ACCESS="query",
        RIGHTSMANAGER_PACKAGING__TOKEN=TOKEN,
    )
    get_nginx(server, "a", f"?token={TOKEN}")
    answer = server.call("GET", "/nginx-vod/a", Authorization=f"Bearer {TOKEN}")
    assert answer.status == 200
    soap = server.post(packager.ask(packager.stream("a")), f"/rightsmanager.asmx?token={TOKEN}")
    assert packager.take(soap.body)
    answer = server.call("GET", "/nginx-vod/a")
    assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    assert server.call("GET", "/nginx-vod/a?token=x").status == 401
    assert TOKEN not in server.log.read_text()


@on_sqlite
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Origin": "http://localhost"}, "comes from a browser's page"),
        ({"Sec_Fetch_Site": "cross-site"}, "comes from a browser's page"),
        ({"Host": "evil.example"}, "is for the host 'evil.example'"),
        ({"X_Forwarded_For": "203.0.113.9"}, "comes through a proxy"),
    ],
)
def test_strangers_get_no_key(server: Server, headers: dict[str, str], told: str) -> None:
    answer = server.call("GET", "/nginx-vod/strangers", None, **headers)
    assert answer.status == 403
    assert told in json.loads(answer.body)["error"]
    assert b'"key"' not in answer.body


@on_sqlite
def test_a_server_without_the_role_has_no_key_endpoint(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_SERVER__ROLES='["license"]')
    assert server.call("GET", "/nginx-vod/a").status == 404


@on_sqlite
@pytest.mark.parametrize("scheme", ["cenc", "cbcs"])
def test_shaka_packager_packages_with_a_content_key_request(
    server: Server, tmp_path: Path, scheme: str
) -> None:
    program = f"requested as from a Widevine server, {scheme}"
    ran = subprocess.run(
        [
            *(sys.executable, str(EXAMPLE), "--url", server.url, "--data", str(server.data)),
            *("--folder", str(tmp_path), "--program", program, "--scheme", scheme),
            *("--key-request", "getcontentkey"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    for stream, number in {"video": 50, "audio": 87}.items():
        assert f"{stream}: {number} of {number} frames are the original's, 0 without" in ran.stdout
    kid, content_key = get_soap(server, program)
    assert f"KID {kid}, content key {content_key.hex()}\n" in ran.stdout
