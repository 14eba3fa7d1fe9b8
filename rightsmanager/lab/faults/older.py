"""Remembers the last reply to each client, for faults that answer with an older one.

    FOLDER/NUMBER    SHA-256 of operation and device (32), the Body's child

There are SLOTS files, so that a fault that never ends takes a bounded part of the disk: clients
whose numbers are the same replace each other's reply.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from rightsmanager.files import find_file, replace_file

SLOTS: Final = 1024
_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class OlderReplies:
    """The remembered replies of a world."""

    folder: Path

    def find(self, operation: str, device: str) -> bytes | None:
        """Return the Body's child of the last reply, None if there is none."""
        digest = _digest(operation, device)
        data = find_file(self._file(digest))
        return data[_DIGEST:] if data is not None and data[:_DIGEST] == digest else None

    def remember(self, operation: str, device: str, child: bytes) -> None:
        """Keep the Body's child of a reply in place of the one before."""
        digest = _digest(operation, device)
        replace_file(self._file(digest), digest + child)

    def _file(self, digest: bytes) -> Path:
        return self.folder / str(int.from_bytes(digest[:4]) % SLOTS)


def _digest(operation: str, device: str) -> bytes:
    return sha256(f"{operation}\0{device}".encode()).digest()
