"""Content keys in the store, each encrypted."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, delete, select

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store import hot
from rightsmanager.store.component import Component, insert_once, record_of, values_of
from rightsmanager.store.tables import CONTENT_KEYS

_KEY: Final = CONTENT_KEYS.c
_FIND_ALL: Final = select(CONTENT_KEYS).order_by(_KEY.added_at, _KEY.kid)
_RECORD: Final = insert_once(CONTENT_KEYS)
_REMOVE: Final = delete(CONTENT_KEYS).where(_KEY.kid == bindparam("kid"))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A content key, encrypted."""

    kid: Kid
    ciphertext: bytes = field(repr=False)
    """44 bytes."""
    key_type: str
    added_at: int
    """Unix seconds."""


KeyPair = tuple[StoredKey | None, StoredKey | None]
"""The content key of a KID, and that of the KID with its first three fields byte-swapped."""
NO_KEYS: Final[KeyPair] = (None, None)


class ContentKeys(Component):
    """Content keys by KID."""

    def find(self, kid: Kid) -> StoredKey | None:
        """Return the content key of a KID, or None."""
        row = hot.FIND_KEY.execute(self._link, {"kid": kid.raw}).fetchone()
        return None if row is None else StoredKey(kid, *row[1:])

    def find_pair(self, kid: Kid) -> KeyPair:
        """Return the content key of a KID and that of the byte-swapped KID."""
        values = {"kid": kid.raw, "swapped": kid.swapped.raw}
        return _pair(kid, *hot.FIND_KEYS.execute(self._link, values).fetchone())

    def find_with_version(self, list_id: Guid, kid: Kid) -> tuple[int, KeyPair]:
        """Return a revocation list's version and the content keys of a KID in both orders.

        The results of `revocations.find_version` and `find_pair` by one statement.
        """
        values = {"list_id": list_id.raw, "kid": kid.raw, "swapped": kid.swapped.raw}
        version, *keys = hot.FIND_VERSION_AND_KEYS.execute(self._link, values).fetchone()
        return version, _pair(kid, *keys)

    def find_all(self) -> list[StoredKey]:
        """Return all content keys, oldest first."""
        return [record_of(StoredKey, row) for row in self._execute(_FIND_ALL)]

    def record(self, key: StoredKey) -> bool:
        """Store a content key; return whether it is new. An existing key stays as it is."""
        return self._count(_RECORD, values_of(key)) == 1

    def remove(self, kid: Kid) -> bool:
        """Remove a content key; return whether there was one."""
        return self._count(_REMOVE, {"kid": kid}) == 1


def _pair(  # noqa: PLR0913, PLR0917 -- the columns of a row
    kid: Kid,
    ciphertext: bytes | None,
    key_type: str,
    added_at: int,
    swapped_ciphertext: bytes | None,
    swapped_type: str,
    swapped_at: int,
) -> KeyPair:
    """Return the keys of a row of `hot.FIND_KEYS`."""
    own = other = None
    if ciphertext is not None:
        own = StoredKey(kid, ciphertext, key_type, added_at)
    if swapped_ciphertext is not None:
        other = StoredKey(kid.swapped, swapped_ciphertext, swapped_type, swapped_at)
    return own, other
