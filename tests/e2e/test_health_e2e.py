"""Health over HTTP, with a database that is away, hangs, is outdated or lost."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.store.schema import newest_revision
from tests.databases import execute
from tests.e2e.conftest import REPLY_SECONDS

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Start
    from tests.postgresql import PostgreSQL

QUICK = {"RIGHTSMANAGER_HEALTH__TIMEOUT_SECONDS": "0.5"}


def checks(server: Server) -> dict[str, dict[str, Any]]:
    """Return the checks by name; the status is that of their outcome."""
    answer = server.call("GET", "/readyz")
    body = json.loads(answer.body)
    assert body["ok"] == all(each["ok"] for each in body["checks"])
    assert answer.status == (200 if body["ok"] else 503)
    assert server.call("GET", "/livez").status == 200
    return {each["name"]: each for each in body["checks"]}


def wait_for(server: Server, *, is_ready: bool) -> dict[str, dict[str, Any]]:
    """Return the checks once the server is ready, or once it is not."""
    deadline = time.monotonic() + REPLY_SECONDS
    while True:
        found = checks(server)
        if all(each["ok"] for each in found.values()) == is_ready:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def failed(server: Server) -> dict[str, str]:
    found = wait_for(server, is_ready=False)
    return {name: each["text"] for name, each in found.items() if not each["ok"]}


@pytest.fixture
def on_own_postgresql(start: Start, own_postgresql: PostgreSQL, tmp_path: Path) -> Server:
    url = own_postgresql.url(own_postgresql.create_database())
    server = start(tmp_path / "data", RIGHTSMANAGER_DATABASE_URL=url, **QUICK)
    server.database_url = url
    return server


def test_a_new_server_is_ready(server: Server) -> None:
    found = wait_for(server, is_ready=True)
    assert list(found) == ["database", "keyring", "disk", "clock"]
    assert found["database"]["text"] == f"reachable, at revision {newest_revision()}"
    head = server.call("HEAD", "/readyz")
    assert (head.status, head.body) == (200, b"")


def test_a_database_at_another_revision_is_not_ready(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data")
    wait_for(server, is_ready=True)
    execute(server.database_url, "UPDATE alembic_version SET version_num = '9999_later'")
    assert "9999_later" in failed(server)["database"]
    execute(
        server.database_url, "UPDATE alembic_version SET version_num = :id", id=newest_revision()
    )
    wait_for(server, is_ready=True)
    log = server.log.read_text()
    assert log.count("event='not_ready'") == log.count("event='ready'") == 1
    assert server.stop() == 0


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_a_database_that_is_away_is_not_ready_until_it_is_back(
    on_own_postgresql: Server, own_postgresql: PostgreSQL
) -> None:
    server = on_own_postgresql
    wait_for(server, is_ready=True)
    own_postgresql.stop()
    assert failed(server) == {"database": "the database cannot be reached"}
    assert b'rightsmanager_check_ok{check="database"} 0.0' in server.call("GET", "/metrics").body
    own_postgresql.start()
    wait_for(server, is_ready=True)
    assert server.stop() == 0


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_a_database_that_hangs_does_not_hang_the_check(
    on_own_postgresql: Server, own_postgresql: PostgreSQL
) -> None:
    server, process = on_own_postgresql, own_postgresql.process
    assert process is not None
    wait_for(server, is_ready=True)
    process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert failed(server)["database"].startswith("no answer within")
        assert time.monotonic() - begun < REPLY_SECONDS / 2
    finally:
        process.send_signal(signal.SIGCONT)
    wait_for(server, is_ready=True)
    assert server.stop() == 0


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_lost_file_is_not_ready(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data")
    file = Path(server.database_url.removeprefix("sqlite:///"))
    # A worker that starts later would make an empty file.
    wait_for(server, is_ready=True)
    file.rename(tmp_path / "kept.db")
    assert failed(server) == {"database": "the database's file is missing"}
    assert not file.exists()
    (tmp_path / "kept.db").rename(file)
    wait_for(server, is_ready=True)
    assert server.stop() == 0


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_disk_below_the_limit_is_not_ready(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "data", RIGHTSMANAGER_HEALTH__MIN_FREE_BYTES=str(1 << 60))
    assert "expected at least" in failed(server)["disk"]
    assert server.stop() == 0
