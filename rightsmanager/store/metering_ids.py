"""Metering ids in the store, each with its certificate and its encrypted private key."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, select, update

from rightsmanager.protocol.wire import Mid
from rightsmanager.store.component import Component, insert_once, record_of, values_of
from rightsmanager.store.tables import METERING_IDS

_ID: Final = METERING_IDS.c
_RECORD: Final = insert_once(METERING_IDS)
_FIND_ALL: Final = select(METERING_IDS).order_by(_ID.created_at, _ID.mid)
_FIND: Final = select(METERING_IDS).where(_ID.mid == bindparam("mid"))
# `of_mid`: SQLAlchemy reserves the names of columns for their new values.
_RETIRE: Final = (
    update(METERING_IDS)
    .where(_ID.mid == bindparam("of_mid"), _ID.retired_at.is_(None))
    .values(retired_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class StoredMeteringId:
    """A metering id, its private key encrypted."""

    mid: Mid
    name: str
    chain: bytes = field(repr=False)
    """BCert chain."""
    ciphertext: bytes = field(repr=False)
    """The encrypted private key, 60 bytes."""
    created_at: int
    """Unix seconds."""
    retired_at: int | None = None
    """Unix seconds; None while its certificate is issued."""


class MeteringIds(Component):
    """Metering ids other than the keyring's own."""

    def record(self, stored: StoredMeteringId) -> bool:
        """Store a metering id; return whether it is new. An existing one stays as it is."""
        return self._count(_RECORD, values_of(stored)) == 1

    def find(self, mid: Mid) -> StoredMeteringId | None:
        """Return a metering id, retired or not, or None."""
        row = self._execute(_FIND, {"mid": mid}).first()
        return None if row is None else record_of(StoredMeteringId, row)

    def find_all(self) -> list[StoredMeteringId]:
        """Return all metering ids, oldest first."""
        return [record_of(StoredMeteringId, row) for row in self._execute(_FIND_ALL)]

    def retire(self, mid: Mid, now: int) -> bool:
        """Record the time from which a metering id is retired; return False if it already was."""
        return self._count(_RETIRE, {"of_mid": mid, "now": now}) == 1
