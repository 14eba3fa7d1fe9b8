"""Metering ids in the store: each with its certificate and its ciphertext private key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from rightsmanager.protocol.wire import Mid
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import METERING_IDS


@dataclass(frozen=True, slots=True)
class StoredMeteringId:
    """A metering service as it lies in the store, its private key encrypted."""

    mid: Mid
    name: str
    chain: bytes = field(repr=False)
    """BCert chain."""
    ciphertext: bytes = field(repr=False)
    """The private key as the store keeps it, 60 bytes."""
    created_at: int
    """Unix seconds."""
    retired_at: int | None = None
    """Unix seconds; None while its certificate is given out."""


class MeteringIds(Queries):
    """The part of a transaction that is about metering ids."""

    def record(self, stored: StoredMeteringId) -> bool:
        """Store a metering id; return whether it is new, and leave one that is there alone."""
        row = {
            "mid": stored.mid.raw,
            "name": stored.name,
            "chain": stored.chain,
            "ciphertext": stored.ciphertext,
            "created_at": stored.created_at,
            "retired_at": stored.retired_at,
        }
        return self._count("record metering id", row) == 1

    def find(self, mid: Mid) -> StoredMeteringId | None:
        """Return a stored metering id, retired or not, or None."""
        row = self._run("find metering id", {"mid": mid.raw}).fetchone()
        return None if row is None else _stored(row)

    def find_all(self) -> list[StoredMeteringId]:
        """Return all stored metering ids, oldest first."""
        return [_stored(row) for row in self._run("find metering ids")]

    def retire(self, mid: Mid, now: int) -> bool:
        """Note since when a metering id is retired; return whether it was not before."""
        return self._count("retire metering id", {"key": mid.raw, "retired_at": now}) == 1


def _stored(row: Sequence[Any]) -> StoredMeteringId:
    mid, name, chain, ciphertext, created_at, retired_at = row
    return StoredMeteringId(
        Mid(bytes(mid)), name, bytes(chain), bytes(ciphertext), created_at, retired_at
    )


_ID = METERING_IDS.c

METERING_ID_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record metering id": lambda dialect: insert_once(METERING_IDS, dialect),
    "find metering id": lambda _: select(METERING_IDS).where(_ID.mid == bindparam("mid")),
    "find metering ids": lambda _: select(METERING_IDS).order_by(_ID.created_at, _ID.mid),
    # A parameter of a column's name would be its new value.
    "retire metering id": lambda _: (
        update(METERING_IDS)
        .where(_ID.mid == bindparam("key"), _ID.retired_at.is_(None))
        .values(retired_at=bindparam("retired_at"))
    ),
}
"""Every statement about metering ids, by what it does."""
