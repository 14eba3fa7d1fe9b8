"""The key endpoint when something in the server fails: a status, a text, and no details."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from rightsmanager.errors import InternalError
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.access import Access, AccessMode
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.web.http import Addressing
from rightsmanager.web.keys.endpoint import Bounds, KeyEndpoint, takes

SECRET = "the text of a failure"


def failing(error: Exception) -> tuple[KeyEndpoint, list[BaseException]]:
    """Return an endpoint whose store fails, and what it notes."""

    def transaction() -> Any:  # noqa: ANN401 -- it returns nothing
        raise error

    options = SimpleNamespace(
        packaging=PackagingOptions(), packaging_access=Access(AccessMode.OPEN), signer=None
    )
    context: Any = SimpleNamespace(
        options=options,
        store=SimpleNamespace(transaction=transaction),
        hooks=Hooks(HookSet(), 1),
    )
    noted: list[BaseException] = []

    def note(_what: str, failure: BaseException) -> None:
        noted.append(failure)

    return KeyEndpoint(context, Addressing(), Bounds(), note), noted


def call(endpoint: KeyEndpoint, path: str) -> tuple[str, bytes]:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
    }
    statuses: list[str] = []
    body = b"".join(endpoint(environ, lambda status, _headers: statuses.append(status)))
    return statuses[0], body


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
