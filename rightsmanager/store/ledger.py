"""The ledger in the store: the state of each persistent licence of a device."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import and_, bindparam, exists, select, update

from rightsmanager.protocol.wire import Kid, SessionId, TransactionId
from rightsmanager.store.component import Component, insert_once, record_of, values_of
from rightsmanager.store.tables import ACKNOWLEDGEMENTS, DELETED_KIDS, DELETIONS, LEDGER

_ENTRY: Final = LEDGER.c
_RESULT: Final = ACKNOWLEDGEMENTS.c
_DELETION: Final = DELETIONS.c
_DELETED: Final = DELETED_KIDS.c

_RECORD: Final = insert_once(LEDGER)
_FIND_ALL: Final = (
    select(LEDGER, _RESULT.result)
    .outerjoin(
        ACKNOWLEDGEMENTS,
        and_(
            _RESULT.transaction_id == _ENTRY.transaction_id,
            _RESULT.device == _ENTRY.device,
            _RESULT.kid == _ENTRY.kid,
        ),
    )
    .where(_ENTRY.device == bindparam("device"))
    .order_by(_ENTRY.issued_at, _ENTRY.request, _ENTRY.ordinal)
)
_RECORD_DELETION: Final = insert_once(DELETIONS)
_FIND_DELETION: Final = select(_DELETION.kids).where(
    _DELETION.device == bindparam("device"), _DELETION.session_id == bindparam("session_id")
)
# `of_` and `new_`: SQLAlchemy reserves the names of columns for their new values.
_OF_DEVICE_AND_KID: Final = (
    _ENTRY.device == bindparam("of_device"),
    _ENTRY.kid == bindparam("of_kid"),
)
_HAS_ENTRY: Final = select(exists(select(_ENTRY.ordinal).where(*_OF_DEVICE_AND_KID)))
_DELETE: Final = (
    update(LEDGER)
    .where(*_OF_DEVICE_AND_KID, _ENTRY.deleted_at.is_(None))
    .values(deleted_at=bindparam("new_deleted_at"))
)
_RECORD_DELETED_KID: Final = insert_once(DELETED_KIDS)
_FIND_DELETED_KIDS: Final = (
    select(_DELETED.session_id, _DELETED.kid, _DELETED.issued, _DELETION.deleted_at)
    .join(
        DELETIONS,
        and_(_DELETION.device == _DELETED.device, _DELETION.session_id == _DELETED.session_id),
    )
    .where(_DELETED.device == bindparam("device"))
    .order_by(_DELETION.deleted_at, _DELETED.session_id, _DELETED.kid)
)


class LicenseState(Enum):
    """The state of a persistent licence, as far as the server knows."""

    ISSUED = "issued"
    """The device has not acknowledged it."""
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    """The device could not store it."""
    DELETED = "deleted"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A persistent licence of a device; times are in Unix seconds."""

    request: bytes
    """SHA-256 of device, challenge and granted licences, 32 bytes."""
    ordinal: int
    """The rank of the licence among those of the request, from 0."""
    device: str
    """The device id."""
    kid: Kid
    license_id: bytes
    """16 bytes."""
    transaction_id: TransactionId | None
    """None where the reply asked for no acknowledgement."""
    issued_at: int
    expires_at: int | None
    """None for never."""
    deleted_at: int | None = None
    result: int | None = None
    """The HRESULT of the device's acknowledgement."""

    def state(self, now: int) -> LicenseState:
        """Return the state at `now`."""
        if self.deleted_at is not None:
            return LicenseState.DELETED
        if self.expires_at is not None and self.expires_at <= now:
            return LicenseState.EXPIRED
        if self.result is None:
            return LicenseState.ISSUED
        return LicenseState.FAILED if self.result else LicenseState.ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class DeletedKid:
    """A KID whose licences a device reported as deleted."""

    session_id: SessionId
    kid: Kid
    issued: bool
    """Whether a persistent licence for it was ever issued to the device."""
    deleted_at: int


class Ledger(Component):
    """Persistent licences by request and rank, and reports of their deletion."""

    def record(self, entry: LedgerEntry) -> None:
        """Record an issued persistent licence; a repeat changes nothing."""
        row = values_of(entry)
        # It comes from the acknowledgement.
        del row["result"]
        self._execute(_RECORD, row)

    def find_all(self, device: str) -> list[LedgerEntry]:
        """Return a device's persistent licences, oldest first."""
        rows = self._execute(_FIND_ALL, {"device": device})
        return [record_of(LedgerEntry, row) for row in rows]

    def record_deletion(
        self, device: str, session_id: SessionId, kids: bytes, now: int
    ) -> bytes | None:
        """Record a device's report of deleted licences, `kids` the digest of their KIDs, 32 bytes.

        Returns None for a new one, or the digest that the session was recorded with before.
        """
        key = {"device": device, "session_id": session_id}
        if self._count(_RECORD_DELETION, {**key, "kids": kids, "deleted_at": now}) == 1:
            return None
        recorded: bytes = self._execute(_FIND_DELETION, key).scalar_one()
        return recorded

    def delete(self, device: str, session_id: SessionId, kid: Kid, now: int) -> None:
        """Record that a device deleted its persistent licences of a KID, or had none."""
        of = {"of_device": device, "of_kid": kid}
        issued = self._execute(_HAS_ENTRY, of).scalar_one()
        self._execute(_DELETE, {**of, "new_deleted_at": now})
        key = {"device": device, "session_id": session_id, "kid": kid}
        self._execute(_RECORD_DELETED_KID, {**key, "issued": bool(issued)})

    def find_deleted_kids(self, device: str) -> list[DeletedKid]:
        """Return the KIDs that a device reported as deleted, oldest first."""
        rows = self._execute(_FIND_DELETED_KIDS, {"device": device})
        return [record_of(DeletedKid, row) for row in rows]
