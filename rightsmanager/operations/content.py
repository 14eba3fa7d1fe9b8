"""Content keys: stored ones, encrypted at rest, else those made from the key seed.

Without a seed a KID that has no stored key is refused. A KID's bytes have two orders, Microsoft's
and that of its text; who mistakes one for the other is told so where the other KID is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import aes
from rightsmanager.crypto.keyseed import content_key
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import StoredKey
from rightsmanager.store.database import Transaction

CONTENT_KEY_LENGTH: Final = 16
KEY_TYPES: Final = {"aesctr": KeyType.AES_CTR, "aescbc": KeyType.AES_CBC}
"""The spellings of a stored key's type."""


KnownKeys = Mapping[Kid, StoredKey | None]
"""Content keys as they lie in the store, None for a KID that has none there."""
NO_KNOWN_KEYS: Final[KnownKeys] = {}

_ROOT: Final = b"root"
"""What tells the key of a root licence from a content key of the same KID."""


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
    """Empty where only stored keys are given out."""

    def find(
        self, transaction: Transaction, kid: Kid, known: KnownKeys = NO_KNOWN_KEYS
    ) -> FoundKey:
        """Return the stored content key of a KID, else the one that the seed gives.

        known: what was looked up before. Raises ServiceSpecific where there is neither.
        """
        stored = known[kid] if kid in known else transaction.content_keys.find(kid)
        if stored is None:
            if not self.seed:
                raise _unknown(transaction, kid)
            return FoundKey(content_key(self.seed, kid.raw), None)
        return FoundKey(self.open(stored), KEY_TYPES[stored.key_type])

    def seal(self, kid: Kid, key: bytes, key_type: str, now: int, rng: Rng) -> StoredKey:
        """Return a content key of 16 bytes as the store keeps it, bound to its KID."""
        return StoredKey(kid, aes.gcm_seal(self.storage_key, key, kid.raw, rng), key_type, now)

    def open(self, stored: StoredKey) -> bytes:
        """Return the content key, 16 bytes; raises InternalError where it was altered."""
        return self._open(stored.kid, stored.ciphertext, stored.kid.raw)

    def seal_root(self, kid: Kid, key: bytes, rng: Rng) -> bytes:
        """Return the content key of a root licence, 16 bytes, as the store keeps it: 44 bytes."""
        return aes.gcm_seal(self.storage_key, key, _ROOT + kid.raw, rng)

    def open_root(self, kid: Kid, sealed: bytes) -> bytes:
        """Return the content key of a root licence, 16 bytes; raises InternalError as `open`."""
        return self._open(kid, sealed, _ROOT + kid.raw)

    def _open(self, kid: Kid, sealed: bytes, associated: bytes) -> bytes:
        try:
            return aes.gcm_open(self.storage_key, sealed, associated)
        except InvalidMessage as error:
            raise InternalError(
                f"the stored content key of KID {kid.text} does not open: {error.text}"
            ) from error


def _unknown(transaction: Transaction, kid: Kid) -> ServiceSpecific:
    """Return the refusal of a KID without content key."""
    text = f"KID {kid.text} ({kid.base64}) has no stored content key, and there is no key seed"
    other = kid.swapped
    if transaction.content_keys.find(other) is None:
        return ServiceSpecific(text)
    return ServiceSpecific(
        f"{text}; KID {other.text} ({other.base64}), its bytes in the other order, has one"
    )
