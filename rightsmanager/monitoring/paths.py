"""The paths of monitoring, served without Flask: they answer when pages fail.

    /livez     the process answers
    /readyz    the checks of readiness; 503 if one of them failed
    /metrics   the counts of all workers in Prometheus' form

Each is at this path alone, for GET and HEAD.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from rightsmanager.monitoring.health import CheckResult, Readiness

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Headers = tuple[tuple[str, str], ...]

LIVEZ: Final = "/livez"
READYZ: Final = "/readyz"
METRICS: Final = "/metrics"
_JSON: Final = "application/json"
_METHODS: Final = "GET, HEAD"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of these paths."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: Headers = ()


Expose = Callable[[str], tuple[bytes, str]]
"""Returns the metrics and their content type for an Accept header."""
Refuse = Callable[[Environ], Answer | None]
"""Returns the refusal of a request for metrics, None to answer it."""


def monitoring_paths(
    readiness: Readiness, metrics: tuple[Expose, Refuse] | None
) -> Mapping[str, Wsgi]:
    """Return the application at each path; without `metrics` there is no /metrics."""

    def livez(_environ: Environ) -> Answer:
        return Answer(HTTPStatus.OK, _JSON, b'{"ok": true}\n')

    def readyz(_environ: Environ) -> Answer:
        return describe(readiness.check())

    paths = {LIVEZ: _serve(livez), READYZ: _serve(readyz)}
    if metrics is not None:
        expose, refuse = metrics

        def show(environ: Environ) -> Answer:
            refused = refuse(environ)
            if refused is not None:
                return refused
            body, content_type = expose(environ.get("HTTP_ACCEPT", ""))
            return Answer(HTTPStatus.OK, content_type, body)

        paths[METRICS] = _serve(show)
    return paths


def describe(results: Iterable[CheckResult]) -> Answer:
    """Return the answer of /readyz."""
    checks = [
        {"name": each.name, "ok": each.is_ok, "text": each.text, "ms": each.ms} for each in results
    ]
    is_ready = all(each["ok"] for each in checks)
    body = json.dumps({"ok": is_ready, "checks": checks}, indent=2) + "\n"
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, _JSON, body.encode())


def refusal(status: HTTPStatus, text: str, headers: Headers = ()) -> Answer:
    """Return the refusal of a request."""
    body = json.dumps({"ok": False, "text": text}) + "\n"
    return Answer(status, _JSON, body.encode(), headers)


def _serve(answer: Callable[[Environ], Answer]) -> Wsgi:
    def serve(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method in {"GET", "HEAD"}:
            found = answer(environ)
        else:
            text = f"the method is {method[:20]}, expected GET or HEAD"
            found = refusal(HTTPStatus.METHOD_NOT_ALLOWED, text, (("Allow", _METHODS),))
        headers = [
            ("Content-Type", found.content_type),
            ("Content-Length", str(len(found.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *found.headers,
        ]
        start_response(f"{found.status.value} {found.status.phrase}", headers)
        return [] if method == "HEAD" else [found.body]

    return serve
