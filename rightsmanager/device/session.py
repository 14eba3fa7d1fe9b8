"""A device in its folder, open: the entry to everything that a device can do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.device.acquire import Acquired
from rightsmanager.device.client import OnCustomData, ServerClient, ignore_custom_data
from rightsmanager.device.domains import DomainStore
from rightsmanager.device.http import Post, post
from rightsmanager.device.identity import CHAIN_FILE, ServerKeys, load_device, load_server_keys
from rightsmanager.device.journal import Journal, open_journal
from rightsmanager.device.licenses import LicenseStore, StoredLicenses
from rightsmanager.device.opening import LicenseOpener
from rightsmanager.device.revocation import load_lists, save_lists
from rightsmanager.errors import InternalError
from rightsmanager.files import is_file
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.wire import Kid

Clock = Callable[[], int]
"""Returns the time in Unix seconds."""


def system_clock() -> int:
    """Return the system's time in Unix seconds."""
    return int(time.time())


@dataclass(frozen=True, slots=True)
class DeviceSession:
    """A device whose journal is open; `close` it, or use it in a `with` statement."""

    folder: Path
    server: ServerKeys
    journal: Journal
    rng: Rng = field(repr=False)
    clock: Clock = system_clock
    post: Post = field(default=post, repr=False)
    """Reaches servers."""
    on_custom_data: OnCustomData = field(default=ignore_custom_data, repr=False)

    @property
    def now(self) -> int:
        """The time in Unix seconds."""
        return self.clock()

    @property
    def opening(self) -> LicenseOpener:
        """The device with its domains' keys and its revocation lists, as the folder has them."""
        return LicenseOpener(
            load_device(self.folder),
            ChainVerifier((self.server.root,)),
            choose_backend(),
            load_lists(self.folder),
            domains=self.domains.private_keys(),
        )

    @property
    def licenses(self) -> LicenseStore:
        """The files of the stored licences."""
        return LicenseStore(self.folder)

    @property
    def stored_licenses(self) -> StoredLicenses:
        """The stored licences, ready to be opened."""
        return StoredLicenses(self.licenses, self.opening, self.now, self.journal.first_played)

    @property
    def domains(self) -> DomainStore:
        """The joined domains."""
        return DomainStore(self.folder)

    @property
    def client(self) -> ServerClient:
        """The device as a client of its server."""
        opening = self.stored_licenses.with_roots()
        return ServerClient(
            opening, self.server, self.now, self.rng, self.post, self.on_custom_data
        )

    def record(self, acquired: Acquired) -> dict[Kid, int]:
        """Store the persistent licences and the revocation lists of a reply.

        Returns an HRESULT for each licence that could not be stored.
        """
        save_lists(self.folder, acquired.held)
        return self.licenses.record_all(acquired.licenses)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close the journal."""
        self.close()


def open_device(
    folder: Path | str,
    *,
    rng: Rng = system_random,
    clock: Clock = system_clock,
    post: Post = post,
    on_custom_data: OnCustomData = ignore_custom_data,
) -> DeviceSession:
    """Return the device of a folder that `rightsmanager device new` made.

    Raises InternalError, which names the file, for a folder without a device.
    """
    folder = Path(folder)
    if not is_file(folder / CHAIN_FILE):
        raise InternalError(
            f"{folder} is not a device's folder: it has no {CHAIN_FILE}; make a device with "
            "rightsmanager device new"
        )
    server = load_server_keys(folder)
    load_device(folder)
    return DeviceSession(folder, server, open_journal(folder), rng, clock, post, on_custom_data)
