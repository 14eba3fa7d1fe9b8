"""The ledger in the store: what became of each persistent licence of a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import and_, bindparam, exists, select, update

from rightsmanager.protocol.wire import Kid, SessionId, TransactionId
from rightsmanager.store.ledger_tables import DELETED_KIDS, DELETIONS, LEDGER
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import ACKNOWLEDGEMENTS


class LicenseState(Enum):
    """What has become of a persistent licence, as far as the server knows."""

    ISSUED = "issued"
    """The device has not said whether it is stored."""
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    """The device has said that it could not store it."""
    DELETED = "deleted"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A persistent licence of a device; times are in Unix seconds."""

    request: bytes
    """SHA-256 of what was asked, and by whom, 32 bytes."""
    ordinal: int
    device: str
    kid: Kid
    license_id: bytes
    """The rights id, 16 bytes."""
    transaction_id: TransactionId | None
    """What it is to be acknowledged under."""
    issued_at: int
    expires_at: int | None
    """None for never."""
    deleted_at: int | None = None
    result: int | None = None
    """The HRESULT that the device acknowledged it with."""

    def state(self, now: int) -> LicenseState:
        """Return what has become of it by now."""
        if self.deleted_at is not None:
            return LicenseState.DELETED
        if self.expires_at is not None and self.expires_at <= now:
            return LicenseState.EXPIRED
        if self.result is None:
            return LicenseState.ISSUED
        return LicenseState.FAILED if self.result else LicenseState.ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class DeletedKid:
    """A KID that a device said it deleted the licences of."""

    session_id: SessionId
    kid: Kid
    issued: bool
    """Whether the device had ever been given a persistent licence for it."""
    deleted_at: int


class Ledger(Queries):
    """The part of a transaction that is about the ledger."""

    def record(self, entry: LedgerEntry) -> None:
        """Record a persistent licence that is about to leave the server; once for each request."""
        self._run("record ledger entry", _entry_row(entry))

    def find_all(self, device: str) -> list[LedgerEntry]:
        """Return a device's persistent licences, oldest first."""
        return [_entry(row) for row in self._run("find ledger", {"of_device": device})]

    def record_deletion(
        self, device: str, session_id: SessionId, kids: bytes, now: int
    ) -> bytes | None:
        """Record that a device deletes licences, `kids` being the digest of their KIDs, 32 bytes.

        Returns None, or the digest that the device's session has had before.
        """
        key = {"device": device, "session_id": session_id.raw}
        if self._count("record deletion", {**key, "kids": kids, "deleted_at": now}) == 1:
            return None
        return bytes(self._run("find deletion", key).fetchone()[0])

    def delete(self, device: str, session_id: SessionId, kid: Kid, now: int) -> None:
        """Take note that a device has deleted its persistent licences of a KID, or had none."""
        of = {"of_device": device, "of_kid": kid.raw}
        issued = self._run("find whether issued", of).fetchone()[0]
        self._run("delete licenses", {**of, "new_deleted_at": now})
        key = {"device": device, "session_id": session_id.raw, "kid": kid.raw}
        self._run("record deleted kid", {**key, "issued": bool(issued)})

    def find_deleted_kids(self, device: str) -> list[DeletedKid]:
        """Return what a device said it deleted, oldest first."""
        return [
            DeletedKid(SessionId(bytes(session_id)), Kid(bytes(kid)), bool(issued), deleted_at)
            for session_id, kid, issued, deleted_at in self._run(
                "find deleted kids", {"of_device": device}
            )
        ]


def _entry_row(entry: LedgerEntry) -> Mapping[str, object]:
    transaction_id = entry.transaction_id
    return {
        "request": entry.request,
        "ordinal": entry.ordinal,
        "device": entry.device,
        "kid": entry.kid.raw,
        "license_id": entry.license_id,
        "transaction_id": None if transaction_id is None else transaction_id.raw,
        "issued_at": entry.issued_at,
        "expires_at": entry.expires_at,
        "deleted_at": entry.deleted_at,
    }


def _entry(row: Sequence[Any]) -> LedgerEntry:
    request, ordinal, device, kid, license_id, transaction_id, issued, expires, deleted, result = (
        row
    )
    return LedgerEntry(
        bytes(request),
        ordinal,
        device,
        Kid(bytes(kid)),
        bytes(license_id),
        None if transaction_id is None else TransactionId(bytes(transaction_id)),
        issued,
        expires,
        deleted,
        result,
    )


_ENTRY, _SAID, _DELETION, _DELETED = (
    LEDGER.c,
    ACKNOWLEDGEMENTS.c,
    DELETIONS.c,
    DELETED_KIDS.c,
)
_OF_DEVICE_AND_KID: Final = (
    _ENTRY.device == bindparam("of_device"),
    _ENTRY.kid == bindparam("of_kid"),
)

LEDGER_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record ledger entry": lambda dialect: insert_once(LEDGER, dialect),
    "find ledger": lambda _: (
        select(LEDGER, _SAID.result)
        .outerjoin(
            ACKNOWLEDGEMENTS,
            and_(
                _SAID.transaction_id == _ENTRY.transaction_id,
                _SAID.device == _ENTRY.device,
                _SAID.kid == _ENTRY.kid,
            ),
        )
        .where(_ENTRY.device == bindparam("of_device"))
        .order_by(_ENTRY.issued_at, _ENTRY.request, _ENTRY.ordinal)
    ),
    "record deletion": lambda dialect: insert_once(DELETIONS, dialect),
    "find deletion": lambda _: select(_DELETION.kids).where(
        _DELETION.device == bindparam("device"), _DELETION.session_id == bindparam("session_id")
    ),
    "find whether issued": lambda _: select(
        exists(select(_ENTRY.ordinal).where(*_OF_DEVICE_AND_KID))
    ),
    "delete licenses": lambda _: (
        update(LEDGER)
        .where(*_OF_DEVICE_AND_KID, _ENTRY.deleted_at.is_(None))
        .values(deleted_at=bindparam("new_deleted_at"))
    ),
    "record deleted kid": lambda dialect: insert_once(DELETED_KIDS, dialect),
    "find deleted kids": lambda _: (
        select(_DELETED.session_id, _DELETED.kid, _DELETED.issued, _DELETION.deleted_at)
        .join(
            DELETIONS,
            and_(_DELETION.device == _DELETED.device, _DELETION.session_id == _DELETED.session_id),
        )
        .where(_DELETED.device == bindparam("of_device"))
        .order_by(_DELETION.deleted_at, _DELETED.session_id, _DELETED.kid)
    ),
}
"""Every statement about the ledger, by what it does."""
