"""The key endpoint when something in the server fails: a status, a text, and no details."""

from __future__ import annotations

import base64
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from rightsmanager import __version__
from rightsmanager.errors import InternalError
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.access import Access, AccessMode
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.web.http import Addressing
from rightsmanager.web.keys.endpoint import Bounds, KeyEndpoint, takes
from tests.second.cpix_documents import document, key

SECRET = "the text of a failure"


OPEN = Access(AccessMode.OPEN)


def failing(error: Exception, access: Access = OPEN) -> tuple[KeyEndpoint, list[BaseException]]:
    """Return an endpoint whose store fails, and what it notes."""

    def transaction() -> Any:  # noqa: ANN401 -- it returns nothing
        raise error

    options = SimpleNamespace(
        packaging=PackagingOptions(),
        packaging_access=access,
        signer=None,
        recipient=None,
        replace_kid=False,
        refuse_signers=lambda _signers: None,
    )
    context: Any = SimpleNamespace(
        options=options,
        store=SimpleNamespace(transaction=transaction),
        hooks=Hooks(HookSet(), 1),
        clock=lambda: 0,
        rng=bytes,
    )
    noted: list[BaseException] = []

    def note(_what: str, failure: BaseException) -> None:
        noted.append(failure)

    return KeyEndpoint(context, Addressing(), Bounds(), note), noted


def call(endpoint: KeyEndpoint, path: str) -> tuple[str, bytes]:
    status, _, body = exchange(endpoint, "GET", path)
    return status, body


def exchange(
    endpoint: KeyEndpoint, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[str, dict[str, str], bytes]:
    """Return the status, the headers and the body of an answer."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **{f"HTTP_{name}": value for name, value in headers.items()},
    }
    started: list[tuple[str, list[tuple[str, str]]]] = []
    answer = b"".join(endpoint(environ, lambda *start: started.append(start)))
    ((status, pairs),) = started
    assert len(dict(pairs)) == len(pairs)
    return status, dict(pairs), answer


@pytest.mark.parametrize("path", ["/nginx-vod/a", "/cpix/a"])
def test_an_unexpected_failure_is_noted_and_not_told(path: str) -> None:
    endpoint, noted = failing(RuntimeError(SECRET))
    status, body = call(endpoint, path)
    assert status == "500 Internal Server Error"
    assert b"the server failed" in body
    assert SECRET.encode() not in body
    assert [str(each) for each in noted] == [SECRET]


def test_a_failure_of_the_database_is_500() -> None:
    endpoint, noted = failing(InternalError("the database failed"))
    status, body = call(endpoint, "/nginx-vod/a")
    assert status == "500 Internal Server Error"
    assert json.loads(body) == {"error": "the database failed"}
    assert noted == []


def test_the_cause_of_a_failure_is_noted_and_not_told() -> None:
    failure = InternalError("the operator's authorise failed")
    failure.__cause__ = RuntimeError(SECRET)
    endpoint, noted = failing(failure)
    _, body = call(endpoint, "/nginx-vod/a")
    assert json.loads(body) == {"error": "the operator's authorise failed"}
    assert [str(each) for each in noted] == [SECRET]


def test_a_refused_method_of_widevines_form_has_its_status() -> None:
    endpoint, _ = failing(RuntimeError(SECRET))
    status, body = call(endpoint, "/cenc/getcontentkey/provider")
    assert status == "405 Method Not Allowed"
    told = json.loads(base64.b64decode(json.loads(body)["response"]))
    assert told["status"] == "MALFORMED_REQUEST"


V1, V2_0, V2_1 = (f"/speke/v{version}/copyProtection" for version in ("1.0", "2.0", "2.1"))
V2_3 = document(key("00000000-0000-4000-8000-00000000e2e1"))
V2_4 = V2_3.replace(b'version="2.3"', b'version="2.4"')


@pytest.mark.parametrize(
    ("method", "path", "version", "body", "status", "told"),
    [
        ("POST", V2_0, "2.0", b"", 422, "2.0"),
        ("POST", V2_0, "2.1", b"", 422, "2.1"),
        ("POST", V2_1, "2.0", b"", 422, "2.0"),
        ("POST", V2_1, "2.1", b"", 422, "2.1"),
        ("POST", V2_0, "2.1", V2_3, 422, "2.1"),
        ("POST", V2_0, "3.0", b"", 422, "2.0"),
        ("POST", V2_1, "3.0", b"", 422, "2.1"),
        ("POST", V2_1, "", b"", 422, "2.1"),
        ("POST", V2_1, "2.1, 2.0", b"", 422, "2.1"),
        ("POST", f"{V2_0}/x", "2.1", b"", 404, "2.1"),
        ("POST", f"{V2_0}/\xff", "2.1", b"", 422, "2.1"),
        ("POST", V2_0, "2.1", b" " * (1 + (1 << 20)), 413, "2.1"),
        ("POST", V2_0, "2.1", V2_4, 500, "2.1"),
        ("GET", V2_0, "2.1", b"", 405, "2.1"),
        ("OPTIONS", V2_1, "", b"", 405, "2.1"),
        ("POST", V1, "", b"", 422, ""),
        ("POST", f"{V1}/x", "", b"", 404, ""),
        ("PUT", V1, "2.1", b"", 405, ""),
    ],
)
def test_every_refusal_of_speke_has_the_headers_of_the_requests_version(
    method: str, path: str, version: str, body: bytes, *, status: int, told: str
) -> None:
    endpoint, _ = failing(RuntimeError(SECRET))
    found, headers, _ = exchange(endpoint, method, path, body, X_SPEKE_VERSION=version)
    assert int(found[:3]) == status
    speke = {name: value for name, value in headers.items() if "Speke" in name}
    agent = f"rightsmanager/{__version__}"
    assert speke == (
        {"X-Speke-User-Agent": agent, "X-Speke-Version": told}
        if told
        else {"Speke-User-Agent": agent}
    )
    assert headers.get("Allow") == ("POST" if status == 405 else None)


def test_a_refused_stranger_of_speke_gets_the_headers_of_its_version_and_a_challenge() -> None:
    endpoint, _ = failing(RuntimeError(SECRET), Access(AccessMode.TOKEN, "a-token"))
    status, headers, _ = exchange(endpoint, "POST", V2_0, X_SPEKE_VERSION="2.1")
    assert status == "401 Unauthorized"
    assert headers["X-Speke-Version"] == "2.1"
    assert headers["WWW-Authenticate"] == 'Bearer realm="rightsmanager"'


@pytest.mark.parametrize(
    ("path", "is_taken"),
    [
        ("/cpix", True),
        ("/cpix/a/b", True),
        ("/speke/v2.0/copyProtection", True),
        ("/nginx-vod/", True),
        ("/cpixel", False),
        ("/speke/v3.0/copyProtection", False),
        ("/x/cpix/a", False),
        ("/", False),
    ],
)
def test_it_takes_its_own_paths_alone(path: str, *, is_taken: bool) -> None:
    assert takes(path) is is_taken
