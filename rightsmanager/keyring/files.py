"""Files that are written whole; a key or chain once, and never overwritten.

DIR/keyring/NAME.key      PKCS#8 PEM, encrypted where there is a passphrase; mode 0600
DIR/keyring/NAME.chain    BCert chain; mode 0600
DIR/public/…              what an outside client must know
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.crypto import p256, pem
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.formats.bcert import Chain, parse_chain

PRIVATE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The keyring's part of a data folder."""

    data: Path
    passphrase: bytes | None = field(repr=False)
    """What private keys are encrypted under; None for not at all."""

    @property
    def private(self) -> Path:
        """The folder of keys and chains."""
        return self.data / "keyring"

    @property
    def public(self) -> Path:
        """The folder of what outside clients must know."""
        return self.data / "public"

    def find_key(self, name: str) -> p256.PrivateKey | None:
        """Return an identity's private key, or None; raises InternalError if it cannot be read."""
        data = read_file(self.private / f"{name}.key")
        return None if data is None else self._decode(data, self.private / f"{name}.key")

    def find_chain(self, name: str) -> Chain | None:
        """Return an identity's chain, or None; raises InternalError if it cannot be read."""
        file = self.private / f"{name}.chain"
        data = read_file(file)
        return None if data is None else _chain(data, file)

    def keep_key(self, name: str, make: Callable[[], p256.PrivateKey]) -> p256.PrivateKey:
        """Return an identity's private key, made and written if there is none yet."""
        file = self.private / f"{name}.key"
        data = keep_file(file, lambda: pem.build_private_key(make(), self.passphrase))
        return self._decode(data, file)

    def keep_chain(self, name: str, make: Callable[[], Chain]) -> Chain:
        """Return an identity's chain, made and written if there is none yet."""
        file = self.private / f"{name}.chain"
        return _chain(keep_file(file, lambda: make().raw), file)

    def _decode(self, data: bytes, file: Path) -> p256.PrivateKey:
        try:
            return pem.parse_private_key(data, self.passphrase)
        except InternalError as error:
            raise InternalError(f"{file}: {error.text}") from None


def _chain(data: bytes, file: Path) -> Chain:
    try:
        return parse_chain(data)
    except InvalidMessage as error:
        raise InternalError(f"{file}: {error.text}") from None


def read_file(file: Path) -> bytes | None:
    """Return a file's bytes, or None if there is none; raises InternalError for other troubles."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InternalError(f"{file} cannot be read: {error.strerror}") from None


def keep_file(file: Path, make: Callable[[], bytes]) -> bytes:
    """Return the file's bytes, written whole at once if there was none.

    Of several processes that do this at the same moment one writes, and all return its bytes.
    """
    present = read_file(file)
    if present is not None:
        return present
    data = make()
    try:
        return data if _link(file, data) else file.read_bytes()
    except OSError as error:
        raise InternalError(f"{file} cannot be written: {error.strerror}") from None


def replace_file(file: Path, data: bytes) -> None:
    """Put the data in the file's place, whole at once; for what is made anew, never for a key."""
    try:
        draft = _draft(file, data)
        draft.replace(file)
    except OSError as error:
        raise InternalError(f"{file} cannot be written: {error.strerror}") from None


def _link(file: Path, data: bytes) -> bool:
    """Return whether the file was made of the data; False if another was there first."""
    draft = _draft(file, data)
    try:
        # A link, unlike a rename, never takes the place of a file that is there.
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _draft(file: Path, data: bytes) -> Path:
    """Return a file beside the one that is to be, with all of the data."""
    # The mode is not that of parents, and the data folder will hold the database too.
    for folder in (file.parent.parent, file.parent):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft
