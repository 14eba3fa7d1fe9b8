"""The nonces of answered challenges in the store, where replays are refused."""

from typing import Any, Final

from sqlalchemy import Executable, bindparam, delete, select, tuple_

from rightsmanager.store.component import Component, DialectInsert
from rightsmanager.store.tables import BATCH_ROWS, NONCES

_NONCE: Final = NONCES.c


def _make_record(insert: Any) -> Executable:  # noqa: ANN401 -- each dialect's own function
    statement = insert(NONCES)
    made: Executable = statement.on_conflict_do_update(
        index_elements=list(NONCES.primary_key),
        set_={"seen_at": statement.excluded.seen_at},
        where=_NONCE.seen_at <= bindparam("forgotten_at"),
    ).inline()
    return made


_RECORD: Final = DialectInsert(_make_record)
_REMOVE_OLD: Final = delete(NONCES).where(
    tuple_(_NONCE.device, _NONCE.nonce).in_(
        select(_NONCE.device, _NONCE.nonce)
        .where(_NONCE.seen_at < bindparam("before"))
        .limit(BATCH_ROWS)
    )
)


class Nonces(Component):
    """Nonces by device."""

    def record(self, device: str, nonce: bytes, now: int, window: int) -> bool:
        """Record a nonce of 16 bytes; return False if it was within the last `window` seconds."""
        row = {"device": device, "nonce": nonce, "seen_at": now}
        return self._count(_RECORD, {**row, "forgotten_at": now - window}) == 1

    def remove_old(self, before: int) -> int:
        """Remove a batch of nonces from before a time; return their count."""
        return self._count(_REMOVE_OLD, {"before": before})
