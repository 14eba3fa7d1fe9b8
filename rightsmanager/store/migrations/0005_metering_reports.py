"""Metering reports, what they said, and what they add up to."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, UniqueConstraint

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables of metering reports."""
    op.create_table(
        "metering_reports",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("device", String(44), nullable=False),
        Column("mid", LargeBinary(16), nullable=False),
        Column("transaction_id", LargeBinary(16), nullable=False),
        Column("digest", LargeBinary(32), nullable=False),
        Column("received_at", BigInteger, nullable=False),
        UniqueConstraint("device", "mid", "transaction_id"),
    )
    op.create_index(
        "ix_metering_reports_mid_received_at", "metering_reports", ["mid", "received_at"]
    )
    op.create_table(
        "metering_usage",
        Column("report", BigInteger, primary_key=True, autoincrement=False),
        Column("kid", LargeBinary(16), primary_key=True),
        Column("action", String(64), primary_key=True),
        Column("value", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metering_totals",
        Column("mid", LargeBinary(16), primary_key=True),
        Column("day", Integer, primary_key=True, autoincrement=False),
        Column("kid", LargeBinary(16), primary_key=True),
        Column("action", String(64), primary_key=True),
        Column("value", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
