"""Acknowledgements in the store: the replies that asked for one, and their results."""

from typing import Final

from sqlalchemy import LargeBinary, bindparam, delete, exists, select

from rightsmanager.protocol.wire import GUID_LENGTH, Kid, TransactionId
from rightsmanager.store.component import Component, insert_once
from rightsmanager.store.tables import ACKNOWLEDGEMENTS, BATCH_ROWS, LICENSES, TRANSACTIONS

_REPLY: Final = TRANSACTIONS.c
_RESULT: Final = ACKNOWLEDGEMENTS.c
_RECORD_TRANSACTION: Final = insert_once(TRANSACTIONS)
_FIND_KIDS: Final = (
    select(LICENSES.c.kid)
    .join(TRANSACTIONS, _REPLY.request == LICENSES.c.request)
    .where(
        _REPLY.transaction_id == bindparam("transaction_id"), _REPLY.device == bindparam("device")
    )
)
_RECORD: Final = insert_once(ACKNOWLEDGEMENTS)
_FIND_RESULT: Final = select(_RESULT.result).where(
    _RESULT.transaction_id == bindparam("transaction_id"),
    _RESULT.device == bindparam("device"),
    _RESULT.kid == bindparam("kid"),
)
_FIND_ALL: Final = select(ACKNOWLEDGEMENTS).order_by(
    _RESULT.acknowledged_at, _RESULT.transaction_id, _RESULT.device, _RESULT.kid
)

# Batches are ranges of the primary key. `after` and `last` are bytes: the first is empty.
_FIND_END_OF_BATCH: Final = (
    select(_REPLY.transaction_id)
    .where(_REPLY.transaction_id > bindparam("after", type_=LargeBinary))
    .order_by(_REPLY.transaction_id, _REPLY.device, _REPLY.request)
    .limit(1)
    .offset(BATCH_ROWS - 1)
)
_REMOVE_ORPHANS: Final = delete(TRANSACTIONS).where(
    _REPLY.transaction_id > bindparam("after", type_=LargeBinary),
    _REPLY.transaction_id <= bindparam("last", type_=LargeBinary),
    ~exists().where(LICENSES.c.request == _REPLY.request),
)
_MAX_ID: Final = b"\xff" * GUID_LENGTH


class Acknowledgements(Component):
    """Results by transaction id, device and KID."""

    def record_transaction(
        self, transaction_id: TransactionId, device: str, request: bytes
    ) -> None:
        """Record the request whose licences a device is to acknowledge; a repeat changes nothing.

        `request` identifies it, as in the licences.
        """
        row = {"transaction_id": transaction_id, "device": device, "request": request}
        self._execute(_RECORD_TRANSACTION, row)

    def find_kids(self, transaction_id: TransactionId, device: str) -> frozenset[Kid]:
        """Return the KIDs of a device's licences under a transaction id."""
        values = {"transaction_id": transaction_id, "device": device}
        return frozenset(self._execute(_FIND_KIDS, values).scalars())

    def record(
        self, transaction_id: TransactionId, device: str, kid: Kid, result: int, now: int
    ) -> int:
        """Record the result of storing a licence; return the recorded one.

        That is the given one, or the one of an earlier acknowledgement.
        """
        key = {"transaction_id": transaction_id, "device": device, "kid": kid}
        if self._count(_RECORD, {**key, "result": result, "acknowledged_at": now}) == 1:
            return result
        recorded: int = self._execute(_FIND_RESULT, key).scalar_one()
        return recorded

    def remove_orphans(self, after: bytes = b"") -> tuple[int, bytes | None]:
        """Remove transactions without licences among the BATCH_ROWS that follow a transaction id.

        Returns their count, and the id to go on after, None at the end.
        """
        found: TransactionId | None = self._execute(_FIND_END_OF_BATCH, {"after": after}).scalar()
        end = None if found is None else found.raw
        return self._count(_REMOVE_ORPHANS, {"after": after, "last": end or _MAX_ID}), end

    def find_all(self) -> list[tuple[TransactionId, str, Kid, int]]:
        """Return transaction id, device, KID and result of each, oldest first."""
        return [
            (row.transaction_id, row.device, row.kid, row.result)
            for row in self._execute(_FIND_ALL)
        ]
