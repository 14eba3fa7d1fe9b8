"""Servers and worlds for tests: each test has a server of its own, in milliseconds.

    from rightsmanager.testing import Server

    with Server() as server:
        world = server.world()
        world.device().acquire(kid="6f651ae1-dbe4-4434-bcb4-690d1564c41c")

With pytest, the fixture `rightsmanager` is such a world. docs/testing.md describes this package.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rightsmanager.testing.control import ControlFailed
    from rightsmanager.testing.devices import Acquisition, Device
    from rightsmanager.testing.journal import Exchange, Fact, Journal, Request
    from rightsmanager.testing.server import Server
    from rightsmanager.testing.world import World, connect_world

__all__ = [
    "Acquisition",
    "ControlFailed",
    "Device",
    "Exchange",
    "Fact",
    "Journal",
    "Request",
    "Server",
    "World",
    "connect_world",
]

_MODULES: Final = {
    "Acquisition": "devices",
    "ControlFailed": "control",
    "Device": "devices",
    "Exchange": "journal",
    "Fact": "journal",
    "Journal": "journal",
    "Request": "journal",
    "Server": "server",
    "World": "world",
    "connect_world": "world",
}


def __getattr__(name: str) -> object:
    """Return a name of this package, imported now."""
    # pytest imports the plugin, and so this module, in projects that do not use it: 1 ms, not 300.
    from importlib import import_module  # noqa: PLC0415

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
