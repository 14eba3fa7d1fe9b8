"""Removes all rows of chosen parts of a store."""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import delete

from rightsmanager.store.database import Store
from rightsmanager.store.tables import METADATA

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "content_keys": ("content_keys", "content_sources"),
    "licenses": (
        *("licenses", "root_licenses", "nonces", "transactions", "acknowledgements", "ledger"),
        *("deletions", "deleted_kids"),
    ),
    "domains": ("domain_accounts", "domain_revisions", "domain_members", "domain_requests"),
    "metering": (
        *("metering_ids", "metering_reports", "metering_usage", "metering_devices"),
        "metering_totals",
    ),
    "streams": ("sessions", "stream_holders", "streams"),
    "revocations": ("revocation_lists", "revocations", "allowed_certificates"),
}
"""The tables of each part."""
KEPT: Final = ("keyring", "api_tokens")
"""The tables of no part: they are about the server itself."""


def empty(store: Store, parts: Iterable[str]) -> None:
    """Remove all rows of some of PARTS, at once or not at all."""
    names = {name for part in parts for name in PARTS[part]}
    with store.transaction() as transaction:
        for table in reversed(METADATA.sorted_tables):
            if table.name in names:
                transaction.link.connection.execute(delete(table))
