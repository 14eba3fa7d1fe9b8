"""Where each content key came from."""

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, String, Text, UniqueConstraint

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of sources."""
    op.create_table(
        "content_sources",
        Column("kid", LargeBinary(16), primary_key=True),
        Column("origin", String(8), nullable=False),
        Column("program_digest", LargeBinary(32)),
        Column("period", BigInteger),
        Column("program", Text),
        UniqueConstraint("program_digest", "period"),
        sqlite_with_rowid=False,
    )
