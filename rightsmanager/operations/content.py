"""Content keys: stored ones, encrypted at rest, else those derived from the key seed.

Without a seed a KID without a stored key is refused. The bytes of a KID have two orders, that of
the GUID structure and that of its text. A KID whose key is stored under its byte-swapped form is a
mistake of a packager or of an import: the setting `license.swapped_kid` says what it gets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import aes
from rightsmanager.crypto.keyseed import content_key
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.policy.rules import DecisionWarning, SwappedKid, WarningCode
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import KeyPair, StoredKey
from rightsmanager.store.database import Transaction

CONTENT_KEY_LENGTH: Final = 16
KEY_TYPES: Final = {"aesctr": KeyType.AES_CTR, "aescbc": KeyType.AES_CBC}
"""The spellings of a stored key's type."""


KnownKeys = Mapping[Kid, KeyPair]
"""Stored content keys by KID."""
NO_KNOWN_KEYS: Final[KnownKeys] = {}

# Domain separation: the key of a root licence does not open as the content key of its KID.
_ROOT: Final = b"root"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A content key in the clear."""

    key: bytes = field(repr=False)
    """16 bytes."""
    key_type: KeyType | None
    """The cipher that it was stored for; None for a key from the seed."""
    warning: DecisionWarning | None = None


@dataclass(frozen=True, slots=True)
class ContentKeys:
    """Finds the content key of a KID."""

    storage_key: bytes = field(repr=False)
    """The keyring's key for secrets in the store, 32 bytes."""
    seed: bytes = field(repr=False)
    """Empty to issue only stored keys."""
    swapped_kid: SwappedKid = SwappedKid.REFUSE

    def find(
        self, transaction: Transaction, kid: Kid, known: KnownKeys = NO_KNOWN_KEYS
    ) -> FoundKey:
        """Return the stored content key of a KID, else the one that the seed gives.

        known: keys that were looked up before. Raises ServiceSpecific without either.
        """
        stored, swapped = known[kid] if kid in known else transaction.content_keys.find_pair(kid)
        if stored is not None:
            return FoundKey(self.open(stored), KEY_TYPES[stored.key_type])
        if swapped is not None:
            return self._find_swapped(kid, swapped)
        if not self.seed:
            raise ServiceSpecific(
                f"{_name(kid)} has no stored content key, and there is no key seed"
            )
        return FoundKey(content_key(self.seed, kid.raw), None)

    def _find_swapped(self, kid: Kid, swapped: StoredKey) -> FoundKey:
        """Return the key for a KID whose byte-swapped form alone has a stored key."""
        text = (
            f"{_name(kid)} has no stored content key, but {_name(swapped.kid)} has one, which is "
            "the same KID with its first three fields byte-swapped"
        )
        if self.swapped_kid is SwappedKid.SERVE:
            warning = DecisionWarning.of(WarningCode.SWAPPED_KID, f"{text}: that key is issued")
            return FoundKey(self.open(swapped), KEY_TYPES[swapped.key_type], warning)
        if self.swapped_kid is SwappedKid.WARN and self.seed:
            warning = DecisionWarning.of(
                WarningCode.SWAPPED_KID, f"{text}: the seed's key is issued"
            )
            return FoundKey(content_key(self.seed, kid.raw), None, warning)
        raise ServiceSpecific(
            f"{text}, expected the KID of the content and that of its key in the same order "
            "(license.swapped_kid)"
        )

    def seal(self, kid: Kid, key: bytes, key_type: str, now: int, rng: Rng) -> StoredKey:
        """Encrypt a content key of 16 bytes for the store, bound to its KID."""
        return StoredKey(kid, aes.gcm_seal(self.storage_key, key, kid.raw, rng), key_type, now)

    def open(self, stored: StoredKey) -> bytes:
        """Decrypt a stored content key, 16 bytes; raises InternalError if it was altered."""
        return self._open(stored.kid, stored.ciphertext, stored.kid.raw)

    def seal_root(self, kid: Kid, key: bytes, rng: Rng) -> bytes:
        """Encrypt the key of a root licence, 16 bytes, for the store: 44 bytes."""
        return aes.gcm_seal(self.storage_key, key, _ROOT + kid.raw, rng)

    def open_root(self, kid: Kid, ciphertext: bytes) -> bytes:
        """Decrypt the key of a root licence, 16 bytes; raises InternalError if it was altered."""
        return self._open(kid, ciphertext, _ROOT + kid.raw)

    def _open(self, kid: Kid, ciphertext: bytes, associated: bytes) -> bytes:
        try:
            return aes.gcm_open(self.storage_key, ciphertext, associated)
        except InvalidMessage as error:
            raise InternalError(
                f"the stored content key of KID {kid.text} does not open: {error.text}"
            ) from error


def _name(kid: Kid) -> str:
    return f"KID {kid.text} ({kid.base64})"
