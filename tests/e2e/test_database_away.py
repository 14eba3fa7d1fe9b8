"""Without a database each request soon gets a fault; with it again, its answer."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.errors import InternalError
from rightsmanager.store.schema import newest_revision
from rightsmanager.wsgi import create

if TYPE_CHECKING:
    from pathlib import Path

    from tests.databases import NewDatabase
    from tests.e2e.conftest import Answer, Client, Command, Enrol, HeaderOf, Server, Start
    from tests.postgresql import PostgreSQL

KID = "5EiUNxWPEEuNp6iWZkF0LA=="
AT_ONCE = 24


def ask(server: Server, client: Client, header_of: HeaderOf) -> list[Answer]:
    """Return the answers to simultaneous requests, which reach all workers."""
    bodies = [client.challenge(header_of(KID)) for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(server.post, bodies))


@pytest.fixture
def started(start: Start, own_postgresql: PostgreSQL, tmp_path: Path) -> Server:
    """A server with two workers on a database that the test may stop."""
    url = own_postgresql.url(own_postgresql.create_database())
    server = start(tmp_path / "data", "--workers", "2", RIGHTSMANAGER_DATABASE_URL=url)
    server.database_url = url
    return server


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_database_that_is_away_is_a_fault_until_it_is_back(
    started: Server, enrol: Enrol, header_of: HeaderOf, own_postgresql: PostgreSQL, number: int
) -> None:
    server = started
    client = enrol(server.data)
    assert [answer.status for answer in ask(server, client, header_of)] == [200] * AT_ONCE

    workers = server.all_workers(2)
    own_postgresql.stop(number)
    answers = ask(server, client, header_of)
    assert [answer.code for answer in answers] == ["0x8004c600"] * AT_ONCE
    assert all(b"the store failed" in answer.body for answer in answers)

    own_postgresql.start()
    assert [answer.status for answer in ask(server, client, header_of)] == [200] * AT_ONCE
    assert server.workers() == workers
    assert len(server.issued()) == 2 * AT_ONCE
    assert server.stop() == 0


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_the_password_of_the_database_is_never_shown(
    program: Command, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = own_postgresql.url().replace("rightsmanager@", "rightsmanager:s3cret@")
    own_postgresql.stop()
    for words in (("serve", "--bind", "127.0.0.1:0"), ("init",), ("database", "current")):
        ran = program(*words, "--data", str(tmp_path), RIGHTSMANAGER_DATABASE_URL=url)
        assert (ran.status, ran.output) == (1, "")
        assert "the database cannot be reached: connection failed" in ran.errors
        assert ran.errors.count("\n") == 1
        assert "s3cret" not in ran.errors


DYING = '''
import os, signal
from contextlib import contextmanager
from pathlib import Path
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.store.database import Store

def make(options):
    """Have the worker that commits next die before it answers, once."""
    flag, commit = Path(options["flag"]), Store.transaction

    @contextmanager
    def transaction(store, **named):
        with commit(store, **named) as begun:
            yield begun
        if flag.exists():
            flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    Store.transaction = transaction
    return HookSet()
'''


def test_a_worker_killed_between_commit_and_reply_is_asked_again(
    start: Start, enrol: Enrol, header_of: HeaderOf, tmp_path: Path
) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    flag = tmp_path / "flag"
    server = start(
        tmp_path / "data",
        *("--workers", "2"),
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        RIGHTSMANAGER_HOOKS__MAKE="dying:make",
        RIGHTSMANAGER_HOOKS__OPTIONS=f'{{"flag": "{flag}"}}',
    )
    client = enrol(server.data)
    body = client.challenge(header_of(KID))
    flag.touch()
    with pytest.raises(ConnectionError):
        server.post(body)
    assert not flag.exists()
    (recorded,) = server.issued()
    for _ in range(2):
        assert server.post(body).status == 200
    assert server.issued() == [recorded]
    assert server.stop() == 0


def test_an_empty_database_is_refused_until_the_command_has_upgraded_it(
    new_database: NewDatabase,
    empty_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_DATABASE_URL", new_database())
    monkeypatch.setenv("RIGHTSMANAGER_DATA", str(tmp_path))
    run = CliRunner().invoke
    assert run(rightsmanager, ["init"]).exit_code == 0
    monkeypatch.setenv("RIGHTSMANAGER_DATABASE_URL", empty_database_url)
    with pytest.raises(InternalError, match=r"has no revision.* database upgrade"):
        create()
    printed = run(rightsmanager, ["database", "current"]).output
    assert "no revision" in printed
    assert newest_revision() in printed
    assert run(rightsmanager, ["database", "upgrade"]).exit_code == 0
    create()
    printed = run(rightsmanager, ["database", "current", "--json"]).output
    assert json.loads(printed) == {"revision": newest_revision(), "newest": newest_revision()}
