"""Tables of the ledger: persistent licences, and what devices said they deleted."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table

from rightsmanager.store.tables import METADATA

LEDGER: Final = Table(
    "ledger",
    METADATA,
    # As in licenses: a request that is sent again has the same.
    Column("request", LargeBinary(32), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    # Base64 of the SHA-256 of the device's signing key.
    Column("device", String(44), nullable=False),
    Column("kid", LargeBinary(16), nullable=False),
    # The licence's rights id.
    Column("license_id", LargeBinary(16), nullable=False),
    # What it is to be acknowledged under; empty where the reply did not ask for it.
    Column("transaction_id", LargeBinary(16)),
    # Unix seconds.
    Column("issued_at", BigInteger, nullable=False),
    # When the licence ends; empty for never.
    Column("expires_at", BigInteger),
    # When the device said that it deleted it; empty as long as it did not.
    Column("deleted_at", BigInteger),
    Index("ix_ledger_device_kid", "device", "kid"),
    sqlite_with_rowid=False,
)
"""Each persistent licence that was issued."""

DELETIONS: Final = Table(
    "deletions",
    METADATA,
    Column("device", String(44), primary_key=True),
    # What the device calls the session of deleting: it counts once.
    Column("session_id", LargeBinary(16), primary_key=True),
    # SHA-256 of the KIDs in ascending order: the same session never has others.
    Column("kids", LargeBinary(32), nullable=False),
    # Unix seconds.
    Column("deleted_at", BigInteger, nullable=False),
    Index("ix_deletions_deleted_at", "deleted_at"),
    sqlite_with_rowid=False,
)
"""Each time that a device said which licences it deleted."""

DELETED_KIDS: Final = Table(
    "deleted_kids",
    METADATA,
    Column("device", String(44), primary_key=True),
    Column("session_id", LargeBinary(16), primary_key=True),
    Column("kid", LargeBinary(16), primary_key=True),
    # Whether the device had ever been given a persistent licence for it.
    Column("issued", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""The KIDs of each deletion."""
