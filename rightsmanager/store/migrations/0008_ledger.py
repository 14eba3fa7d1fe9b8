"""The ledger of persistent licences, and what devices said they deleted."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, String

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables of the ledger; licences that were issued before are not entered."""
    op.create_table(
        "ledger",
        Column("request", LargeBinary(32), primary_key=True),
        Column("ordinal", Integer, primary_key=True, autoincrement=False),
        Column("device", String(44), nullable=False),
        Column("kid", LargeBinary(16), nullable=False),
        Column("license_id", LargeBinary(16), nullable=False),
        Column("transaction_id", LargeBinary(16)),
        Column("issued_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger),
        Column("deleted_at", BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_device_kid", "ledger", ["device", "kid"])
    op.create_table(
        "deletions",
        Column("device", String(44), primary_key=True),
        Column("session_id", LargeBinary(16), primary_key=True),
        Column("kids", LargeBinary(32), nullable=False),
        Column("deleted_at", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_deletions_deleted_at", "deletions", ["deleted_at"])
    op.create_table(
        "deleted_kids",
        Column("device", String(44), primary_key=True),
        Column("session_id", LargeBinary(16), primary_key=True),
        Column("kid", LargeBinary(16), primary_key=True),
        Column("issued", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
