"""An assembled server, and the clock and randomness that it runs with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.journal.journal import Journal
from rightsmanager.journal.recorder import Recorder
from rightsmanager.keyring import Keyring
from rightsmanager.monitoring.shared_cells import SHARED_CELLS, SharedCells
from rightsmanager.operations.context import Context, unix_time
from rightsmanager.soap.application import ServiceOperation
from rightsmanager.store.database import Store

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Runtime:
    """The clock, the randomness and the passphrase of a run."""

    clock: Callable[[], int] = unix_time
    rng: Rng = system_random
    passphrase: bytes | None = field(default=None, repr=False)
    is_loopback: bool = False
    """True if the server is known to be bound to loopback addresses only."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """The variable or the file of each setting that is not at its default."""
    cells: SharedCells = SHARED_CELLS
    """The counts of this process and of the other workers."""


@dataclass(frozen=True, slots=True)
class Server:
    """An assembled server."""

    wsgi: Wsgi
    context: Context
    keyring: Keyring
    operations: Mapping[str, ServiceOperation]
    journal: Journal
    recorder: Recorder | None
    """Writes the journal; None if it is off."""

    @property
    def store(self) -> Store:
        """The store of its operations."""
        return self.context.store
