"""Acknowledgements in the store: which replies asked for one, and what clients said."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import bindparam, select

from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import ACKNOWLEDGEMENTS, LICENSES, TRANSACTIONS


class Acknowledgements(Queries):
    """The part of a transaction that is about acknowledgements."""

    def record_transaction(
        self, transaction_id: TransactionId, device: str, request: bytes
    ) -> None:
        """Keep which request's licences a device is to acknowledge; a repeat changes nothing."""
        row = {"transaction_id": transaction_id.raw, "device": device, "request": request}
        self._run("record transaction", row)

    def find_kids(self, transaction_id: TransactionId, device: str) -> frozenset[Kid]:
        """Return the KIDs of a device's licences under a transaction id; none if it has none."""
        key = {"transaction_id": transaction_id.raw, "device": device}
        rows = self._run("find transaction kids", key)
        return frozenset(Kid(bytes(kid)) for (kid,) in rows)

    def record(
        self, transaction_id: TransactionId, device: str, kid: Kid, result: int, now: int
    ) -> int:
        """Record what became of a licence; return the result that stands recorded.

        That is the given one, or the one of the first time.
        """
        key = {"transaction_id": transaction_id.raw, "device": device, "kid": kid.raw}
        row = {**key, "result": result, "acknowledged_at": now}
        if self._count("record acknowledgement", row) == 1:
            return result
        (first,) = self._run("find acknowledged result", key).fetchone()
        return int(first)

    def find_all(self) -> list[tuple[TransactionId, str, Kid, int]]:
        """Return transaction id, device, KID and result of each, oldest first."""
        return [
            (TransactionId(bytes(transaction_id)), device, Kid(bytes(kid)), result)
            for transaction_id, device, kid, result, _ in self._run("find acknowledgements")
        ]


_ASKED, _SAID = TRANSACTIONS.c, ACKNOWLEDGEMENTS.c

ACKNOWLEDGEMENT_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record transaction": lambda dialect: insert_once(TRANSACTIONS, dialect),
    "find transaction kids": lambda _: (
        select(LICENSES.c.kid)
        .join(TRANSACTIONS, _ASKED.request == LICENSES.c.request)
        .where(
            _ASKED.transaction_id == bindparam("transaction_id"),
            _ASKED.device == bindparam("device"),
        )
    ),
    "record acknowledgement": lambda dialect: insert_once(ACKNOWLEDGEMENTS, dialect),
    "find acknowledged result": lambda _: select(_SAID.result).where(
        _SAID.transaction_id == bindparam("transaction_id"),
        _SAID.device == bindparam("device"),
        _SAID.kid == bindparam("kid"),
    ),
    "find acknowledgements": lambda _: select(ACKNOWLEDGEMENTS).order_by(
        _SAID.acknowledged_at, _SAID.transaction_id, _SAID.device, _SAID.kid
    ),
}
"""Every statement about acknowledgements, by what it does."""
