"""Content keys: stored ones, encrypted at rest, else those made from the key seed."""

from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import aes
from rightsmanager.crypto.keyseed import content_key
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xmr.objects import KeyType
from rightsmanager.store.queries import StoredKey, Transaction

CONTENT_KEY_LENGTH: Final = 16
KEY_TYPES: Final = {"aesctr": KeyType.AES_CTR, "aescbc": KeyType.AES_CBC}
"""The spellings of a stored key's type."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A content key in the clear, on its way into a licence."""

    key: bytes = field(repr=False)
    """16 bytes."""
    key_type: KeyType | None
    """What the operator stored it for; None for one that was made from the seed."""


@dataclass(frozen=True, slots=True)
class ContentKeys:
    """Finds the content key of a KID."""

    storage_key: bytes = field(repr=False)
    """The keyring's key for what lies in the store, 32 bytes."""
    seed: bytes = field(repr=False)

    def find(self, transaction: Transaction, kid: Kid) -> FoundKey:
        """Return the stored content key of a KID, else the one that the seed gives."""
        stored = transaction.find_content_key(kid)
        if stored is None:
            return FoundKey(content_key(self.seed, kid.raw), None)
        return FoundKey(self.open(stored), KEY_TYPES[stored.key_type])

    def seal(self, kid: Kid, key: bytes, key_type: str, now: int, rng: Rng) -> StoredKey:
        """Return a content key of 16 bytes as the store keeps it, bound to its KID."""
        return StoredKey(kid, aes.gcm_seal(self.storage_key, key, kid.raw, rng), key_type, now)

    def open(self, stored: StoredKey) -> bytes:
        """Return the content key, 16 bytes; raises InternalError where it was altered."""
        try:
            return aes.gcm_open(self.storage_key, stored.sealed, stored.kid.raw)
        except InvalidMessage as error:
            raise InternalError(
                f"the stored content key of KID {stored.kid.text} does not open: {error.text}"
            ) from error
