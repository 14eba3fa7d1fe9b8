"""One server with worlds for all processes of this test run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from rightsmanager.testing.server import Launch, Server
from rightsmanager.testing.sharing import share, stop_shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rightsmanager.testing.world import World


@pytest.fixture(scope="session")
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Yield a server with worlds; its supervisor ends it if the run does not."""
    is_worker = hasattr(request.config, "workerinput")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if is_worker else base) / "lab"
    owner = os.getppid() if is_worker else os.getpid()
    server = Server(running=share(folder, Launch(folder / "data"), owner))
    yield server
    server.close()
    if not is_worker:
        stop_shared(folder)


@pytest.fixture
def world(lab: Server) -> Iterator[World]:
    """Yield a fresh world."""
    with lab.world() as world:
        yield world
