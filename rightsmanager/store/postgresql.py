"""PostgreSQL connections that notice a server that is gone or hangs."""

import os
import select
from functools import cached_property
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import NullPool

PARAMETERS: Final = {
    "application_name": "rightsmanager",
    # Seconds to wait for each of the server's addresses.
    "connect_timeout": "3",
    # A server that vanished is noticed while its answer is awaited.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    # Milliseconds.
    "tcp_user_timeout": "5000",
}
"""Connection parameters unless the URL has others."""
IDLE_SECONDS: Final = 60
"""The longest time between two statements of a transaction."""


class WatchedConnection(Connection[Any]):
    """A connection that limits the wait for an answer, and knows whether it ended."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- the parent's own
        super().__init__(*arguments, **named)
        self.answer_seconds: float | None = None
        self._process = os.getpid()

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 -- any result
        """Return a generator's result; raises OperationalError after `answer_seconds`."""
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)

    def is_over(self) -> bool:
        """Return whether the server sent something unasked, as it does when it ends."""
        return self.closed or bool(self._poller.poll(0))

    def close(self) -> None:
        """Close the connection, unless it belongs to the parent of this forked process."""
        if self._process == os.getpid():
            super().close()

    @cached_property
    def _poller(self) -> select.poll:
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        return poller


def make_engine(url: URL, busy_seconds: float) -> Engine:
    """Return the engine of a PostgreSQL database; `busy_seconds` is the longest wait for a lock."""
    query = {**PARAMETERS, "options": _server_limits(busy_seconds), **url.query}
    engine = create_engine(
        url.set(query=query),
        poolclass=NullPool,
        # The driver would begin transactions by itself.
        connect_args={"autocommit": True},
        hide_parameters=True,
        skip_autocommit_rollback=True,
        use_native_hstore=False,
    )

    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> WatchedConnection:  # noqa: ANN401 -- psycopg's
        connection = WatchedConnection.connect(*arguments, **named)
        # Longer than the server's own limit on a statement.
        connection.answer_seconds = 2 * busy_seconds + 1
        return connection

    event.listen(engine, "do_connect", connect)
    return engine


def _server_limits(busy_seconds: float) -> str:
    """Return the connection parameter that limits the server's own waiting and work."""
    limits = {
        "lock_timeout": busy_seconds,
        "statement_timeout": 2 * busy_seconds,
        # A worker that hangs within a transaction must not block the others for ever.
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    return " ".join(f"-c {name}={int(seconds * 1000)}ms" for name, seconds in limits.items())
