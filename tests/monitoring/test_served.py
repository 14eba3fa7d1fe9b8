"""The paths of a whole server in this process: what they check, and who may read the metrics."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest

from rightsmanager.admin.tokens import Role, TokenKeeper
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.monitoring.shared_cells import SharedCells
from rightsmanager.server import Runtime, Server
from rightsmanager.settings import ApiSettings, MetricsSettings, Settings
from tests.building import built
from tests.databases import execute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "mF_9.B5f-4.1JqM-long-enough"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    create(KeyFiles(tmp_path, None), rng_for("served"))
    api = ApiSettings.model_validate({"token": TOKEN})
    return Settings(data=tmp_path, database_url=database_url, api=api)


@contextmanager
def serve(settings: Settings, access: str, *, is_loopback: bool = False) -> Iterator[Server]:
    metrics = MetricsSettings.model_validate({"access": access})
    changed = settings.model_copy(update={"metrics": metrics})
    runtime = replace(Runtime(), is_loopback=is_loopback, cells=SharedCells())
    with built(changed, runtime) as server:
        yield server


def ask(server: Server, path: str, method: str = "GET", **environ: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer."""
    started: list[str] = []
    full: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:80",
        **environ,
    }
    setup_testing_defaults(full)
    body = b"".join(server.wsgi(full, lambda status, *_: started.append(status)))
    return int(started[0][:3]), body


def test_a_server_is_ready(settings: Settings) -> None:
    with serve(settings, "open") as server:
        status, body = ask(server, "/readyz")
        assert (status, json.loads(body)["ok"]) == (200, True), body
        assert ask(server, "/livez")[0] == 200


def test_requests_are_counted(settings: Settings) -> None:
    with serve(settings, "open") as server:
        assert ask(server, "/rightsmanager.asmx", "POST")[0] == 500
        status, body = ask(server, "/metrics")
        assert status == 200
        line = b'rightsmanager_requests_total{operation="unknown",outcome="0x8004c601"} 1.0'
        assert line in body
        assert b"rightsmanager_journal_accepted_total" in body


def test_auto_is_the_rule_of_the_api(settings: Settings) -> None:
    with serve(settings, "auto", is_loopback=True) as server:
        assert ask(server, "/metrics")[0] == 200
        assert ask(server, "/metrics", HTTP_X_FORWARDED_FOR="192.0.2.1")[0] == 401
    with serve(settings, "auto") as server:
        assert ask(server, "/metrics")[0] == 401
        assert ask(server, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")[0] == 200


def test_a_stored_token_needs_the_database(settings: Settings) -> None:
    with serve(settings, "token", is_loopback=True) as server:
        context = server.context
        keeper = TokenKeeper(context.store, context.clock, context.rng)
        stored = keeper.create("prometheus", Role.READ).token
        assert ask(server, "/metrics")[0] == 401
        assert ask(server, "/metrics", HTTP_AUTHORIZATION=f"Bearer {stored}")[0] == 200
        execute(settings.effective_database_url, "ALTER TABLE api_tokens RENAME TO api_tokens_away")
        status, body = ask(server, "/metrics", HTTP_AUTHORIZATION=f"Bearer {stored}")
        assert (status, json.loads(body)["text"]) == (
            503,
            "the token cannot be checked, since the database failed",
        )
        assert ask(server, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")[0] == 200
        execute(settings.effective_database_url, "ALTER TABLE api_tokens_away RENAME TO api_tokens")


def test_off_is_off(settings: Settings) -> None:
    with serve(settings, "off") as server:
        assert ask(server, "/metrics")[0] == 404
        assert ask(server, "/readyz")[0] == 200
