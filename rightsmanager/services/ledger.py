"""The ledger: each persistent licence of a device, and what has become of it.

    issued          the device has not said whether it is stored: it may be, until it says so
    acknowledged    the device has said that it is stored
    failed          the device has said that it could not store it
    deleted         the device has said that it deleted it
    expired         its end has come, whatever else became of it but being deleted

A device must ask again for a KID of which it has no licence that is issued or acknowledged.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import TransactionId
from rightsmanager.store.ledger import LedgerEntry, LicenseState
from rightsmanager.store.queries import IssuedLicense, Transaction

USABLE: Final = frozenset({LicenseState.ISSUED, LicenseState.ACKNOWLEDGED})
"""The states of a licence that a device still has, as far as the server knows."""


def record_persistent(
    transaction: Transaction,
    issued: Sequence[tuple[IssuedLicense, Grant]],
    transaction_id: TransactionId | None,
) -> None:
    """Enter the persistent licences of a reply, to be acknowledged under the transaction id."""
    for row, grant in issued:
        if grant.policy.persistent:
            transaction.record_ledger_entry(
                LedgerEntry(
                    request=row.request,
                    ordinal=row.ordinal,
                    device=row.device,
                    kid=row.kid,
                    license_id=row.license_id,
                    transaction_id=transaction_id,
                    issued_at=row.issued_at,
                    expires_at=grant.policy.end(row.issued_at),
                )
            )


def must_ask_again(entries: Iterable[LedgerEntry], now: int) -> bool:
    """Return whether a device whose licences of a KID these are has to ask for another one."""
    return all(entry.state(now) not in USABLE for entry in entries)
