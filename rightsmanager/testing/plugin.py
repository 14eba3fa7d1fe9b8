"""The pytest plugin: the fixtures `rightsmanager` and `rightsmanager_server`.

Everything but pytest is imported when a test uses a fixture: pytest imports this module in each
project that has the package installed.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from rightsmanager.testing.server import Launch, Server
    from rightsmanager.testing.world import World

SHARED: Final = "shared"
OWN: Final = "own"
MARKER: Final = "rightsmanager"
_FOLDER: Final = pytest.StashKey[Path]()
_WORLD: Final = pytest.StashKey["World"]()
_WORKER_FOLDER: Final = "rightsmanager_folder"
_WORKER_OWNER: Final = "rightsmanager_owner"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the server."""
    group = parser.getgroup("rightsmanager")
    group.addoption(
        "--rightsmanager-server",
        choices=(SHARED, OWN),
        help="One server for all workers of pytest-xdist, or one for each.  [default: shared]",
    )
    parser.addini("rightsmanager_server", "shared (default) or own: see --rightsmanager-server.")
    parser.addini("rightsmanager_workers", "The number of processes of the server.", default="1")
    parser.addini("rightsmanager_data", "The server's data folder; a temporary one by default.")
    parser.addini("rightsmanager_database_url", "A PostgreSQL database; SQLite by default.")
    parser.addini(
        "rightsmanager_settings",
        "Settings of the server, one a line, such as license.acknowledge = persistent",
        type="linelist",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(seed=, clock=, pki=, settings=): options of the test's world, as of "
        "rightsmanager.testing.Server.world.",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 -- of pytest-xdist, which may be absent
    """Name the folder of the shared server to a worker of pytest-xdist."""
    node.workerinput[_WORKER_FOLDER] = str(_shared_folder(node.config))
    node.workerinput[_WORKER_OWNER] = os.getpid()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared server, in the process that owns it."""
    folder = config.stash.get(_FOLDER, None)
    if folder is None:
        return
    if (folder / "server.json").exists():
        from rightsmanager.testing.sharing import stop_shared  # noqa: PLC0415 -- as above

        stop_shared(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the world's journal to the report of a test that failed."""
    report = yield
    world = item.stash.get(_WORLD, None)
    if world is not None and report.failed and call.when != "teardown":
        report.sections.append((f"rightsmanager world {world.name}", _journal_text(world)))
    return report


@pytest.fixture(scope="session")
def rightsmanager_server(request: pytest.FixtureRequest) -> "Iterator[Server]":
    """Yield a server with worlds, `rightsmanager.testing.Server`."""
    from rightsmanager.testing.server import Server, launch, stop  # noqa: PLC0415 -- as above
    from rightsmanager.testing.sharing import share  # noqa: PLC0415

    config = request.config
    if _mode(config) == OWN:
        with tempfile.TemporaryDirectory(prefix="rightsmanager-") as folder:
            running = launch(_launch(config, Path(folder)))
            yield from _using(Server(running=running))
            stop(running.pid)
        return
    worker = getattr(config, "workerinput", None)
    shared = _shared_folder(config) if worker is None else Path(worker[_WORKER_FOLDER])
    owner = os.getpid() if worker is None else worker[_WORKER_OWNER]
    yield from _using(Server(running=share(shared, _launch(config, shared), owner)))


def _using(server: "Server") -> "Iterator[Server]":
    yield server
    server.close()


@pytest.fixture
def rightsmanager(
    request: pytest.FixtureRequest, rightsmanager_server: "Server"
) -> "Iterator[World]":
    """Yield a fresh world, `rightsmanager.testing.World`, which is deleted after the test."""
    marker = request.node.get_closest_marker(MARKER)
    with rightsmanager_server.world(**({} if marker is None else marker.kwargs)) as world:
        request.node.stash[_WORLD] = world
        yield world


def _mode(config: pytest.Config) -> str:
    return str(config.getoption("--rightsmanager-server") or config.getini("rightsmanager_server"))


def _shared_folder(config: pytest.Config) -> Path:
    """Return the folder of the run's server; each run has its own."""
    if _FOLDER not in config.stash:
        config.stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="rightsmanager-"))
    return config.stash[_FOLDER]


def _launch(config: pytest.Config, folder: Path) -> "Launch":
    from rightsmanager.testing.server import Launch  # noqa: PLC0415 -- as above

    data = config.getini("rightsmanager_data")
    return Launch(
        config.rootpath / data if data else folder / "data",
        int(config.getini("rightsmanager_workers")),
        config.getini("rightsmanager_database_url") or None,
        dict(map(_setting, config.getini("rightsmanager_settings"))),
    )


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _journal_text(world: "World") -> str:
    try:
        return world.journal.text()
    except Exception as error:  # noqa: BLE001 -- the report of the test must not get lost
        return f"the journal cannot be read: {error}"
