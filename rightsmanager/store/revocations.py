"""Revocation in the store: which certificates are on which list, and which are allowed anyway."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, delete, exists, literal_column, select, update

from rightsmanager.protocol.wire import Guid
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import ALLOWED_CERTIFICATES, REVOCATION_LISTS, REVOCATIONS


@dataclass(frozen=True, slots=True)
class Revocation:
    """One certificate on one list."""

    list_id: Guid
    version: int
    """The version of the list that it came with."""
    digest: bytes
    """32 bytes."""
    since: int
    """Unix seconds."""
    allowed: bool
    """Whether the allow list overrides it."""


@dataclass(frozen=True, slots=True)
class ListState:
    """Where a list stands."""

    list_id: Guid
    version: int
    changed_at: int
    """Unix seconds."""


class Revocations(Queries):
    """The part of a transaction that is about revocation."""

    def find_version(self, list_id: Guid) -> int:
        """Return the version of a list, 0 for one that was never changed."""
        row = self._run("find version", {"list_id": list_id.raw}).fetchone()
        return 0 if row is None else int(row[0])

    def find_revoked(self) -> frozenset[bytes]:
        """Return the digests that are on a list and not allowed."""
        return frozenset(bytes(digest) for (digest,) in self._run("find revoked"))

    def find_all(self) -> list[Revocation]:
        """Return every entry of every list, oldest first."""
        return [
            Revocation(Guid(bytes(list_id)), version, bytes(digest), since, bool(allowed))
            for digest, list_id, version, since, allowed in self._run("find revocations")
        ]

    def find_allowed(self) -> list[tuple[bytes, int]]:
        """Return the digests on the allow list, each with its date in Unix seconds."""
        return [(bytes(digest), since) for digest, since in self._run("find allowed")]

    def find_lists(self) -> list[ListState]:
        """Return where each list stands that was ever changed."""
        return [
            ListState(Guid(bytes(list_id)), version, changed_at)
            for list_id, version, changed_at in self._run("find lists")
        ]

    def find_list_data(self, list_id: Guid) -> bytes:
        """Return the newest version of a list that is there, signed."""
        (data,) = self._run("find list data", {"list_id": list_id.raw}).fetchone()
        return bytes(data)

    def find_list_entries(self, list_id: Guid) -> list[bytes]:
        """Return the digests on a list that are not allowed, in their order."""
        rows = self._run("find list entries", {"list_id": list_id.raw})
        return [bytes(digest) for (digest,) in rows]

    def find_lists_of(self, digest: bytes) -> list[Guid]:
        """Return the lists that a certificate is on."""
        rows = self._run("find lists of", {"digest": digest})
        return [Guid(bytes(list_id)) for (list_id,) in rows]

    def raise_version(self, list_id: Guid) -> int:
        """Return the next version of a list, which it now has; others who do so wait."""
        key = {"list_id": list_id.raw}
        self._run("record list", {**key, "version": 0, "data": b"", "changed_at": 0})
        self._run("raise version", key)
        return self.find_version(list_id)

    def record_list(self, list_id: Guid, data: bytes, now: int) -> None:
        """Keep a list's newest version, signed, in place of the one before."""
        self._run("replace list", {"key": list_id.raw, "data": data, "changed_at": now})

    def record(self, list_id: Guid, version: int, digest: bytes, now: int) -> bool:
        """Put a certificate on a list; return whether it was not there."""
        row = {"digest": digest, "list_id": list_id.raw, "version": version, "since": now}
        return self._count("record revocation", row) == 1

    def remove(self, list_id: Guid, digest: bytes) -> bool:
        """Take a certificate off a list; return whether it was there."""
        row = {"digest": digest, "list_id": list_id.raw}
        return self._count("remove revocation", row) == 1

    def record_allowed(self, digest: bytes, now: int) -> bool:
        """Put a certificate on the allow list; return whether it was not there."""
        return self._count("record allowed", {"digest": digest, "since": now}) == 1

    def remove_allowed(self, digest: bytes) -> bool:
        """Take a certificate off the allow list; return whether it was there."""
        return self._count("remove allowed", {"digest": digest}) == 1


_LIST, _ENTRY, _ALLOWED = REVOCATION_LISTS.c, REVOCATIONS.c, ALLOWED_CERTIFICATES.c
_IS_ALLOWED: Final = exists().where(_ALLOWED.digest == _ENTRY.digest)
_ENTRY_ORDER: Final = (_ENTRY.since, _ENTRY.list_id, _ENTRY.version, _ENTRY.digest)

_FIND_VERSION: Final = select(_LIST.version).where(_LIST.list_id == bindparam("list_id"))
VERSION_OF_LIST: Final = _FIND_VERSION.scalar_subquery()
"""A list's version within another statement, NULL for one that was never changed."""

REVOCATION_STATEMENTS: Final[Mapping[str, Clause]] = {
    "find revoked": lambda _: select(_ENTRY.digest).where(~_IS_ALLOWED),
    "find revocations": lambda _: select(REVOCATIONS, _IS_ALLOWED).order_by(*_ENTRY_ORDER),
    "find allowed": lambda _: select(ALLOWED_CERTIFICATES).order_by(
        _ALLOWED.since, _ALLOWED.digest
    ),
    "find lists": lambda _: select(_LIST.list_id, _LIST.version, _LIST.changed_at).order_by(
        _LIST.list_id
    ),
    "find list data": lambda _: select(_LIST.data).where(_LIST.list_id == bindparam("list_id")),
    "find list entries": lambda _: (
        select(_ENTRY.digest)
        .where(_ENTRY.list_id == bindparam("list_id"), ~_IS_ALLOWED)
        .order_by(_ENTRY.digest)
    ),
    "find lists of": lambda _: (
        select(_ENTRY.list_id).where(_ENTRY.digest == bindparam("digest")).order_by(_ENTRY.list_id)
    ),
    "record list": lambda dialect: insert_once(REVOCATION_LISTS, dialect),
    "raise version": lambda _: (
        update(REVOCATION_LISTS)
        .where(_LIST.list_id == bindparam("list_id"))
        .values(version=_LIST.version + literal_column("1"))
    ),
    "find version": lambda _: _FIND_VERSION,
    # A parameter of a column's name would be its new value.
    "replace list": lambda _: (
        update(REVOCATION_LISTS)
        .where(_LIST.list_id == bindparam("key"))
        .values(data=bindparam("data"), changed_at=bindparam("changed_at"))
    ),
    "record revocation": lambda dialect: insert_once(REVOCATIONS, dialect),
    "remove revocation": lambda _: delete(REVOCATIONS).where(
        _ENTRY.digest == bindparam("digest"), _ENTRY.list_id == bindparam("list_id")
    ),
    "record allowed": lambda dialect: insert_once(ALLOWED_CERTIFICATES, dialect),
    "remove allowed": lambda _: delete(ALLOWED_CERTIFICATES).where(
        _ALLOWED.digest == bindparam("digest")
    ),
}
"""Every statement about revocation, by what it does."""
