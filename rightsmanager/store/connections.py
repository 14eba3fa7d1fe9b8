"""Connections to the database: each thread keeps one, and throws it away when it is dead.

To make one for each licence would cost more than the licence. It is closed when its thread ends or
the store is closed. A process that is forked off begins without any.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import Engine, PoolProxiedConnection

MakeCursor = Callable[[Any], Any]
"""Makes a driver's cursor of its connection."""


class Connections:
    """The connections of a store's threads."""

    def __init__(self, engine: Engine, make_cursor: MakeCursor) -> None:
        self._engine = engine
        self._make_cursor = make_cursor
        self._thread = threading.local()
        self._watched = engine.dialect.name == "postgresql"
        self._all: WeakSet[PoolProxiedConnection] = WeakSet()
        self._lock = threading.Lock()
        _EVERY.add(self)

    def cursor(self) -> Any:  # noqa: ANN401 -- DBAPI
        """Return the cursor of this thread; raises the driver's error where there can be none."""
        cursor = getattr(self._thread, "cursor", None)
        if cursor is None or (self._watched and cursor.connection.is_over()):
            self.forget()
            cursor = self._thread.cursor = self._make_cursor(self._connect())
        return cursor

    def forget(self) -> None:
        """Close this thread's connection, whatever state it is in."""
        pooled = self._thread.__dict__.pop("pooled", None)
        self._thread.__dict__.pop("cursor", None)
        if pooled is not None:
            pooled.invalidate()

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            connections = list(self._all)
        for pooled in connections:
            pooled.invalidate()
        self._thread = threading.local()

    def inherit_nothing(self) -> None:
        """Leave what the process has, that this one was forked from, to that one."""
        _INHERITED.append(self._thread)
        self._thread, self._lock, self._all = threading.local(), threading.Lock(), WeakSet()

    def _connect(self) -> Any:  # noqa: ANN401 -- DBAPI
        pooled = self._thread.pooled = self._engine.raw_connection()
        with self._lock:
            self._all.add(pooled)
        return pooled.driver_connection


_EVERY: Final[WeakSet[Connections]] = WeakSet()
_INHERITED: Final[list[threading.local]] = []
"""What must not be closed here: a server would take that for the other process's end."""


def _inherit_nothing() -> None:
    for connections in list(_EVERY):
        connections.inherit_nothing()


os.register_at_fork(after_in_child=_inherit_nothing)
