"""Content keys in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, literal_column, select

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.revocations import VERSION_OF_LIST
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import CONTENT_KEYS


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A content key as it lies in the store, encrypted."""

    kid: Kid
    ciphertext: bytes = field(repr=False)
    key_type: str
    added_at: int


class ContentKeys(Queries):
    """Content keys."""

    def find(self, kid: Kid) -> StoredKey | None:
        """Return the stored content key of a KID, or None."""
        row = self._run("find content key", {"kid": kid.raw}).fetchone()
        return None if row is None else _stored_key(row)

    def find_with_version(self, list_id: Guid, kid: Kid) -> tuple[int, StoredKey | None]:
        """Return what `find_version` and `find_content_key` return, found by one statement."""
        values = {"list_id": list_id.raw, "kid": kid.raw}
        version, *key = self._run("find version and key", values).fetchone()
        return int(version), None if key[0] is None else _stored_key(key)

    def find_all(self) -> list[StoredKey]:
        """Return all stored content keys, oldest first."""
        return [_stored_key(row) for row in self._run("find content keys")]

    def record(self, key: StoredKey) -> bool:
        """Store a content key; return whether it is new, and leave one that is there alone."""
        return self._count("record content key", _content_key_row(key)) == 1

    def remove(self, kid: Kid) -> bool:
        """Remove a content key; return whether it was there."""
        return self._count("remove content key", {"kid": kid.raw}) == 1


def _content_key_row(key: StoredKey) -> Mapping[str, object]:
    return {
        "kid": key.kid.raw,
        "ciphertext": key.ciphertext,
        "key_type": key.key_type,
        "added_at": key.added_at,
    }


def _stored_key(row: Sequence[Any]) -> StoredKey:
    kid, ciphertext, key_type, added_at = row
    return StoredKey(Kid(bytes(kid)), bytes(ciphertext), key_type, added_at)


CONTENT_KEY_STATEMENTS: Final[Mapping[str, Clause]] = {
    "find content key": lambda _: select(CONTENT_KEYS).where(
        CONTENT_KEYS.c.kid == bindparam("kid")
    ),
    "find version and key": lambda _: (
        select(func.coalesce(VERSION_OF_LIST, literal_column("0")), CONTENT_KEYS)
        .select_from(select(literal_column("1").label("one")).subquery())
        .outerjoin(CONTENT_KEYS, CONTENT_KEYS.c.kid == bindparam("kid"))
    ),
    "find content keys": lambda _: select(CONTENT_KEYS).order_by(
        CONTENT_KEYS.c.added_at, CONTENT_KEYS.c.kid
    ),
    "record content key": lambda dialect: insert_once(CONTENT_KEYS, dialect),
    "remove content key": lambda _: delete(CONTENT_KEYS).where(
        CONTENT_KEYS.c.kid == bindparam("kid")
    ),
}
"""Every statement about content keys."""
