"""The checks of readiness.

database   reachable, with a new connection, at the newest revision, and not replaced
keyring    signs, and its certificate has the key that verifies
disk       the data folder has free space
clock      neither before the newest file of the data folder nor after a certificate's end
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from rightsmanager.crypto.p256 import sign, verify
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.keyring import Keyring
from rightsmanager.monitoring.health import Check, NotReady
from rightsmanager.protocol.formats.bcert import Chain, KeyUsage
from rightsmanager.store.schema import (
    DatabaseAway,
    find_database_file,
    newest_revision,
    refuse_outdated,
)

MAX_SET_BACK_SECONDS: Final = 300
"""Time that the clock may be before the newest file: file servers have clocks of their own."""
DATABASE: Final = "database"
"""The name of the database's check."""
_MIB: Final = 1 << 20
_PROBE: Final = b"rightsmanager /readyz"


class FileSystem(Protocol):
    """The figures of a file system, as `os.statvfs` returns them."""

    @property
    def f_frsize(self) -> int:
        """Bytes of a block."""

    @property
    def f_blocks(self) -> int:
        """Blocks in all."""

    @property
    def f_bavail(self) -> int:
        """Blocks that are free."""

    @property
    def f_files(self) -> int:
        """Files that fit, 0 without a limit."""

    @property
    def f_favail(self) -> int:
        """Files that still fit."""


def database_check(url: str) -> Check:
    """Return the check of the database at a URL, whose file must stay the one that it is now."""
    file = find_database_file(url)
    first = None if file is None else _identify(file)

    def check() -> str:
        found = None if file is None else _identify(file)
        # SQLite would make an empty one.
        if file is not None and found is None:
            raise NotReady("the database's file is missing", str(file))
        if first is not None and found != first:
            # Open connections still write to the old file, which no new one sees.
            text = "the database's file was replaced: restart the server to use the new one"
            raise NotReady(text, str(file))
        try:
            refuse_outdated(url, allow_away=False)
        except DatabaseAway as error:
            raise NotReady("the database cannot be reached", error.text) from None
        except InternalError as error:
            raise NotReady(error.text) from None
        return f"reachable, at revision {newest_revision()}"

    return check


def _identify(file: Path) -> tuple[int, int] | None:
    """Return the device and the inode of a file, None if it is missing."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def keyring_check(keyring: Keyring) -> Check:
    """Return the check that the keyring is open: it makes a signature and verifies it."""

    def check() -> str:
        public = keyring.signing_chain.leaf.key_with_usage(KeyUsage.SIGN_RESPONSE)
        if public is None:
            raise NotReady("the keyring does not sign", "the chain has no key for responses")
        try:
            verify(public, sign(keyring.signing_key, _PROBE), _PROBE)
        except InvalidMessage as error:
            raise NotReady("the keyring does not sign", error.text) from None
        return "open, signs replies"

    return check


def disk_check(
    data: Path, min_free_bytes: int, find: Callable[[Path], FileSystem] = os.statvfs
) -> Check:
    """Return the check of the free space in the data folder."""

    def check() -> str:
        try:
            found = find(data)
        except OSError as error:
            raise NotReady("the data folder cannot be read", str(error.strerror)) from None
        free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        text = f"{free // _MIB} MiB free ({100 * free // max(size, 1)} %)"
        if free < min_free_bytes:
            raise NotReady(f"{text}, expected at least {min_free_bytes // _MIB} MiB")
        if found.f_files and not found.f_favail:
            raise NotReady(f"{text}, but no more files can be made")
        return text

    return check


def clock_check(clock: Callable[[], int], keyring: Keyring, files: Iterable[Path]) -> Check:
    """Return the check of the clock.

    files: the keyring's and, with SQLite, the database's, which has the time of the last licence.
    """
    names, chains = tuple(files), _chains(keyring)

    def check() -> str:
        now = clock()
        newest = max((_changed_at(file), file.name) for file in names)
        if now < newest[0] - MAX_SET_BACK_SECONDS:
            raise NotReady(f"it is {_text(now)}, expected at least {_text(newest[0])}", newest[1])
        ends = min((_end(chain), name) for name, chain in chains.items())
        if ends[0] < now:
            raise NotReady(
                f"it is {_text(now)}, and the {ends[1]} certificate expired at {_text(ends[0])}"
            )
        return _text(now)

    return check


def _chains(keyring: Keyring) -> dict[str, Chain]:
    chains = {"signing": keyring.signing_chain, "metering": keyring.metering.certificate.chain}
    if keyring.domain_issuer is not None:
        chains["domain issuer's"] = keyring.domain_issuer.chain
    return chains


def _end(chain: Chain) -> int:
    """Return the time at which the first certificate of a chain expires."""
    return min(each.expiry for each in chain.certificates)


def _changed_at(file: Path) -> int:
    try:
        return int(file.stat().st_mtime)
    except OSError:
        return 0


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
