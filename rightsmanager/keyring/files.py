"""The keyring's files in a data folder; a key or chain is written once and never overwritten.

DIR/keyring/NAME.key      PKCS#8 PEM, encrypted if there is a passphrase; mode 0600
DIR/keyring/NAME.chain    BCert chain; mode 0600
DIR/public/…              the keys and certificates that outside clients need
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.crypto import p256, pem
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import find_file, keep_file
from rightsmanager.protocol.formats.bcert import Chain, parse_chain

METERING_FILE: Final = "metering.bin"
"""The public file of the keyring's own metering service."""


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The keyring's part of a data folder."""

    data: Path
    passphrase: bytes | None = field(repr=False)
    """Encrypts the private keys; None for keys in the clear."""

    @property
    def private(self) -> Path:
        """The folder of keys and chains."""
        return self.data / "keyring"

    @property
    def public(self) -> Path:
        """The folder of what outside clients need."""
        return self.data / "public"

    def key_file(self, name: str) -> Path:
        """Return the file of an identity's private key."""
        return self.private / f"{name}.key"

    def chain_file(self, name: str) -> Path:
        """Return the file of an identity's certificate chain."""
        return self.private / f"{name}.chain"

    def public_file(self, name: str) -> Path:
        """Return the file of an identity's public key."""
        return self.public / f"{name}.pub"

    def find_key(self, name: str) -> p256.PrivateKey | None:
        """Return an identity's private key, or None; raises InternalError for an invalid file."""
        file = self.key_file(name)
        data = find_file(file)
        return None if data is None else parse_key_file(file, data, self.passphrase)

    def find_chain(self, name: str) -> Chain | None:
        """Return an identity's chain, or None; raises InternalError for an invalid file."""
        file = self.chain_file(name)
        data = find_file(file)
        return None if data is None else parse_chain_file(file, data)

    def keep_key(self, name: str, make: Callable[[], p256.PrivateKey]) -> p256.PrivateKey:
        """Return an identity's private key, made and written if it was missing."""
        file = self.key_file(name)
        data = keep_file(file, lambda: pem.build_private_key(make(), self.passphrase))
        return parse_key_file(file, data, self.passphrase)

    def keep_chain(self, name: str, make: Callable[[], Chain]) -> Chain:
        """Return an identity's chain, made and written if it was missing."""
        file = self.chain_file(name)
        return parse_chain_file(file, keep_file(file, lambda: make().raw))


def parse_key_file(file: Path, data: bytes, passphrase: bytes | None) -> p256.PrivateKey:
    """Return the private key in a file's bytes; raises InternalError, which names the file."""
    with _named(file):
        return pem.parse_private_key(data, passphrase)


def parse_chain_file(file: Path, data: bytes) -> Chain:
    """Return the chain in a file's bytes; raises InternalError, which names the file."""
    with _named(file):
        return parse_chain(data)


def parse_public_file(file: Path, data: bytes) -> p256.PublicKey:
    """Return the public key in a file's 64 bytes; raises InternalError, which names the file."""
    with _named(file):
        return p256.PublicKey(data)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except (InternalError, InvalidMessage) as error:
        raise InternalError(f"{file}: {error.text}") from None
