"""Counts of requests by minute, on PostgreSQL; SQLite has a file of its own for the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0005_journal_minutes"
down_revision = "0004_track_of_content_keys"


def upgrade() -> None:
    """Add the counts."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "journal_minutes",
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("outcome", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("duration", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "minute", "operation", "outcome", "duration", name=op.f("pk_journal_minutes")
        ),
    )
