"""Metering services beside the keyring's own."""

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, String

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of metering ids."""
    op.create_table(
        "metering_ids",
        Column("mid", LargeBinary(16), primary_key=True),
        Column("name", String(64), nullable=False),
        Column("chain", LargeBinary, nullable=False),
        Column("ciphertext", LargeBinary(60), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("retired_at", BigInteger),
        sqlite_with_rowid=False,
    )
