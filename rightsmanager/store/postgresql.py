"""PostgreSQL's connection as the store needs it: it notices a server that is gone or hangs."""

import os
import select
from functools import cached_property
from typing import Any, Final

from psycopg import Connection

PARAMETERS: Final = {
    "application_name": "rightsmanager",
    # Seconds until a server that does not answer is given up, for each of its addresses.
    "connect_timeout": "3",
    # A server that vanished is noticed while its answer is waited for.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    # Milliseconds.
    "tcp_user_timeout": "5000",
}
"""Connection parameters that hold where the URL says nothing else."""


def server_limits(busy_seconds: float) -> str:
    """Return the connection parameter with which the server bounds what it does."""
    limits = {
        "lock_timeout": busy_seconds,
        "statement_timeout": 2 * busy_seconds,
        # A worker that hangs within a transaction must not hold up the others for ever.
        "idle_in_transaction_session_timeout": 60,
    }
    return " ".join(f"-c {name}={int(seconds * 1000)}ms" for name, seconds in limits.items())


class WatchedConnection(Connection[Any]):
    """A connection that waits for no answer longer than its server may take, and tells its end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- the parent's own
        super().__init__(*arguments, **named)
        self.answer_seconds: float | None = None
        self._process = os.getpid()

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 -- any result
        """Return what a generator comes to; raises OperationalError where it takes too long."""
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)

    def is_over(self) -> bool:
        """Return whether the server has spoken unasked, as it does when it ends."""
        return self.closed or bool(self._poller.poll(0))

    def close(self) -> None:
        """Close the connection, unless it belongs to the process that this one was forked from."""
        if self._process == os.getpid():
            super().close()

    @cached_property
    def _poller(self) -> select.poll:
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        return poller


def connect(answer_seconds: float, *arguments: Any, **parameters: Any) -> WatchedConnection:  # noqa: ANN401 -- psycopg's
    """Return a new connection, where an answer is waited for that long."""
    connection = WatchedConnection.connect(*arguments, **parameters)
    connection.answer_seconds = answer_seconds
    return connection
