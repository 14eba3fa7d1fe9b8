"""Fixtures for several areas: vectors, databases, an environment without settings."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.databases import KINDS, Emptied, Files, NewDatabase
from tests.forks import Forks, running_forks
from tests.memory import find_memory
from tests.postgresql import PostgreSQL, running_postgresql
from tests.sharing import shared
from tests.templates import compile_once

VECTORS = Path(__file__).parent / "vectors"

# The time of an example depends on other load of the machine.
settings.register_profile("short", deadline=None)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile("short")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that tests are run with in another order."""
    parser.addoption("--shuffle", metavar="SEED", help="run the tests in the order of a seed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the tests if the option says so; those of one kind of database stay together."""
    seed: str | None = config.getoption("shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)
        # Otherwise the servers of a run would be started again for most tests.
        items.sort(key=lambda item: "postgresql" in item.name)


def pytest_configure() -> None:
    """Keep the files of tests in memory if it has room for them."""
    memory = find_memory()
    if memory is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes that run tests."""
    # Many tests wait for processes, so that twice as many as processors keep those busy.
    has_affinity = hasattr(os, "sched_getaffinity")
    processors = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return 2 * processors


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("RIGHTSMANAGER_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_synchronised() -> Iterator[None]:
    """Leave files that this process writes in the system's cache."""
    # A keyring is written by dozens of calls of fsync, which take milliseconds each.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once() -> None:
    compile_once()


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Yield a process that has imported the project, to fork others from."""
    with shared(tmp_path_factory.getbasetemp(), "forks", running_forks) as path:
        yield Forks(Path(path))


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """Return a function that reads the vectors of a file."""
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def test_keys(vectors: Callable[[str], Any]) -> dict[str, str]:
    """Content keys of the Test Key Seed in hexadecimal, by KID in base64."""
    return {test["kid"]: test["content_key_hex"] for test in vectors("keyseed")["tests"]}


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """Yield a PostgreSQL server that runs until the last test has ended."""
    folder = tmp_path_factory.getbasetemp()
    with shared(folder, "postgresql", running_postgresql) as reached:
        yield PostgreSQL.attach(reached)


@pytest.fixture
def own_postgresql(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """Yield a PostgreSQL server that the test may stop."""
    server = PostgreSQL(postgresql)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def _sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def _postgresql_databases(postgresql: PostgreSQL) -> Emptied:
    return Emptied(postgresql)


@pytest.fixture(params=KINDS)
def _databases(request: pytest.FixtureRequest) -> Files | Emptied:
    """Yield the databases of one kind; tests that use it run once for each kind."""
    given: Files | Emptied = request.getfixturevalue(f"_{request.param}_databases")
    return given


@pytest.fixture
def new_database(_databases: Files | Emptied) -> Iterator[NewDatabase]:
    """Yield a function that makes an empty database of the newest revision."""
    taken: list[str] = []

    def take() -> str:
        taken.append(_databases.take())
        return taken[-1]

    yield take
    for url in taken:
        _databases.give_back(url)


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """Return the URL of an empty database of the newest revision."""
    return new_database()


@pytest.fixture
def empty_database_url(_databases: Files | Emptied) -> Iterator[str]:
    """Yield the URL of a database without tables."""
    url = _databases.make_empty()
    yield url
    _databases.remove(url)
