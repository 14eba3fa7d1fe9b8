"""The paths of monitoring as WSGI applications."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from rightsmanager.monitoring.health import NotReady, Readiness
from rightsmanager.monitoring.paths import Answer, monitoring_paths, refusal

Asked = tuple[str, dict[str, str], bytes]


def well() -> str:
    return "well"


def failed() -> str:
    raise NotReady("full", "of a detail")


def ask(path: str, method: str = "GET", check: Any = well, **environ: str) -> Asked:  # noqa: ANN401
    """Return status, headers and body of an answer."""

    def refuse(given: dict[str, Any]) -> Answer | None:
        token = given.get("HTTP_AUTHORIZATION")
        text, headers = "expected a token", (("WWW-Authenticate", "Bearer"),)
        return None if token else refusal(HTTPStatus.UNAUTHORIZED, text, headers)

    readiness = Readiness({"one": well, "disk": check}, 30.0, lambda _: None)
    paths = monitoring_paths(readiness, (lambda accept: (accept.encode(), "text/plain"), refuse))
    given: list[Any] = []
    body = paths[path](
        {"REQUEST_METHOD": method, **environ},
        lambda status, headers: given.extend((status, headers)),
    )
    return given[0], dict(given[1]), b"".join(body)


def test_livez_is_always_well() -> None:
    status, headers, body = ask("/livez", check=failed)
    assert (status, json.loads(body)) == ("200 OK", {"ok": True})
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Length"] == str(len(body))


def test_readyz_lists_the_checks() -> None:
    status, headers, body = ask("/readyz")
    assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
    found = json.loads(body)
    assert found["ok"] is True
    assert [(each["name"], each["ok"], each["text"]) for each in found["checks"]] == [
        ("one", True, "well"),
        ("disk", True, "well"),
    ]
    assert {type(each["ms"]) for each in found["checks"]} == {float}


def test_readyz_is_503_if_a_check_fails() -> None:
    status, _, body = ask("/readyz", check=failed)
    assert status == "503 Service Unavailable"
    assert [each["ok"] for each in json.loads(body)["checks"]] == [True, False]
    assert b"full" in body
    assert b"detail" not in body


def test_metrics_are_in_the_form_that_is_asked_for() -> None:
    status, headers, body = ask("/metrics", HTTP_ACCEPT="a/b", HTTP_AUTHORIZATION="Bearer x")
    assert (status, headers["Content-Type"], body) == ("200 OK", "text/plain", b"a/b")


def test_metrics_may_be_refused() -> None:
    status, headers, body = ask("/metrics")
    assert (status, headers["WWW-Authenticate"]) == ("401 Unauthorized", "Bearer")
    assert json.loads(body) == {"ok": False, "text": "expected a token"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_has_no_body_and_other_methods_are_refused(path: str) -> None:
    status, headers, body = ask(path, "HEAD", HTTP_AUTHORIZATION="Bearer x", HTTP_ACCEPT="a/b")
    assert (status, body) == ("200 OK", b"")
    assert int(headers["Content-Length"]) > 0
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, body = ask(path, method)
        assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")
        assert method in json.loads(body)["text"]


def test_without_metrics_there_is_no_such_path() -> None:
    paths = monitoring_paths(Readiness({}, 1.0, lambda _: None), None)
    assert set(paths) == {"/livez", "/readyz"}
