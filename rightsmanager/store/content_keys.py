"""Content keys in the store, each encrypted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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
        swapped = kid.swapped
        values = {"kid": kid.raw, "swapped": swapped.raw}
        return _pair(kid, swapped, hot.FIND_KEYS.execute(self._link, values).fetchall())

    def find_with_version(self, list_id: Guid, kid: Kid) -> tuple[int, KeyPair]:
        """Return a revocation list's version and the content keys of a KID in both orders.

        The results of `revocations.find_version` and `find_pair` by one statement.
        """
        swapped = kid.swapped
        values = {"list_id": list_id.raw, "kid": kid.raw, "swapped": swapped.raw}
        rows = hot.FIND_VERSION_AND_KEYS.execute(self._link, values).fetchall()
        if rows[0][1] is None:
            return rows[0][0], NO_KEYS
        return rows[0][0], _pair(kid, swapped, [row[1:] for row in rows])

    def find_all(self) -> list[StoredKey]:
        """Return all content keys, oldest first."""
        return [record_of(StoredKey, row) for row in self._execute(_FIND_ALL)]

    def record(self, key: StoredKey) -> bool:
        """Store a content key; return whether it is new. An existing key stays as it is."""
        return self._count(_RECORD, values_of(key)) == 1

    def remove(self, kid: Kid) -> bool:
        """Remove a content key; return whether there was one."""
        return self._count(_REMOVE, {"kid": kid}) == 1


def _pair(kid: Kid, swapped: Kid, rows: Sequence[Sequence[Any]]) -> KeyPair:
    """Return the keys of rows that start with the KID's bytes."""
    found = {bytes(row[0]): row[1:] for row in rows}
    own, other = found.get(kid.raw), found.get(swapped.raw)
    return (
        None if own is None else StoredKey(kid, *own),
        None if other is None else StoredKey(swapped, *other),
    )
