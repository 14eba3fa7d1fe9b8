"""Servers that are built in the process of the tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from rightsmanager.app import build
from rightsmanager.server import Runtime, Server
from rightsmanager.settings import Settings


@contextmanager
def built(settings: Settings, runtime: Runtime) -> Iterator[Server]:
    """Build a server, and close it.

    The thread that writes its journal would else report, during another test, that its folder is
    gone.
    """
    server = build(settings, runtime)
    try:
        yield server
    finally:
        if server.recorder is not None:
            server.recorder.close()
        server.store.close()
