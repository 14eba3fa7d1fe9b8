"""Revocation in the store: the certificates on each list, and those that are allowed anyway."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, delete, exists, select, update

from rightsmanager.protocol.wire import Guid
from rightsmanager.store import hot
from rightsmanager.store.component import Component, insert_once, record_of
from rightsmanager.store.tables import ALLOWED_CERTIFICATES, REVOCATION_LISTS, REVOCATIONS

_LIST: Final = REVOCATION_LISTS.c
_ENTRY: Final = REVOCATIONS.c
_ALLOWED: Final = ALLOWED_CERTIFICATES.c
_IS_ALLOWED: Final = exists().where(_ALLOWED.digest == _ENTRY.digest)

_FIND_REVOKED: Final = select(_ENTRY.digest).where(~_IS_ALLOWED)
_FIND_ALL: Final = select(REVOCATIONS, _IS_ALLOWED.label("allowed")).order_by(
    _ENTRY.since, _ENTRY.list_id, _ENTRY.version, _ENTRY.digest
)
_FIND_ALLOWED: Final = select(ALLOWED_CERTIFICATES).order_by(_ALLOWED.since, _ALLOWED.digest)
_FIND_LISTS: Final = select(_LIST.list_id, _LIST.version, _LIST.changed_at).order_by(_LIST.list_id)
_FIND_LIST_DATA: Final = select(_LIST.data).where(_LIST.list_id == bindparam("list_id"))
_FIND_LIST_ENTRIES: Final = (
    select(_ENTRY.digest)
    .where(_ENTRY.list_id == bindparam("list_id"), ~_IS_ALLOWED)
    .order_by(_ENTRY.digest)
)
_FIND_LISTS_OF: Final = (
    select(_ENTRY.list_id).where(_ENTRY.digest == bindparam("digest")).order_by(_ENTRY.list_id)
)
_CREATE_LIST: Final = insert_once(REVOCATION_LISTS)
# `of_list_id`: SQLAlchemy reserves the names of columns for their new values.
_CHANGE_LIST: Final = update(REVOCATION_LISTS).where(_LIST.list_id == bindparam("of_list_id"))
_RAISE_VERSION: Final = _CHANGE_LIST.values(version=_LIST.version + 1)
_RECORD_LIST: Final = _CHANGE_LIST.values(data=bindparam("new_data"), changed_at=bindparam("now"))
_RECORD: Final = insert_once(REVOCATIONS)
_REMOVE: Final = delete(REVOCATIONS).where(
    _ENTRY.digest == bindparam("digest"), _ENTRY.list_id == bindparam("list_id")
)
_RECORD_ALLOWED: Final = insert_once(ALLOWED_CERTIFICATES)
_REMOVE_ALLOWED: Final = delete(ALLOWED_CERTIFICATES).where(_ALLOWED.digest == bindparam("digest"))


@dataclass(frozen=True, slots=True)
class Revocation:
    """One certificate on one list."""

    list_id: Guid
    version: int
    """The version of the list that added it."""
    digest: bytes
    """32 bytes."""
    since: int
    """Unix seconds."""
    allowed: bool
    """Whether the allow list overrides it."""


@dataclass(frozen=True, slots=True)
class ListState:
    """The newest version of a list."""

    list_id: Guid
    version: int
    changed_at: int
    """Unix seconds."""


class Revocations(Component):
    """Revocation lists, their entries and the allow list; a digest has 32 bytes."""

    def find_version(self, list_id: Guid) -> int:
        """Return the version of a list, 0 for one that was never changed."""
        found = hot.FIND_VERSION.execute(self._link, {"list_id": list_id.raw}).fetchone()
        return 0 if found is None else int(found[0])

    def find_revoked(self) -> frozenset[bytes]:
        """Return the digests that are on a list and not allowed."""
        return frozenset(self._execute(_FIND_REVOKED).scalars())

    def find_all(self) -> list[Revocation]:
        """Return every entry of every list, oldest first."""
        return [record_of(Revocation, row) for row in self._execute(_FIND_ALL)]

    def find_allowed(self) -> list[tuple[bytes, int]]:
        """Return the digests on the allow list, each with its date in Unix seconds."""
        return [(row.digest, row.since) for row in self._execute(_FIND_ALLOWED)]

    def find_lists(self) -> list[ListState]:
        """Return the state of each list that was ever changed."""
        return [record_of(ListState, row) for row in self._execute(_FIND_LISTS)]

    def find_list_data(self, list_id: Guid) -> bytes:
        """Return the newest version of an existing list, signed."""
        data: bytes = self._execute(_FIND_LIST_DATA, {"list_id": list_id}).scalar_one()
        return data

    def find_list_entries(self, list_id: Guid) -> list[bytes]:
        """Return the digests on a list that are not allowed, in ascending order."""
        return list(self._execute(_FIND_LIST_ENTRIES, {"list_id": list_id}).scalars())

    def find_lists_of(self, digest: bytes) -> list[Guid]:
        """Return the lists that a certificate is on."""
        return list(self._execute(_FIND_LISTS_OF, {"digest": digest}).scalars())

    def raise_version(self, list_id: Guid) -> int:
        """Give a list its next version and return it; the list is locked until the end."""
        new = {"list_id": list_id, "version": 0, "data": b"", "changed_at": 0}
        self._execute(_CREATE_LIST, new)
        self._execute(_RAISE_VERSION, {"of_list_id": list_id})
        return self.find_version(list_id)

    def record_list(self, list_id: Guid, data: bytes, now: int) -> None:
        """Replace the signed data of a list by that of its newest version."""
        self._execute(_RECORD_LIST, {"of_list_id": list_id, "new_data": data, "now": now})

    def record(self, list_id: Guid, version: int, digest: bytes, now: int) -> bool:
        """Add a certificate to a list; return False if it is on it."""
        row = {"digest": digest, "list_id": list_id, "version": version, "since": now}
        return self._count(_RECORD, row) == 1

    def remove(self, list_id: Guid, digest: bytes) -> bool:
        """Remove a certificate from a list; return whether it was on it."""
        return self._count(_REMOVE, {"digest": digest, "list_id": list_id}) == 1

    def record_allowed(self, digest: bytes, now: int) -> bool:
        """Add a certificate to the allow list; return False if it is on it."""
        return self._count(_RECORD_ALLOWED, {"digest": digest, "since": now}) == 1

    def remove_allowed(self, digest: bytes) -> bool:
        """Remove a certificate from the allow list; return whether it was on it."""
        return self._count(_REMOVE_ALLOWED, {"digest": digest}) == 1
